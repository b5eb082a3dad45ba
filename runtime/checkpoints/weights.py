"""The weights of a checkpoint that are evaluated or exported: averages, or the last values."""

from __future__ import annotations

import dataclasses

import tensorflow.compat.v1 as tf

import slim
from runtime.checkpoints import averages, comparison, files
from slim import errors


@dataclasses.dataclass(frozen=True)
class Weights:
    """What to load, and what to call it."""

    saver: tf.train.Saver  # of the network's variables
    note: str


def of_checkpoint(prefix: str, moving_average_decay: float | None) -> Weights:
    """The network's variables, from their moving averages where there is a decay.

    A checkpoint may have averages of what learns alone; the statistics of batch norm then come
    from under their own names.

    Raises:
      CheckpointError: it is of another network, or averages or variables are not there, or have
        other shapes.
    """
    variables = slim.get_model_variables()
    comparison.check_same_network(prefix, variables)
    wanted, note = comparison.by_name(variables), 'last weights'
    if moving_average_decay:
        wanted, note = _averaged(prefix, variables)
    comparison.check_all_there(
        prefix,
        wanted,
        'Is it of another --model_name, data set or --labels_offset, or does the data set lack its '
        'dataset.json?',
    )
    return Weights(tf.train.Saver(wanted), note)


def _averaged(prefix: str, variables: list[tf.Variable]) -> tuple[dict[str, tf.Variable], str]:
    held = files.shapes(prefix)
    if not any(name.endswith(averages.AVERAGE_SUFFIX) for name in held):
        raise errors.CheckpointError(
            f'Checkpoint {prefix} has no moving averages; take its last weights with '
            '--moving_average_decay=0'
        )
    learned = {variable.op.name for variable in tf.trainable_variables()}
    wanted, own = {}, 0
    for variable in variables:
        name = variable.op.name
        average = name + averages.AVERAGE_SUFFIX
        if average not in held and name in held and name not in learned:
            wanted[name] = variable
            own += 1
        else:
            wanted[average] = variable
    note = 'moving averages'
    if own:
        note += f' of what learns, and {own} statistics, of which it has none, as they were last'
    return wanted, note
