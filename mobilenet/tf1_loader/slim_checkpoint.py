"""The variables of a network in a checkpoint that slim saved: which they are, and their values.

Beside them there are an optimizer's slots, moving averages, counters and losses.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from mobilenet.tf1_loader import names
from runtime import folders
from runtime.checkpoints import files
from runtime.checkpoints.averages import AVERAGE_SUFFIX
from slim import errors

# No variables of a network, wherever they stand: counters, losses and the ranges that training
# with fake quantisation leaves.
_NO_WEIGHTS = re.compile('global_step|loss|_quant/|_power$|RMSProp|Momentum')
# In every checkpoint of tf.train.Checkpoint.
_OBJECT_GRAPH = '_CHECKPOINTABLE_OBJECT_GRAPH'


@dataclasses.dataclass(frozen=True)
class Held:
    """What a checkpoint holds of a network."""

    prefix: str
    scope: str
    sources: Mapping[str, str]  # variable, below the scope, to the name that its value has
    shapes: Mapping[str, list[int]]  # the same variables
    note: str  # which values these are: averages or the last ones

    def read(self) -> dict[str, Any]:
        """The values by the variables' names below the scope, as arrays.

        Raises:
          CheckpointError: the files are damaged.
        """
        try:
            with files.openable(self.prefix) as opened:
                reader: Any = tf.train.load_checkpoint(opened)
                # By name, the order in which they lie in the file.
                order = sorted(self.sources, key=lambda name: self.sources[name])
                return {name: reader.get_tensor(self.sources[name]) for name in order}
        except (tf.errors.OpError, ValueError, LookupError, RuntimeError) as error:
            raise files.unreadable(self.prefix, folders.reason(error)) from error


def look_into(
    checkpoint_path: str,
    scope: str | None = None,
    use_mv_average: bool = True,
    exclude_filters: Iterable[str] = (),
) -> Held:
    """Finds the network's variables in a checkpoint; reads no values.

    Args:
      checkpoint_path: a checkpoint, or a folder of which the newest one counts.
      scope: of the network. None, or one that is not there: that of most variables.
      use_mv_average: take a variable's moving average where it has one.
      exclude_filters: variables with one of these in their name are no part of the network.

    Raises:
      CheckpointError: there is no checkpoint, it cannot be read, or holds no variables.
    """
    prefix = files.find(checkpoint_path, 'checkpoint_path')
    shapes = files.shapes(prefix)
    if _OBJECT_GRAPH in shapes:
        raise errors.CheckpointError(
            f'Checkpoint {prefix} is of a Keras model, not of a slim network: restore it with '
            'tf.train.Checkpoint(model=model).restore(...)'
        )
    own = {name.removesuffix(AVERAGE_SUFFIX) for name in shapes}
    skipped = tuple(exclude_filters)
    # What stands below another variable's name is its slot.
    weights = [
        name
        for name in sorted(own)
        if not _NO_WEIGHTS.search(name)
        and name.rpartition('/')[0] not in own
        and not any(word in name for word in skipped)
        and '/' in name
    ]
    scopes = collections.Counter(name.split('/')[0] for name in weights)
    if not scopes:
        raise errors.CheckpointError(f'Checkpoint {prefix} holds no variables of a slim network')
    if scope is None or scope not in scopes:
        scope = scopes.most_common(1)[0][0]
    sources, held, averaged = {}, {}, 0
    for name in weights:
        first, _, rest = name.partition('/')
        # Another scope's layers would be left over; whatever else it has is none of a network's.
        if first != scope and name.rpartition('/')[2] not in names.WEIGHT_ORDER:
            continue
        average = name + AVERAGE_SUFFIX
        take_average = average in shapes and (use_mv_average or name not in shapes)
        source = average if take_average else name
        averaged += take_average
        below = rest if first == scope else name
        sources[below], held[below] = source, shapes[source]
    note = _note(averaged, len(sources))
    return Held(prefix, scope, sources, held, note)


def _note(averaged: int, total: int) -> str:
    if not averaged:
        return 'last weights'
    if averaged == total:
        return 'moving averages'
    return (
        f'moving averages of {averaged} variables, and {total - averaged} that have none as they '
        'were last'
    )


def write(prefix: str, values: Mapping[str, Any]) -> None:
    """Writes arrays by name as a checkpoint that TensorFlow 1's savers read.

    Raises:
      OutputError: the files cannot be written.
    """
    try:
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=list(values),
            shape_and_slices=[''] * len(values),
            tensors=[tf.convert_to_tensor(value) for value in values.values()],
        )
    except tf.errors.OpError as error:
        raise folders.cannot_write(prefix, error) from error
