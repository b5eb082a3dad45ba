"""The device: found before it is used, or an error that names what is missing."""

import dataclasses
import os
import sys

import pytest

from runtime import options, startup
from runtime.devices import devices, xla
from runtime.workers import cluster
from slim import errors


@pytest.fixture(autouse=True)
def forget_the_choice(monkeypatch):
    monkeypatch.setattr(devices, '_chosen', None)


def test_auto_takes_the_cpu_where_there_is_nothing_else_and_says_why():
    device = devices.choose('auto')
    assert (device.kind, device.name) == ('CPU', '/device:CPU:0')
    assert 'no Gaudi card' in device.reason
    assert 'no GPU' in device.reason
    assert devices.chosen_device_type() == 'CPU'


def test_before_any_choice_there_is_none():
    assert devices.chosen_device_type() is None


@pytest.mark.parametrize(
    ('wanted', 'missing'), [('hpu', 'no Gaudi card, no package'), ('gpu', 'no GPU')]
)
def test_a_device_that_is_not_there_is_an_error_and_no_silent_cpu(wanted, missing):
    with pytest.raises(errors.DeviceError, match=f'--device={wanted}: .*{missing}'):
        devices.choose(wanted)
    assert devices.chosen_device_type() is None


def test_a_gpu_that_tensorflow_cannot_use_is_told_from_none(monkeypatch, tmp_path):
    (tmp_path / 'nvidia0').touch()
    monkeypatch.setattr(xla, '_GPU_NODES', (str(tmp_path / 'nvidia[0-9]*'),))
    with pytest.raises(errors.DeviceError, match='although there is one: its driver is too old'):
        devices.choose('gpu')
    assert 'driver is too old' in devices.choose('auto').reason


def test_more_clones_than_cards_are_one_line_with_both_numbers(monkeypatch):
    devices.check_clones(options.CloneOptions(num_clones=9))  # Before any choice: the classic ones.
    devices.choose('cpu')
    devices.check_clones(options.CloneOptions(num_clones=9))
    monkeypatch.setitem(devices.MISSING, 'gpu', list)
    devices.choose('gpu')
    monkeypatch.setattr('tensorflow.config.list_physical_devices', lambda kind: [kind] * 2)
    devices.check_clones(options.CloneOptions(num_clones=2))
    devices.check_clones(options.CloneOptions(num_clones=3, clone_on_cpu=True))
    with pytest.raises(errors.UsageError, match=r'--num_clones=3 .* lists 2 GPU\(s\)'):
        devices.check_clones(options.CloneOptions(num_clones=3))


def test_images_are_made_by_as_many_threads_as_there_are_cores(monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda process: range(16))
    chosen = dataclasses.make_dataclass('Chosen', ['input'])(options.TrainingInputOptions())
    runtime = startup.Runtime(devices.Device('CPU', ''), cluster.SingleProcess())

    def threads(*given):
        return runtime.with_threads(chosen, given).input.num_preprocessing_threads

    assert threads('num_preprocessing_threads') == 4
    assert threads() == 16
    monkeypatch.setattr('os.sched_getaffinity', lambda process: range(2))
    assert threads() == 4
    monkeypatch.setattr(runtime.cluster, 'threads', 5, raising=False)
    assert threads() == 5


def test_hpu_names_the_tensorflow_and_the_python_that_it_needs(monkeypatch):
    monkeypatch.setattr(devices, 'hpu_cards', lambda: 8)
    versions = {'tensorflow': '2.19.0', 'habana-tensorflow': '1.14.0.493'}
    monkeypatch.setattr(devices, 'package_version', versions.get)
    monkeypatch.setattr(sys, 'version_info', (3, 12, 1))
    assert devices.hpu_missing() == [
        'TensorFlow 2.15.0 is needed, here is 2.19.0',
        'Python 3.10 is needed, here is 3.12',
    ]
    monkeypatch.setattr(sys, 'version_info', (3, 10, 1))
    versions['tensorflow'] = '2.15.0'
    assert devices.hpu_missing() == []


def test_cards_are_counted_from_the_kernels_nodes(monkeypatch, tmp_path):
    for number, kind in enumerate(('GAUDI2', 'hl-205', 'other')):
        node = tmp_path / f'accel{number}' / 'device'
        node.mkdir(parents=True)
        (node / 'device_type').write_text(f'{kind}\n')
    monkeypatch.setattr(devices, '_HPU_NODES', str(tmp_path / 'accel*/device/device_type'))
    assert devices.hpu_cards() == 2


