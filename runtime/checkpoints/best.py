"""The best checkpoint of a run by its validations: `best.json`, and its files in the folder `best`.

The folder has the run's form (a checkpoint, its note, TensorFlow's list), so whatever takes the
path of a run takes this one. The files are links to those of the run where the file system has
them, and stay when the run lets its own go.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import folders, options
from runtime.checkpoints import keeping, listing

FILE = 'best.json'
FOLDER = 'best'
_LIMIT = 1_000_000  # bytes
_MOST_STEPS = 10_000  # that are remembered without a better value
_LARGEST_STEP = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Best:
    """The best validation of a run, and those since."""

    metric: str  # of options.METRICS
    value: float | None  # None where it was not finite, which is worse than any number
    step: int
    epoch: float
    checkpoint: str | None  # below the folder of the run; None where none was kept
    since: tuple[int, ...] = ()  # steps of the validations after it, none of which was better

    @property
    def validated(self) -> int:
        """The step of the last validation."""
        return max(self.step, *self.since, 0)

    def with_validation(self, value: float, step: int) -> Best | None:
        """With one more that was not better; None where it was."""
        if _better(self.metric, _finite(value), self.value):
            return None
        return dataclasses.replace(self, since=(*self.since, step)[-_MOST_STEPS:])

    def at(self, step: int) -> Best | None:
        """As it was at a step at which the run goes on; None where it began later."""
        if self.step > step:
            return None
        return dataclasses.replace(self, since=tuple(s for s in self.since if s <= step))

    def end(self, chosen: options.ValidationOptions) -> str:
        """Why the run is to end here; '' where it goes on."""
        shown = f'{self.metric} {self.value} at step {self.step}'
        threshold, patience = chosen.stop_threshold, chosen.early_stop_patience
        if threshold is not None and not _better(self.metric, threshold, self.value):
            return f'{shown} is as good as --stop_threshold={threshold:g}'
        if patience is not None and len(self.since) >= patience:
            return (
                f'none of the last {len(self.since)} validations was better than {shown} '
                f'(--early_stop_patience={patience})'
            )
        return ''


def first(metric: str, value: float, step: int, epoch: float, checkpoint: str | None) -> Best:
    """The best one so far."""
    return Best(metric, _finite(value), step, epoch, checkpoint)


def name_at(step: int) -> str:
    """Of the kept checkpoint of `step`, below the folder of its run."""
    return f'{FOLDER}/{listing.CHECKPOINT_NAME}-{step}'


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _better(metric: str, value: float | None, than: float | None) -> bool:
    if value is None or than is None:
        return value is not None
    return value != than and options.BEST_OF[metric](value, than) == value


def read(folder: str, metric: str, kept: bool) -> tuple[Best | None, str]:
    """The best of a run by `metric`; else None, and a line on why what is there is not used.

    The line is '' where there is no such file. With `kept` its checkpoint must be there.
    """
    path = os.path.join(folder, FILE)
    try:
        best = _checked(json.loads(folders.read_text(path, _LIMIT)))
    except (FileNotFoundError, NotADirectoryError, tf.errors.NotFoundError):
        return None, ''
    except (OSError, tf.errors.OpError) as error:
        return None, f'{path} cannot be read: {folders.reason(error)}'
    except (ValueError, LookupError, TypeError, RecursionError):
        return None, f'{path} is damaged'
    if best.metric != metric:
        return None, f'{path} is of {best.metric}, not of {metric}'
    here = {checkpoint.name for checkpoint in listing.checkpoints(os.path.join(folder, FOLDER))}
    if kept and (best.checkpoint is None or os.path.basename(best.checkpoint) not in here):
        return None, f'{path} is of step {best.step}, of which no checkpoint is kept'
    return best, ''


def _checked(content: Any) -> Best:
    """Of parsed JSON, which may be anything; ValueError, LookupError or TypeError."""
    best = Best(**{field.name: content[field.name] for field in dataclasses.fields(Best)})
    steps = [best.step, *best.since]
    numbers = [best.epoch, *([] if best.value is None else [best.value])]
    if (
        best.metric not in options.METRICS
        or not all(type(step) is int and 0 <= step <= _LARGEST_STEP for step in steps)
        or not all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
        or best.checkpoint not in (None, name_at(best.step))
        or len(steps) > _MOST_STEPS + 1
    ):
        raise ValueError('no best validation')
    return dataclasses.replace(best, since=tuple(best.since))


def write(folder: str, best: Best) -> None:
    """Writes best.json, whole or not at all; OutputError where that fails."""
    text = json.dumps(dataclasses.asdict(best), indent=1)
    folders.write_text(os.path.join(folder, FILE), text + '\n')


def keep(folder: str, step: int) -> None:
    """Takes the run's checkpoint of `step` into the folder of the best, in place of others.

    The index comes last, as in a save: without one there is no checkpoint.

    Raises:
      OutputError: it cannot be written.
    """
    target = os.path.join(folder, FOLDER)
    name = f'{listing.CHECKPOINT_NAME}-{step}'
    folders.make_folder(target, 'train_dir')
    keeping.remove_left_over(target)
    own = [
        file
        for file in listing.files(folder)
        if file.startswith(f'{name}.') and listing.SUFFIX.fullmatch(file.removeprefix(name))
    ]
    try:
        for file in sorted(own, key=lambda file: file.endswith('.index')):
            _link(os.path.join(folder, file), os.path.join(target, file))
    except (tf.errors.OpError, OSError) as error:
        keeping.remove_left_over(target)
        raise folders.cannot_write(os.path.join(target, name), error) from error
    others = [checkpoint.name for checkpoint in listing.checkpoints(target) if checkpoint.ours]
    keeping.saved(target, step, 1)
    # Also later ones, of a run that had gone further and was begun anew.
    keeping.remove(target, [other for other in others if other != name])


def _link(source: str, target: str) -> None:
    # Names that keeping.py takes for what a killed save has left.
    unfinished = f'{target}.partial' if target.endswith('.json') else f'{target}.tempstate0'
    linked = False
    if '://' not in source:
        # Of two links to one file a renaming would leave both.
        if os.path.exists(target) and os.path.samefile(source, target):
            return
        with contextlib.suppress(OSError):  # Not every file system has them.
            os.link(source, unfinished)
            linked = True
    if not linked:
        tf.gfile.Copy(source, unfinished, overwrite=True)
    tf.gfile.Rename(unfinished, target, overwrite=True)
