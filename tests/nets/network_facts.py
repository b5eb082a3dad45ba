"""What can be read off a built graph, in the words of the contract files.

A contract file, `tests/data/contract/NAME.json.gz`, holds the facts of one network in training form
and, where they differ, in inference form, as the classic suite built it on TensorFlow 2.15:
`{"input_shape": ..., "train": {fact: value}, "eval": {fact: value}}`. `FACTS` says how each fact is
taken from a graph, so a further network needs no more than its file.

In one place the files differ from the classic suite: its nasnet_cifar, nasnet_large and
pnasnet_large, in training form, created the global step inside of their first cell, such as
`cell_stem_0/comb_iter_0/left/global_step`. Here, and in the files, it is `global_step`.
"""

from __future__ import annotations

import collections
import gc
import gzip
import json
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from nets import nets_factory
from runtime.results import inspection

CONTRACT = pathlib.Path(__file__).parents[1] / 'data' / 'contract'
FORMS = ('train', 'eval')
# Deeper, wider or narrower than another network of the same code, which is always tested.
_SIBLINGS = {
    'resnet_v1_50': ('resnet_v1_101', 'resnet_v1_152', 'resnet_v1_200'),
    'resnet_v2_50': ('resnet_v2_101', 'resnet_v2_152', 'resnet_v2_200'),
    'nasnet_mobile': ('nasnet_cifar', 'nasnet_large'),
    'pnasnet_mobile': ('pnasnet_large',),
    'mobilenet_v1': ('mobilenet_v1_075', 'mobilenet_v1_050', 'mobilenet_v1_025'),
    'mobilenet_v2': ('mobilenet_v2_140', 'mobilenet_v2_050', 'mobilenet_v2_035'),
    'mobilenet_edgetpu': ('mobilenet_edgetpu_075',),
}
SIBLINGS = [name for names in _SIBLINGS.values() for name in names]
# Of theirs a form takes some ten seconds, while other tests run.
_LARGE = (
    'i3d',
    's3dg',
    'inception_v2',
    'inception_v3',
    'inception_v4',
    'inception_resnet_v2',
    'resnet_v2_50',
    'nasnet_mobile',
    'pnasnet_mobile',
    'mobilenet_v3_large',
    'mobilenet_edgetpu',
)


def networks() -> list[Any]:
    """Names of all classifiers of the factory, as parameters; siblings are marked slow and once."""
    marks = {
        **{name: [pytest.mark.slow] for name in _LARGE},
        **{name: [pytest.mark.slow, pytest.mark.once] for name in SIBLINGS},
    }
    return [pytest.param(name, marks=marks.get(name, ())) for name in classifiers()]


def networks_and_forms() -> list[Any]:
    """The same with each form. How a sibling's training differs from its inference is what its
    network's does; it is looked at with --exhaustive. Training has twice the operations: once."""
    pairs = []
    for network in networks():
        (name,) = network.values
        for form in FORMS:
            rare = [pytest.mark.exhaustive] if form == 'train' and name in SIBLINGS else []
            costly = [pytest.mark.once] if form == 'train' else []
            pairs.append(pytest.param(name, form, marks=[*network.marks, *rare, *costly]))
    return pairs


def classifiers() -> list[str]:
    """The rows but for those that find boxes, which `test_mobilenet_zehaos` is for."""
    return [row.name for row in nets_factory.NETWORKS if not row.finds_boxes]


def load_contract(name: str) -> dict[str, Any]:
    """The contract of a network, both forms complete."""
    contract = json.loads(gzip.decompress((CONTRACT / f'{name}.json.gz').read_bytes()))
    contract['eval'] = {**contract['train'], **contract['eval']}
    for fact in _TRAINING_ONLY:
        contract['eval'].pop(fact, None)
    return contract


class Built(NamedTuple):
    """A network in its own graph."""

    graph: tf.Graph
    logits: tf.Tensor
    end_points: dict[str, tf.Tensor]


def build(network_fn: Callable[..., Any], input_shape: list[int]) -> Built:
    gc.collect()  # earlier graphs, up to 500 MB each, which are circles of references
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, input_shape)
        logits, end_points = network_fn(images)
    return Built(graph, logits, end_points)


def measure(built: Built, facts: list[str]) -> dict[str, Any]:
    """The named facts of a built network, as plain Python values."""
    with built.graph.as_default():
        return {fact: FACTS[fact](built) for fact in facts}


def variables_without_gradient(built: Built) -> list[str]:
    """Trainable variables that no classifier, the auxiliary one included, depends on."""
    outputs = [built.logits, built.end_points.get('AuxLogits')]
    with built.graph.as_default():
        loss = tf.add_n([tf.reduce_sum(output) for output in outputs if output is not None])
        variables = tf.trainable_variables()
        gradients = tf.gradients(loss, variables)
    return [v.op.name for v, gradient in zip(variables, gradients, strict=True) if gradient is None]


def _variables(built: Built) -> list[list[Any]]:
    trainable = {variable.op.name for variable in tf.trainable_variables()}
    return [
        [variable.op.name, variable.shape.as_list(), variable.op.name in trainable]
        for variable in slim.get_model_variables()
    ]


def _global_not_model_variables(built: Built) -> list[str]:
    model = {variable.op.name for variable in slim.get_model_variables()}
    return [var.op.name for var in tf.global_variables() if var.op.name not in model]


