"""The variables of a graph beside those of a checkpoint: which, and whether they fit."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence

import tensorflow.compat.v1 as tf

from runtime.checkpoints import files
from runtime.checkpoints.averages import AVERAGE_SUFFIX
from slim import errors

_LISTED_VARIABLES = 5


def missing_and_misshapen(
    prefix: str, variables: Mapping[str, tf.Variable]
) -> tuple[list[str], list[str]]:
    """Names that the checkpoint lacks, and lines for those that it holds in another shape.

    Args:
      prefix: the checkpoint.
      variables: name in the checkpoint to variable in the graph.
    """
    held = files.shapes(prefix)
    missing = [name for name in variables if name not in held]
    misshapen = [
        f'{name} is {held[name]} in the checkpoint and {variable.shape.as_list()} here'
        for name, variable in variables.items()
        if name in held and held[name] != variable.shape.as_list()
    ]
    return missing, misshapen


def check_same_network(prefix: str, variables: Sequence[tf.Variable]) -> None:
    """CheckpointError where a checkpoint holds none of a network's variables, averages included."""
    held = {name.removesuffix(AVERAGE_SUFFIX) for name in files.shapes(prefix)}
    names = [variable.op.name for variable in variables]
    if not held.intersection(names):
        raise errors.CheckpointError(
            f'Checkpoint {prefix} holds nothing of this network{_looks_like(held, names)}: give '
            'its --model_name'
        )


def _looks_like(held: Iterable[str], names: Iterable[str]) -> str:
    """`, MobilenetV2; it looks like MobilenetV1`, by the outermost scopes."""
    ours, theirs = (
        collections.Counter(name.split('/')[0] for name in group if '/' in name)
        for group in (names, held)
    )
    if not ours or not theirs:
        return ''
    return f', {_first(ours)}; it looks like {errors.shortened(_first(theirs), 60)}'


def _first(counter: collections.Counter[str]) -> str:
    return counter.most_common(1)[0][0]


def check_all_there(prefix: str, variables: Mapping[str, tf.Variable], advice: str) -> None:
    """CheckpointError that lists what is missing or of another shape, followed by `advice`."""
    missing, misshapen = missing_and_misshapen(prefix, variables)
    if misshapen:
        raise errors.CheckpointError(
            f'Checkpoint {prefix} has other shapes: {_listed(misshapen)}. {advice}'
        )
    if missing:
        raise errors.CheckpointError(f'Checkpoint {prefix} lacks {_listed(missing)}. {advice}')


def by_name(variables: Sequence[tf.Variable]) -> dict[str, tf.Variable]:
    """Checkpoint name to variable."""
    return {variable.op.name: variable for variable in variables}


def without_scopes(variables: Sequence[tf.Variable], scopes: str | None) -> list[tf.Variable]:
    """The variables outside the comma-separated `scopes`, which are prefixes of names.

    Raises:
      UsageError: a scope that no variable has.
    """
    prefixes = _scopes(scopes, variables, 'checkpoint_exclude_scopes')
    return [v for v in variables if not v.op.name.startswith(prefixes)]


def within_scopes(variables: Sequence[tf.Variable], scopes: str | None) -> list[tf.Variable]:
    """The variables inside the comma-separated `scopes`; all of them where it is None.

    Raises:
      UsageError: a scope that no variable has.
    """
    if scopes is None:
        return list(variables)
    prefixes = _scopes(scopes, variables, 'trainable_scopes')
    return [v for v in variables if v.op.name.startswith(prefixes)]


def _scopes(scopes: str | None, variables: Sequence[tf.Variable], flag: str) -> tuple[str, ...]:
    prefixes = tuple(word.strip() for word in (scopes or '').split(',') if word.strip())
    names = [variable.op.name for variable in variables]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            parents = {name.rsplit('/', depth)[0] for name in names for depth in (1, 2, 3)}
            raise errors.UsageError(
                f'--{flag}: no variable begins with {prefix!r}. '
                + errors.did_you_mean(prefix, sorted(parents))
            )
    return prefixes


def unfit_scopes(prefix: str, wanted: Mapping[str, tf.Variable]) -> str:
    """The scopes of what does not fit, such as `MobilenetV2/Logits`, as a flag's value."""
    missing, misshapen = missing_and_misshapen(prefix, wanted)
    names = missing + [line.split(' is ')[0] for line in misshapen]
    scopes = dict.fromkeys('/'.join(name.split('/')[:2]) for name in names)
    return ','.join(list(scopes)[:_LISTED_VARIABLES])


def _listed(lines: Sequence[str]) -> str:
    rest = len(lines) - _LISTED_VARIABLES
    return ', '.join(lines[:_LISTED_VARIABLES]) + (f' and {rest} more' if rest > 0 else '')
