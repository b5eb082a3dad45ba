"""Processor seconds to build a network in inference form, against plain calls of slim.

  python3 benchmarks/building.py                        (the networks of NETWORKS)
  python3 benchmarks/building.py mobilenet_v2 resnet_v1_50

The yardstick is the same graph without the network's code: every convolution, classifier and batch
norm is one slim call with the arguments read off the built graph, every other op is created bare,
and the tensors are connected as they were. The list of calls is drawn up beforehand; timed is only
running it. Both are built in turns, REPEATS times. Ends with an error where the two graphs differ
in the types of the ops that the images run through, or in the shapes of their variables.
"""

from __future__ import annotations

import collections
import functools
import gc
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import tensorflow.compat.v1 as tf

import slim
from nets import nets_factory

NETWORKS = ('inception_resnet_v2', 'nasnet_large', 'mobilenet_v3_large')
REPEATS = 7
NUM_CLASSES = 1001
VIDEO_FRAMES = {'i3d': 64, 's3dg': 64}
IMAGES = 'images:0'


class Call(NamedTuple):
    """One call of the plain sequence; tensors go by the names of the network's graph."""

    function: Callable[..., Any]  # (*tensors, **arguments) -> a tensor, or a list of them
    inputs: list[str]
    arguments: dict[str, Any]
    outputs: list[str]


class Layer(NamedTuple):
    """What one slim call makes of several ops."""

    function: Callable[..., tf.Tensor]
    arguments: dict[str, Any]
    last: tf.Operation  # whose output the call returns


# From a built graph to calls


def _variable(operation: tf.Operation) -> str:
    """The variable behind the second input (kernel, or scale of a batch norm); '' for none."""
    source = operation.inputs[1].op
    while source.type in ('ReadVariableOp', 'Identity'):
        source = source.inputs[0].op
    return source.name if source.type in ('VarHandleOp', 'VariableV2') else ''


def _follower(operation: tf.Operation, *types: str) -> tf.Operation | None:
    """The only op that uses the first output, if it has one of the types."""
    consumers = operation.outputs[0].consumers()
    return consumers[0] if len(consumers) == 1 and consumers[0].type in types else None


def _spatial(operation: tf.Operation) -> dict[str, Any]:
    return {
        'stride': operation.get_attr('strides')[1:-1],
        'rate': operation.get_attr('dilations')[1:-1],
        'padding': operation.get_attr('padding').decode(),
    }


def _with_activation(last: tf.Operation) -> tuple[tf.Operation, Any]:
    activation = _follower(last, 'Relu', 'Relu6')
    if activation is None:
        return last, None
    return activation, {'Relu': tf.nn.relu, 'Relu6': tf.nn.relu6}[activation.type]


def _norm_arguments(operation: tf.Operation) -> dict[str, Any]:
    return {'center': True, 'scale': bool(_variable(operation))}


def _layer(function: Callable[..., tf.Tensor], operation: tf.Operation, **arguments: Any) -> Layer:
    """The layer whose product is `operation`, with biases or batch norm and the activation."""
    arguments.update(normalizer_fn=None, biases_initializer=None)
    last = operation
    bias, norm = _follower(operation, 'BiasAdd'), _follower(operation, 'FusedBatchNormV3')
    if bias is not None:
        arguments['biases_initializer'] = tf.zeros_initializer()
        last = bias
    elif norm is not None:
        arguments['normalizer_fn'] = slim.batch_norm
        arguments['normalizer_params'] = _norm_arguments(norm)
        last = norm
    last, arguments['activation_fn'] = _with_activation(last)
    return Layer(function, arguments, last)


def _convolution(function: Callable[..., tf.Tensor], operation: tf.Operation) -> Layer:
    *kernel_size, _, width = operation.inputs[1].shape.as_list()
    arguments = {'num_outputs': width, 'kernel_size': kernel_size, **_spatial(operation)}
    return _layer(function, operation, **arguments)


def _depthwise(operation: tf.Operation) -> Layer:
    """Alone, or with the pointwise half of the same layer."""
    *kernel_size, _, depth_multiplier = operation.inputs[1].shape.as_list()
    arguments = {
        'num_outputs': None,
        'kernel_size': kernel_size,
        'depth_multiplier': depth_multiplier,
        **_spatial(operation),
    }
    pointwise = _follower(operation, 'Conv2D')
    scopes = [_variable(each).rpartition('/')[0] for each in (operation, pointwise or operation)]
    if pointwise is not None and scopes[0] == scopes[1]:
        arguments['num_outputs'] = pointwise.outputs[0].shape.as_list()[-1]
        operation = pointwise
    return _layer(slim.separable_conv2d, operation, **arguments)


def _dense(operation: tf.Operation) -> Layer:
    width = operation.outputs[0].shape.as_list()[-1]
    return _layer(slim.fully_connected, operation, num_outputs=width)


def _batch_norm(operation: tf.Operation) -> Layer:
    last, activation_fn = _with_activation(operation)
    arguments = {**_norm_arguments(operation), 'activation_fn': activation_fn}
    return Layer(slim.batch_norm, arguments, last)


