"""Whether a checkpoint fits a network of which it is not known how many classes it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow.compat.v1 as tf

from runtime.checkpoints import files
from runtime.checkpoints.averages import AVERAGE_SUFFIX

# A network is built with so many classes where they are not known: no layer has as many channels.
UNKNOWN_CLASSES = 9973
_OF_TRAINING = ('beta1_power', 'beta2_power')

Shape = list[int]


@dataclasses.dataclass(frozen=True)
class Fit:
    """A network's variables beside those of a checkpoint."""

    name: str  # of the network
    num_classes: int | None  # that fit best; None where the checkpoint has no such layer
    variables: int  # of the network
    missing: tuple[str, ...]  # names of variables that the checkpoint lacks
    misshapen: tuple[str, ...]  # `NAME is SHAPE in the checkpoint and SHAPE here`
    left_over: tuple[str, ...]  # names in the checkpoint that are not the network's

    @property
    def fits(self) -> bool:
        """Whether evaluation could take the checkpoint."""
        return not self.missing and not self.misshapen

    @property
    def distance(self) -> tuple[int, int]:
        """Smaller is closer."""
        return len(self.missing) + len(self.misshapen), len(self.left_over)


def held_variables(prefix: str) -> dict[str, Shape]:
    """Name to shape of what a network can take from a checkpoint, averages under their variable's
    name. CheckpointError where it cannot be read."""
    return {
        name.removesuffix(AVERAGE_SUFFIX): shape
        for name, shape in sorted(files.shapes(prefix).items())
    }


def compare(
    name: str, num_classes: int | None, held: Mapping[str, Shape], variables: Sequence[tf.Variable]
) -> Fit:
    """How a network's variables fit what a checkpoint holds.

    Args:
      name: of the network.
      num_classes: that it was built with; UNKNOWN_CLASSES: any number fits.
      held: from `held_variables`.
      variables: of the network.
    """
    wanted = {variable.op.name: variable.shape.as_list() for variable in variables}
    if num_classes == UNKNOWN_CLASSES:
        num_classes = _num_classes(held, wanted)
    if num_classes:
        wanted = {key: _with_classes(shape, num_classes) for key, shape in wanted.items()}
    misshapen = tuple(
        f'{key} is {held[key]} in the checkpoint and {shape} here'
        for key, shape in wanted.items()
        if key in held and held[key] != shape
    )
    return Fit(
        name,
        num_classes,
        len(wanted),
        tuple(key for key in wanted if key not in held),
        misshapen,
        tuple(key for key in held if key not in wanted and not _of_training(key, held, wanted)),
    )


def _num_classes(held: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> int | None:
    """The most frequent size in the checkpoint of what has UNKNOWN_CLASSES here."""
    found = [
        held[name][shape.index(UNKNOWN_CLASSES)]
        for name, shape in wanted.items()
        if UNKNOWN_CLASSES in shape and len(held.get(name, ())) == len(shape)
    ]
    return max(found, key=found.count) if found else None


def _with_classes(shape: Shape, num_classes: int) -> Shape:
    return [num_classes if size == UNKNOWN_CLASSES else size for size in shape]


def _of_training(name: str, held: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> bool:
    """Whether it is the step or what an optimizer keeps of a variable: `WEIGHTS/Momentum`."""
    if name in _OF_TRAINING or name == files.step_name([name]):
        return True
    scope = name.rpartition('/')[0]
    return scope in wanted or scope in held
