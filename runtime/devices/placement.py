"""Where TensorFlow has really put the operations of a step, and whether that is where they belong.

Cards leave to the CPU what they have no kernel for (soft placement). One missing kernel takes with
it everything that must be beside it: without a kernel for its update, a variable, its slots and all
that reads them move to the CPU in silence. So the first step is looked at.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable

import tensorflow.compat.v1 as tf

from slim import errors

# What belongs to a card wherever it was put on one: state, updates, and what a network computes.
# Everything else may be left to the CPU, and is counted in the log.
_BELONGS_TO_CARD = re.compile(
    r'VarHandleOp|Resource(Sparse)?Apply\w+|Conv[23]D\w*|Depthwise\w+|\w*MatMul\w*|BiasAdd\w*|'
    r'(_?FusedBatchNorm\w*)|(Relu|Relu6|Elu|Selu|Softplus|Sigmoid|Tanh)(Grad)?|'
    r'(Avg|Max)Pool\w*|LRN(Grad)?|Softmax\w*'
)
# What runs on the CPU by nature: input, workers (but see runtime/workers/cluster.py), files, text.
_BELONGS_TO_HOST = re.compile(
    r'\w*(Dataset|Iterator|Horovod|Save|Restore|Summary|String|PyFunc|Assert|Print)\w*|'
    r'_?(Host)?(Send|Recv)|_Arg|_Retval|NoOp|Const|Placeholder\w*'
)
_IN_LOOP = re.compile(r'^.*/body/_\d+/')
_SHOWN = 4


def check(graph: tf.Graph, partitions: Iterable[tf.GraphDef]) -> str:
    """Compares where operations are with where they were put.

    Args:
      graph: as it was built; the devices there are what was asked for.
      partitions: the graphs of the devices, as session.run reports them.

    Returns:
      One line for the log: operations per device, and the kinds that were left to the CPU.

    Raises:
      DeviceError: variables, updates or the network's operations are not on their device.
    """
    asked = {operation.name: operation.device for operation in graph.get_operations()}
    per_device: collections.Counter[str] = collections.Counter()
    left: collections.Counter[str] = collections.Counter()
    misplaced: list[str] = []
    for partition in partitions:
        for node in partition.node:
            actual = short_name(node.device)
            per_device[actual] += 1
            # The body of a loop has copies of operations, under their names (repetition.py).
            wanted = short_name(asked.get(_IN_LOOP.sub('', node.name), ''))
            if wanted in ('', actual) or _BELONGS_TO_HOST.fullmatch(node.op):
                continue
            if _BELONGS_TO_CARD.fullmatch(node.op):
                misplaced.append(f'{node.name} ({node.op}) is on {actual}, not on {wanted}')
            else:
                left[node.op] += 1
    if misplaced:
        rest = len(misplaced) - _SHOWN
        raise errors.DeviceError(
            f'{len(misplaced)} operations are not where they belong: '
            + '; '.join(sorted(misplaced)[:_SHOWN])
            + (f'; and {rest} more' if rest > 0 else '')
            + '. Has the device no kernel for one of them, or for what must be beside them, such '
            'as the --optimizer?'
        )
    shown = ', '.join(f'{number} on {device}' for device, number in sorted(per_device.items()))
    kinds = ', '.join(f'{number} {kind}' for kind, number in left.most_common(_SHOWN))
    return f'operations: {shown}' + (f'; left to another device: {kinds}' if kinds else '')


def short_name(device: str) -> str:
    """`/job:localhost/replica:0/task:0/device:CPU:0` -> `CPU:0`; '' for no device."""
    return device.rpartition('device:')[2]