_LAYERS = {
    'Conv2D': functools.partial(_convolution, slim.conv2d),
    'Conv3D': functools.partial(_convolution, slim.conv3d),
    'DepthwiseConv2dNative': _depthwise,
    'MatMul': _dense,
    'FusedBatchNormV3': _batch_norm,
}


def _create_op(
    *inputs: tf.Tensor, op_type: str, dtypes: list[Any], attrs: dict[str, Any]
) -> list[tf.Tensor]:
    return tf.get_default_graph().create_op(op_type, list(inputs), dtypes, attrs=attrs).outputs


def plan(graph: tf.Graph) -> list[Call]:
    """The calls that build what `graph` computes from its images."""
    calls: list[Call] = []
    known = {IMAGES}

    def add(function: Any, inputs: Any, arguments: dict[str, Any], outputs: Any) -> None:
        names = [tensor.name for tensor in outputs]
        calls.append(Call(function, [tensor.name for tensor in inputs], arguments, names))
        known.update(names)

    def add_bare(operation: tf.Operation) -> None:
        if operation.type in ('VarHandleOp', 'VariableV2'):
            raise SystemExit(f'{operation.name}: only variables of slim layers can be replayed.')
        for tensor in operation.inputs:
            if tensor.name not in known:
                add_bare(tensor.op)  # a constant, or computed from such
        attrs = {
            name: value
            for name, value in operation.node_def.attr.items()
            if not name.startswith('_')
        }
        dtypes = [tensor.dtype for tensor in operation.outputs]
        arguments = {'op_type': operation.type, 'dtypes': dtypes, 'attrs': attrs}
        add(_create_op, operation.inputs, arguments, operation.outputs)

    inside_layers = set()
    from_images = {IMAGES}
    for operation in graph.get_operations():  # in the order of creation: inputs first
        if not any(tensor.name in from_images for tensor in operation.inputs):
            continue
        from_images.update(tensor.name for tensor in operation.outputs)
        if operation.outputs[0].name in known or operation.name in inside_layers:
            continue
        if operation.type not in _LAYERS:
            add_bare(operation)
            continue
        layer = _LAYERS[operation.type](operation)
        step = operation
        while step is not layer.last:
            inside_layers.add(step.name)
            step = step.outputs[0].consumers()[0]
        add(layer.function, operation.inputs[:1], layer.arguments, layer.last.outputs[:1])
    return calls


# The two ways of building


def _images(name: str) -> tf.Tensor:
    """float32 [1, size, size, 3], or with frames after the batch."""
    size = nets_factory.networks_map[name].default_image_size
    frames = [VIDEO_FRAMES[name]] if name in VIDEO_FRAMES else []
    return tf.placeholder(tf.float32, [1, *frames, size, size, 3], name='images')


def build_network(name: str) -> None:
    nets_factory.get_network_fn(name, NUM_CLASSES)(_images(name))


def build_plainly(name: str, calls: list[Call]) -> None:
    """The calls, under the network's own arg scope for its initializers and its norm."""
    tensors = {IMAGES: _images(name)}
    with (
        slim.arg_scope(nets_factory.arg_scopes_map[name](weight_decay=0.0)),
        slim.arg_scope([slim.batch_norm], is_training=False),
    ):
        for call in calls:
            inputs = [tensors[tensor] for tensor in call.inputs]
            results = call.function(*inputs, **call.arguments)
            results = results if isinstance(results, list) else [results]
            tensors.update(zip(call.outputs, results, strict=True))


def timed(build: Callable[[], None]) -> tuple[float, tf.Graph]:
    """Processor seconds of `build` in a fresh graph, and the graph."""
    gc.collect()
    with tf.Graph().as_default() as graph:
        begin = time.process_time()
        build()
        return time.process_time() - begin, graph


def _contents(graph: tf.Graph) -> tuple[dict[str, int], list[list[int]]]:
    """Ops on the way from the images by type, without copies; shapes of the variables."""
    counts: collections.Counter[str] = collections.Counter()
    from_images = {IMAGES}
    for operation in graph.get_operations():
        if any(tensor.name in from_images for tensor in operation.inputs):
            from_images.update(tensor.name for tensor in operation.outputs)
            counts[operation.type] += 1
    shapes = [
        variable.shape.as_list() for variable in graph.get_collection(tf.GraphKeys.MODEL_VARIABLES)
    ]
    return counts, shapes


def measure(name: str) -> None:
    """Prints one line."""
    network = functools.partial(build_network, name)
    _, graph = timed(network)
    plain = functools.partial(build_plainly, name, plan(graph))
    _, plain_graph = timed(plain)
    if _contents(graph) != _contents(plain_graph):
        raise SystemExit(f'{name}: the plain calls build another graph; mend _LAYERS.')
    ops = [len(each.get_operations()) for each in (graph, plain_graph)]
    runs = [(timed(network)[0], timed(plain)[0]) for _ in range(REPEATS)]
    medians = [statistics.median(seconds) for seconds in zip(*runs, strict=True)]
    print(
        f'{name:32} {medians[0]:7.2f} s {ops[0]:6} ops   plain {medians[1]:7.2f} s {ops[1]:6} ops'
        f'   ratio {medians[0] / medians[1]:.2f}',
        flush=True,
    )


def main() -> None:
    for name in sys.argv[1:] or NETWORKS:
        measure(name)


if __name__ == '__main__':
    main()
