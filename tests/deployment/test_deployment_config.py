"""DeploymentConfig: the device strings of TF-Slim and of its Gaudi fork, and who decides them."""

from __future__ import annotations

import json
import pathlib
import sys
import types

import pytest
import tensorflow.compat.v1 as tf

import runtime.devices
from deployment import model_deploy
from slim.errors import UsageError

# Recorded from both suites, one row per setting; arguments at their defaults are left out.
_RECORDED = json.loads(
    (pathlib.Path(__file__).parents[1] / 'data' / 'model_deploy.json').read_text()
)


def _id(row):
    return ','.join(f'{name}={value}' for name, value in row['args'].items()) or 'defaults'


@pytest.fixture
def choose(monkeypatch):
    """Call with the device type that the process has chosen and the HPUs that TensorFlow lists."""

    def set_choice(device_type, hpus=()):
        devices = types.SimpleNamespace(chosen_device_type=lambda: device_type)
        monkeypatch.setitem(sys.modules, 'runtime.devices.devices', devices)
        monkeypatch.setattr(runtime.devices, 'devices', devices, raising=False)
        listed = {'HPU': list(hpus)}
        monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind: listed[kind])

    return set_choice


def _variable_devices(config, use_resource):
    """Devices of five variables and of an op that is none, made on `config.variables_device()`."""
    with tf.Graph().as_default(), tf.device(config.variables_device()):
        variables = [
            tf.get_variable(f'v{i}', shape=[], use_resource=use_resource) for i in range(5)
        ]
        return [variable.op.device for variable in variables], tf.no_op().device


def _check_row(row, config):
    num_clones = config.num_clones
    found = {
        'worker_device': config.worker_device,
        'ps_device': config.ps_device,
        'clone_device': [config.clone_device(i) for i in range(num_clones)],
        'clone_scope': [config.clone_scope(i) for i in range(num_clones)],
        'optimizer_device': config.optimizer_device(),
        'inputs_device': config.inputs_device(),
    }
    assert found == {name: row[name] for name in found}
    # TF-Slim placed resource variables nowhere when there were parameter servers; here they go
    # where reference variables go.
    for use_resource in (False, True):
        assert _variable_devices(config, use_resource) == (
            row['variables_devices'],
            row['no_op_device'],
        )
    caching_device = config.caching_device()
    assert (caching_device is not None) == row['caches']
    if caching_device is not None:
        assert caching_device(types.SimpleNamespace(device='/device:CPU:7')) == '/device:CPU:7'
    for method in (config.clone_device, config.clone_scope):
        for index in (num_clones, -1):
            with pytest.raises(ValueError, match=r'^clone_index must be less than num_clones$'):
                method(index)
    properties = ('num_clones', 'clone_on_cpu', 'replica_id', 'num_replicas', 'num_ps_tasks')
    for name in properties:
        default = {'num_clones': 1, 'num_replicas': 1}.get(name, 0)
        assert getattr(config, name) == row['args'].get(name, default)


@pytest.mark.parametrize('row', _RECORDED['classic'], ids=_id)
def test_before_a_choice_and_without_a_card_it_is_the_classic_placement(row, choose):
    choose(None)
    if 'raises' in row:
        with pytest.raises(ValueError, match=f'^{row["raises"]}$'):
            model_deploy.DeploymentConfig(**row['args'])
    else:
        _check_row(row, model_deploy.DeploymentConfig(**row['args']))


@pytest.mark.parametrize('row', _RECORDED['gaudi_fork'], ids=_id)
def test_hpu_has_the_forks_strings_with_the_clones_on_the_hpu(row):
    if 'raises' in row:
        with pytest.raises(ValueError, match=f'^{row["raises"]}$'):
            model_deploy.DeploymentConfig(**row['args'], device_type='HPU')
    else:
        # The fork's clones named the GPU.
        clones = [device.replace('GPU', 'HPU') for device in row['clone_device']]
        config = model_deploy.DeploymentConfig(**row['args'], device_type='HPU')
        _check_row({**row, 'clone_device': clones}, config)


_CPU, _GPU, _HPU = '/device:CPU:0', '/device:GPU:0', '/device:HPU:0'


@pytest.mark.parametrize(
    ('device_type', 'chosen', 'hpus', 'variables', 'last_clone'),
    [
        (None, None, [], _CPU, '/device:GPU:1'),
        (None, None, ['a card'], _HPU, '/device:HPU:1'),
        (None, 'HPU', ['a card'], _HPU, '/device:HPU:1'),
        (None, 'GPU', [], _GPU, '/device:GPU:1'),
        (None, 'GPU', ['a card'], _GPU, '/device:GPU:1'),
        (None, 'CPU', ['a card'], _CPU, _CPU),
        ('GPU', 'HPU', ['a card'], _GPU, '/device:GPU:1'),
        ('CPU', 'GPU', [], _CPU, _CPU),
        ('HPU', None, [], _HPU, '/device:HPU:1'),
    ],
)
def test_the_argument_decides_then_the_process_then_the_card(
    choose, device_type, chosen, hpus, variables, last_clone
):
    choose(chosen, hpus)
    config = model_deploy.DeploymentConfig(num_clones=2, device_type=device_type)
    assert config.variables_device() == config.optimizer_device() == variables
    assert config.clone_device(1) == last_clone
    assert config.inputs_device() == _CPU


@pytest.mark.parametrize('device_type', ['HPU', 'GPU', 'CPU'])
def test_clone_on_cpu_moves_the_clones_only(device_type):
    config = model_deploy.DeploymentConfig(num_clones=2, clone_on_cpu=True, device_type=device_type)
    assert [config.clone_device(i) for i in range(2)] == [_CPU, _CPU]
    assert config.variables_device() == f'/device:{device_type}:0'


def test_parameter_servers_of_gpu_workers_keep_variables_on_their_cpu():
    config = model_deploy.DeploymentConfig(num_ps_tasks=1, device_type='GPU')
    assert _variable_devices(config, True) == (['/job:ps/device:CPU:0/task:0'] * 5, '')
    assert config.clone_device(0) == '/job:worker/device:GPU:0'


def test_round_robin_leaves_an_inner_device_alone_and_begins_anew_in_each_function():
    config = model_deploy.DeploymentConfig(num_ps_tasks=2, device_type='CPU')
    for _ in range(2):
        with tf.Graph().as_default(), tf.device(config.variables_device()):
            with tf.device('/job:elsewhere'):
                placed_inside = tf.get_variable('inside', shape=[], use_resource=True)
            first = tf.get_variable('first', shape=[], use_resource=True)
        assert placed_inside.op.device == '/job:elsewhere'
        assert first.op.device == '/job:ps/device:CPU:0/task:0'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_clones': 0}, 'num_clones must be at least 1, not 0'),
        ({'device_type': 'gpu'}, r"Unknown device_type 'gpu'\. .*Choose from: HPU, GPU, CPU"),
        ({'num_ps_tasks': 1, 'worker_job_name': ''}, 'Must specify worker_job_name'),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        model_deploy.DeploymentConfig(**{'device_type': 'CPU', **arguments})
