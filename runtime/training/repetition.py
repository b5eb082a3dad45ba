"""Several steps in one run of the session: a loop in the graph around the step.

Each run of a session costs the host some time in which a card waits. The step is built as for one
run, with all that is replaced in the graph on the way. Then a copy of it becomes the body of a
loop: the same operations under the same names, on the same variables and the same input.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from runtime.training.step import Step

# What the body shares with the graph around it instead of having it once more.
_SHARED = ('VarHandleOp', 'IteratorV2', 'Placeholder', 'PlaceholderWithDefault')
# It keeps operations in fp32 by running them by name, which nothing in a loop has.
_LEFT_AWAY = 'also_run'


def repeated(step: Step, most: int) -> Step:
    """The step `most` times, or as often as `Step.count` is fed.

    The fetches are those of the step, each with an axis of steps before its own. A step begins when
    the one before it is done, as in two runs of the session.
    """
    wanted = {name: value for name, value in step.fetches.items() if name != _LEFT_AWAY}
    tensors = [tf.convert_to_tensor(value) for value in tf.nest.flatten(wanted)]
    body_graph, shared = copy_of(tensors)
    count = tf.placeholder_with_default(most, [], name='steps_in_this_run')
    place = next(index for index, name in enumerate(_names(wanted)) if name == 'step')

    def one_more(number: Any, reached: Any, *lists: Any) -> tuple[Any, ...]:
        with tf.control_dependencies([reached]):
            outcome = tf.import_graph_def(
                body_graph,
                input_map={name: tf.identity(tensor) for name, tensor in shared.items()},
                return_elements=[tensor.name for tensor in tensors],
                name='',
            )
        with tf.device('/device:CPU:0'):
            longer = [
                found.write(number, value) for found, value in zip(lists, outcome, strict=True)
            ]
            return number + 1, outcome[place], *longer

    # The device is the host, where the counters are; the body's operations have their own.
    with tf.device('/device:CPU:0'):
        lists = [
            tf.TensorArray(tensor.dtype, count, element_shape=tensor.shape) for tensor in tensors
        ]
        start = tf.train.get_global_step().read_value()
        _, _, *lists = tf.while_loop(
            lambda number, *_: number < count,
            one_more,
            [tf.constant(0), start, *lists],
            parallel_iterations=1,
        )
        stacked = tf.nest.pack_sequence_as(wanted, [found.stack() for found in lists])
    return dataclasses.replace(step, fetches=stacked, count=count, most=most, reached=start)


def outcomes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of each step, from those of a run."""
    return [
        tf.nest.map_structure(lambda value, number=number: value[number], dict(values))
        for number in range(len(values['step']))
    ]


def _names(wanted: Mapping[str, Any]) -> list[str]:
    """The key of each tensor that tf.nest.flatten gives."""
    named = {
        name: tf.nest.map_structure(lambda value, name=name: name, value)
        for name, value in wanted.items()
    }
    return tf.nest.flatten(named)


def copy_of(tensors: list[Any]) -> tuple[tf.GraphDef, dict[str, Any]]:
    """The graph that the tensors come from, and by name the tensors that it takes from outside."""
    graph = tensors[0].graph
    names = list(dict.fromkeys(tensor.op.name for tensor in tensors))
    needed = tf.graph_util.extract_sub_graph(graph.as_graph_def(), names)
    outside = {node.name for node in needed.node if node.op in _SHARED}
    waited_for = {f'^{name}' for name in outside}
    copy = tf.GraphDef(versions=needed.versions, library=needed.library)
    for node in needed.node:
        if node.name not in outside:
            copied = copy.node.add()
            copied.CopyFrom(node)
            copied.ClearField('input')
            copied.input.extend(name for name in node.input if name not in waited_for)
            # Of what is outside there is no copy to be beside; each operation has its device.
            copied.attr.pop('_class', None)
    return copy, {f'{name}:0': graph.get_tensor_by_name(f'{name}:0') for name in outside}