@pytest.fixture
def card(monkeypatch):
    monkeypatch.setitem(devices.MISSING, 'hpu', list)
    monkeypatch.setattr(devices, 'hpu_missing', list)
    for name in ('TF_BF16_CONVERSION', *devices._BRIDGE_ENVIRONMENT):
        # Registers the variable, so that what the code sets is taken back.
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)


def test_auto_prefers_hpu_to_gpu_and_tries_its_library_before_it_loads_it(monkeypatch, card):
    done = []
    monkeypatch.setitem(devices.MISSING, 'gpu', list)
    monkeypatch.setattr(devices, 'try_bridge', lambda: done.append('tried'))
    monkeypatch.setattr(devices, '_load_bridge', lambda: done.append('loaded'))
    assert devices.choose('auto').name == '/device:HPU:0'
    assert done == ['tried', 'loaded']


@pytest.fixture
def library(monkeypatch, tmp_path):
    """Writes a stand-in for the HPU's library whose loader runs a line of Python."""

    def write(line):
        package = tmp_path / 'habana_frameworks' / 'tensorflow'
        package.mkdir(parents=True)
        (tmp_path / 'habana_frameworks' / '__init__.py').touch()
        (package / '__init__.py').write_text(f'def load_habana_module():\n    {line}\n')
        monkeypatch.setenv('PYTHONPATH', str(tmp_path))

    return write


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)', 'SIGSEGV ended it'),
        ('raise OSError("Device acquire failed")', 'Device acquire failed'),
        ('pass', 'TensorFlow lists no HPU'),
    ],
)
def test_a_library_that_takes_the_process_with_it_does_so_in_a_child(library, card, line, message):
    library(line)
    with pytest.raises(errors.DeviceError, match=f'does not load in a trial process: .*{message}'):
        devices.choose('hpu')
    assert devices.chosen_device_type() is None


def test_a_library_that_hangs_is_given_up(library, card, monkeypatch):
    library('import time; time.sleep(600)')
    monkeypatch.setattr(devices, '_TRIAL_SECONDS', 0.5)
    with pytest.raises(errors.DeviceError, match=r'not done after 0\.5 seconds'):
        devices.choose('hpu')


BF16 = options.DeviceOptions(dtype='bf16')


@pytest.mark.parametrize(
    ('flags', 'already', 'expected'),
    [
        (options.DeviceOptions(), None, '0'),
        (options.DeviceOptions(), 'basic', 'basic'),
        (BF16, None, 'full'),
        (BF16, '0', 'full'),
        (BF16, 'basic', 'basic'),
        (options.DeviceOptions(dtype='bf16', bf16_config_path='/a.json'), 'full', '/a.json'),
    ],
)
def test_what_the_user_has_set_stays_unless_a_flag_contradicts(
    monkeypatch, card, flags, already, expected
):
    monkeypatch.setenv('TF_DISABLE_MKL', '0')
    if already:
        monkeypatch.setenv('TF_BF16_CONVERSION', already)
    lines = devices.prepare_environment(flags)
    assert os.environ['TF_BF16_CONVERSION'] == expected
    assert os.environ['TF_DISABLE_MKL'] == '0'
    assert any('TF_BF16_CONVERSION' in line for line in lines) == (already != expected)


def test_the_environment_is_left_alone_where_no_hpu_is_used(monkeypatch):
    monkeypatch.delenv('TF_BF16_CONVERSION', raising=False)
    assert devices.prepare_environment(BF16) == []
    assert 'TF_BF16_CONVERSION' not in os.environ


def test_variables_of_older_releases_get_a_hint(monkeypatch, card):
    monkeypatch.setenv('HLS1_MODULE_ID', '3')
    lines = devices.prepare_environment(options.DeviceOptions())
    assert 'HLS1_MODULE_ID is out of date and has no effect: use HABANA_VISIBLE_MODULES' in lines


def test_processes_of_mpirun_do_not_train_side_by_side_by_accident(monkeypatch):
    monkeypatch.setenv('OMPI_COMM_WORLD_SIZE', '2')
    with pytest.raises(errors.UsageError, match='give --use_horovod'):
        cluster.start(options.ClusterOptions())


def test_more_workers_than_there_are_is_an_error():
    with pytest.raises(errors.UsageError, match='mpirun -np 4'):
        cluster.start(options.ClusterOptions(num_workers=4))
    assert cluster.start(options.ClusterOptions()).size == 1


def test_one_worker_on_its_own_needs_no_horovod():
    alone = options.ClusterOptions(use_horovod=True, num_workers=1)
    assert isinstance(cluster.start(alone), cluster.SingleProcess)
    with pytest.raises(errors.UsageError, match='but 1 worker'):
        cluster.start(options.ClusterOptions(use_horovod=True, num_workers=2))
