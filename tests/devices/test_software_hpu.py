"""Placement without a card: TensorFlow places on a device of type HPU that the tests bring along."""

from __future__ import annotations

import collections
import importlib.util
import json
import os
import pathlib
import sys

import pytest

VARIABLES_OF_MOBILENET_V2 = 262


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


def test_the_training_graph_is_on_the_hpu_and_its_input_on_the_cpu(on_hpu):
    seen = on_hpu('training_graph', '1')
    assert seen['listed'] == 1
    counted = _count(seen['placed'])
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
    # Weights, slots, statistics and averages; the step, an int64, is the one on the CPU.
    on_cpu = {
        name
        for name, (kind, device) in seen['placed'].items()
        if kind == 'VarHandleOp' and device == 'CPU:0'
    }
    assert on_cpu == {'global_step'}
    assert counted['VarHandleOp']['HPU:0'] > 2 * VARIABLES_OF_MOBILENET_V2
    random = [kind for kind in counted if kind.startswith('StatelessRandom')]
    assert random
    assert all(set(counted[kind]) == {'CPU:0'} for kind in random)
    assert ' on CPU:0, ' in seen['line']
    assert ' on HPU:0' in seen['line']
    assert set(seen['resource']) == {'VarHandleOp'}


def test_the_hpu_computes_what_the_cpu_computes(on_hpu):
    assert on_hpu('training_graph', '1')['losses'] == pytest.approx(on_hpu('cpu_losses'), rel=1e-3)


def test_two_clones_are_on_two_hpus_and_share_variables_of_the_first(on_hpu):
    seen = on_hpu('training_graph', '2', hpus=2)
    assert seen['listed'] == 2
    for name, (kind, device) in seen['placed'].items():
        if kind in ('Conv2D', 'FusedBatchNormV3', 'DepthwiseConv2dNative'):
            assert device == ('HPU:1' if name.startswith('clone_1/') else 'HPU:0'), name
        if kind in ('VarHandleOp', 'ResourceApplyRMSProp') and name != 'global_step':
            assert device == 'HPU:0', name
    assert _count(seen['placed'])['Conv2D'] == {'HPU:0': 36, 'HPU:1': 36}


def test_a_checkpoint_of_the_hpu_restores_there_and_on_the_cpu(on_hpu, tmp_path):
    expected, values = on_hpu('save_and_restore', str(tmp_path))
    assert values == pytest.approx([expected, expected], rel=1e-3)


def test_a_missing_kernel_of_the_optimizer_moves_the_variables_and_is_caught(on_hpu):
    message = on_hpu('missing_kernel', lacks='ResourceApplyRMSProp')
    assert 'is on CPU:0, not on HPU:0' in message
    assert '--optimizer' in message
    assert on_hpu('missing_kernel') is None


def test_horovods_all_reduce_is_on_the_cpu_also_with_hard_placement(on_hpu, mpirun, tmp_path):
    os.environ.setdefault('OMPI_ALLOW_RUN_AS_ROOT', '1')
    os.environ.setdefault('OMPI_ALLOW_RUN_AS_ROOT_CONFIRM', '1')
    on_hpu('horovod', str(tmp_path), command=mpirun)
    for rank in range(2):
        seen = json.loads((tmp_path / f'{rank}.json').read_text())
        assert seen['size'] == 2
        counted = _count(seen['reduced'])
        assert set(counted) == {'HorovodAllreduce'}
        # One per trainable variable, and the two common flags.
        assert counted['HorovodAllreduce'] == {'CPU:0': 158 + 2}
