"""Placement without a card: on a device of type HPU that the tests bring along."""

from __future__ import annotations

import collections
import importlib.util
import json
import os
import pathlib
import re
import sys

import pytest

pytestmark = pytest.mark.gaudi


def _count(placed):
    counted = collections.defaultdict(collections.Counter)
    for kind, device in placed.values():
        counted[kind][device] += 1
    return counted


@pytest.fixture
def mpirun():
    path = pathlib.Path(sys.executable).with_name('mpirun')
    if not path.is_file() or importlib.util.find_spec('horovod') is None:
        pytest.skip('no mpirun or Horovod in this environment: make horovod')
    return [str(path), '--oversubscribe', '-np', '2']


@pytest.fixture(scope='module')
def one_hpu(on_hpu, make_once):
    def make(folder):
        (folder / 'seen.json').write_text(json.dumps(on_hpu('one_hpu', str(folder))))

    return json.loads((make_once('one-hpu', make) / 'seen.json').read_text())


@pytest.mark.slow
def test_the_training_graph_is_on_the_hpu_and_its_input_on_the_cpu(one_hpu):
    assert one_hpu['listed'] == 1
    counted = _count(one_hpu['placed'])
    for kind in (
        'Conv2D',
        'Conv2DBackpropFilter',
        'DepthwiseConv2dNative',
        'DepthwiseConv2dNativeBackpropInput',
        'FusedBatchNormV3',
        'FusedBatchNormGradV3',
        'Relu6Grad',
        'ResourceApplyRMSProp',
        'SoftmaxCrossEntropyWithLogits',
    ):
        assert set(counted[kind]) == {'HPU:0'}, kind
    assert counted['Conv2D']['HPU:0'] == 36
    assert counted['IteratorGetNext'] == {'CPU:0': 1}
    assert re.fullmatch(r'operations: \d+ on CPU:0, \d{4} on HPU:0(; left to .*)?', one_hpu['line'])


@pytest.mark.slow
def test_variables_slots_and_averages_are_resources_on_the_hpu(one_hpu):
    variables = one_hpu['variables']
    assert {kind for kind, _ in variables.values()} == {'VarHandleOp'}
    # The step, an int64, is the one on the CPU.
    on_cpu = {name for name, (_, device) in variables.items() if 'HPU' not in device}
    assert on_cpu == {'global_step'}
    for name in ('Conv/weights', 'Conv/weights/RMSProp_1', 'Conv/BatchNorm/moving_mean'):
        for suffix in ('', '/ExponentialMovingAverage') if 'RMSProp' not in name else ('',):
            assert f'MobilenetV2/{name}{suffix}' in variables
    handles = {
        name.partition('/')[0]: device
        for name, (kind, device) in one_hpu['placed'].items()
        if kind == 'VarHandleOp' and name in variables
    }
    assert handles == {'MobilenetV2': 'HPU:0', 'global_step': 'CPU:0'}


@pytest.mark.slow
def test_a_checkpoint_of_the_hpu_restores_there_and_on_the_cpu(one_hpu):
    first, second = one_hpu['losses']
    assert abs(first - second) > 0.01
    # The loss of the second step, on weights that were saved after the first.
    assert one_hpu['restored']['HPU'] == pytest.approx(second, rel=1e-5)
    assert one_hpu['restored']['CPU'] == pytest.approx(second, rel=1e-3)


@pytest.mark.slow
def test_two_clones_are_on_two_hpus_and_share_variables_of_the_first(on_hpu):
    seen = on_hpu('two_hpus', hpus=2)
    assert seen['listed'] == 2
    for name, (kind, device) in seen['placed'].items():
        if kind in ('Conv2D', 'FusedBatchNormV3', 'DepthwiseConv2dNative'):
            assert device == ('HPU:1' if name.startswith('clone_1/') else 'HPU:0'), name
        if kind in ('VarHandleOp', 'ResourceApplyRMSProp') and name.startswith('Mobilenet'):
            assert device == 'HPU:0', name
    assert _count(seen['placed'])['Conv2D'] == {'HPU:0': 15, 'HPU:1': 15}


@pytest.mark.slow
def test_a_missing_kernel_of_the_optimizer_moves_the_variables_and_is_caught(on_hpu):
    message = on_hpu('missing_kernel', lacks='ResourceApplyRMSProp')
    assert 'is on CPU:0, not on HPU:0' in message
    assert '--optimizer' in message


@pytest.mark.slow
def test_horovods_all_reduce_is_on_the_cpu_also_with_hard_placement(on_hpu, mpirun, tmp_path):
    os.environ.setdefault('OMPI_ALLOW_RUN_AS_ROOT', '1')
    os.environ.setdefault('OMPI_ALLOW_RUN_AS_ROOT_CONFIRM', '1')
    on_hpu('horovod', str(tmp_path), command=mpirun)
    for rank in range(2):
        seen = json.loads((tmp_path / f'{rank}.json').read_text())
        assert seen['size'] == 2
        # One per trainable variable, and one for the events of a step.
        assert seen['reduced'] == ['CPU:0'] * (seen['gradients'] + 1)
        assert seen['gradients'] > 5
