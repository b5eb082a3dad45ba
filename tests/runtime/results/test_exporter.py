"""Files of graphs: whole, or not at all and one line."""

import os
import resource
import sys

import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime.results import exporter
from slim import errors


def graph_def():
    with tf.Graph().as_default() as graph:
        tf.constant(list(range(10_000)), name='large')
        return graph.as_graph_def()


@pytest.fixture
def small_disk(monkeypatch):
    """No file of this process may have more than 1,000 bytes, which fails as a full disk does."""
    # Python would leave a module half compiled, for good.
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize('as_text', [False, True])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, small_disk, as_text):
    path = tmp_path / 'graph.pb'
    with pytest.raises(errors.OutputError) as refused:
        exporter.write(graph_def(), str(path), as_text)
    assert str(path) in str(refused.value) and '\n' not in str(refused.value)
    assert len(str(refused.value)) < 300
    assert os.listdir(tmp_path) == []


def test_a_written_graph_is_whole_and_alone(tmp_path):
    path = tmp_path / 'new' / 'graph.pb'
    exporter.write(graph_def(), str(path))
    assert tf.GraphDef.FromString(path.read_bytes()) == graph_def()
    assert os.listdir(path.parent) == ['graph.pb']


def test_variables_without_weights_are_those_that_freeze_graph_takes():
    with tf.Graph().as_default() as graph:
        with exporter.reference_variables():
            slim.batch_norm(slim.conv2d(tf.zeros([1, 4, 4, 3]), 2, 3))
        inside = {operation.type for operation in graph.get_operations()}
        slim.fully_connected(tf.zeros([1, 3]), 2, scope='after')
        after = {operation.type for operation in graph.get_operations()}
    assert 'VariableV2' in inside and 'VarHandleOp' not in inside
    assert 'VarHandleOp' in after