def _num_params(variables: list[Any]) -> int:
    return sum(variable.shape.num_elements() for variable in variables)


def _op_type_counts(built: Built) -> dict[str, int]:
    counts = collections.Counter(operation.type for operation in built.graph.get_operations())
    return {kind: counts[kind] for kind in _COUNTED_OPS if counts[kind]}


_COUNTED_OPS = (  # the types that the contract counts
    'Conv2D',
    'Conv3D',
    'DepthwiseConv2dNative',
    'MatMul',
    'FusedBatchNormV3',
    'Relu',
    'Relu6',
    'AvgPool',
    'MaxPool',
    'MaxPool3D',
    'Mean',
    'BiasAdd',
    'LRN',
)


def _macs(built: Built) -> dict[str, dict[str, int]]:
    """Multiply-adds per image by kind of op."""
    macs: dict[str, dict[str, int]] = {}
    for operation in built.graph.get_operations():
        of_batch = inspection.multiply_adds(operation)
        if of_batch is not None:
            entry = macs.setdefault(operation.type, {'count': 0, 'macs': 0})
            entry['count'] += 1
            entry['macs'] += of_batch // built.logits.shape.as_list()[0]
    return macs


def _constants_below(built: Built, prefix: str) -> dict[str, float]:
    return {
        operation.name.rsplit('/', 1)[1]: float(tf.get_static_value(operation.outputs[0]))
        for operation in built.graph.get_operations()
        if operation.type == 'Const' and operation.name.startswith(prefix)
    }


def _weight_initializers(built: Built) -> list[list[Any]]:
    scalars: dict[str, dict[str, Any]] = collections.defaultdict(dict)
    for operation in built.graph.get_operations():
        variable, found, initializer = operation.name.partition('/Initializer/')
        kind, _, leaf = initializer.partition('/')
        if found and leaf in ('mean', 'stddev', 'min', 'max'):
            value = float(tf.get_static_value(operation.outputs[0]))
            scalars[variable][kind] = {**scalars[variable].get(kind, {}), leaf: value}
    return [
        [variable, kind, {leaf: values[leaf] for leaf in sorted(values)}]
        for variable, kinds in scalars.items()
        for kind, values in kinds.items()
    ]


def _other_initial_values(built: Built) -> list[list[Any]]:
    """Variables filled with one number, where it is not the usual one: gamma and moving_variance 1,
    beta, moving_mean and biases 0."""
    usual = {'gamma': 1.0, 'moving_variance': 1.0}
    rows = []
    for variable in tf.global_variables():
        value = tf.get_static_value(variable.initial_value)
        name = variable.op.name
        if value is not None and np.any(value != usual.get(name.rsplit('/', 1)[-1], 0.0)):
            rows.append([name, float(np.ravel(value)[0])])
    return rows


def _regularized_kernels(built: Built) -> list[list[Any]]:
    marker = '/Regularizer/l2_regularizer/scale'
    return [
        [operation.name[: -len(marker)], float(tf.get_static_value(operation.outputs[0]))]
        for operation in built.graph.get_operations()
        if operation.name.endswith(marker)
    ]


def _batch_norm_ops(built: Built) -> dict[str, int]:
    return dict(
        collections.Counter(
            f'FusedBatchNormV3 eps={operation.get_attr("epsilon"):.6g} '
            f'train={operation.get_attr("is_training")} '
            f'exp_avg={operation.get_attr("exponential_avg_factor"):.6g}'
            for operation in built.graph.get_operations()
            if operation.type == 'FusedBatchNormV3'
        )
    )


def _dropout_scales(built: Built) -> list[float]:
    """1 / keep_prob of every dropout layer: what it multiplies the kept values with."""
    return [
        float(tf.get_static_value(operation.inputs[1]))
        for operation in built.graph.get_operations()
        if operation.type == 'Mul' and operation.name.endswith(('/dropout/Mul', '/dropout_1/Mul'))
    ]


FACTS: dict[str, Callable[[Built], Any]] = {
    'variables': _variables,
    'global_not_model_variables': _global_not_model_variables,
    'trainable_params': lambda built: _num_params(tf.trainable_variables()),
    'total_params': lambda built: _num_params(tf.global_variables()),
    'end_points': lambda built: [
        [name, tensor.shape.as_list()] for name, tensor in built.end_points.items()
    ],
    'end_point_tensor_names': lambda built: [
        [name, tensor.name] for name, tensor in built.end_points.items()
    ],
    'logits': lambda built: {
        'name': built.logits.name,
        'shape': built.logits.shape.as_list(),
        'dtype': built.logits.dtype.name,
    },
    'regularization_loss_names': lambda built: [
        loss.op.name for loss in tf.losses.get_regularization_losses()
    ],
    'update_ops': lambda built: len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)),
    'losses_collection': lambda built: len(tf.losses.get_losses()),
    'op_type_counts': _op_type_counts,
    'macs': _macs,
    'weight_initializers': _weight_initializers,
    'other_initial_values': _other_initial_values,
    'regularized_kernels_and_scale': _regularized_kernels,
    'batch_norm_ops': _batch_norm_ops,
    'dropout_scales': _dropout_scales,
}

_TRAINING_ONLY = (
    'weight_initializers',
    'other_initial_values',
    'regularized_kernels_and_scale',
    'batch_norm_ops',
    'dropout_scales',
)
