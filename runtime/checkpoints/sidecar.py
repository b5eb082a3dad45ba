"""What a checkpoint does not say by itself, in a file beside it: `PREFIX.json`.

Evaluation and export take from it what the training was told. It may come from a stranger, so each
value has a check, none is a path, and what is wrong is one line.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import folders, options
from slim import errors

SUITE_VERSION = '0.1.0'
SUFFIX = '.json'
_KIND = 'tf-slim-suite checkpoint'
_FORMAT = 1
_LARGEST_FILE = 1 << 20
_LARGEST_NUMBER = 2**31 - 1
# ImageNet's labels have 30,000 letters; a set of more does without names.
_MOST_LABELS, _MOST_LETTERS = 2000, 1 << 16
_WAY_OUT = 'remove it, or give --ignore_sidecar and the flags of the training'


@dataclasses.dataclass(frozen=True)
class Sidecar:
    """How a checkpoint was trained."""

    model_name: str
    num_classes: int  # of the logits
    labels_offset: int
    has_background: bool  # of the data set
    preprocessing_name: str
    use_grayscale: bool
    image_size: int  # pixels, side
    dtype: str
    moving_average_decay: float  # 0: the checkpoint has no averages
    dataset_name: str
    dataset_num_classes: int
    label_names: tuple[str, ...] | None  # by label, from 0; None where unknown, or too many
    step: int
    suite_version: str
    tensorflow_version: str


def of_training(chosen: options.Training, parts: Any) -> Sidecar | None:
    """What a run knows of its checkpoints but the step; `parts` is a `lookup.Parts`.

    None, and a line in the log, for a network of one's own whose name no sidecar can have.
    """
    dataset = parts.dataset
    about = Sidecar(
        model_name=chosen.network.model_name,
        num_classes=parts.network.num_classes,
        labels_offset=chosen.dataset.labels_offset,
        has_background=dataset.has_background,
        preprocessing_name=chosen.input.preprocessing_name or chosen.network.model_name,
        use_grayscale=chosen.input.use_grayscale,
        image_size=parts.network.image_size,
        dtype=chosen.device.dtype,
        moving_average_decay=chosen.averages.moving_average_decay or 0.0,
        dataset_name=errors.shortened(dataset.name, 200),
        dataset_num_classes=dataset.num_classes,
        label_names=_label_names(dataset.labels_to_names, dataset.num_classes),
        step=0,
        suite_version=SUITE_VERSION,
        tensorflow_version=tf.__version__,
    )
    wrong = _first_wrong(json.loads(json.dumps(dataclasses.asdict(about))))
    if wrong:
        print(f'checkpoints get no {SUFFIX} beside them: {wrong}', flush=True)
        return None
    return about


def _label_names(names: Mapping[int, str] | None, num_classes: int) -> tuple[str, ...] | None:
    if not names or num_classes > _MOST_LABELS or sorted(names) != list(range(num_classes)):
        return None
    listed = tuple(names[label] for label in range(num_classes))
    return listed if _are_label_names(list(listed)) else None


def write(prefix: str, about: Sidecar) -> None:
    """Writes the sidecar of a checkpoint, whole or not at all; OutputError where that fails."""
    values = {'kind': f'{_KIND} {_FORMAT}', **dataclasses.asdict(about)}
    folders.write_text(prefix + SUFFIX, json.dumps(values, indent=1) + '\n')


def read(prefix: str) -> Sidecar | None:
    """The sidecar of a checkpoint; None where there is none, or a file of some other program.

    Raises:
      CheckpointError: it is there and cannot be used.
    """
    path = prefix + SUFFIX
    try:
        text = folders.read_text(path, _LARGEST_FILE)
        values = json.loads(text, parse_int=_whole_number)
    except (FileNotFoundError, NotADirectoryError, tf.errors.NotFoundError):
        return None
    except (OSError, tf.errors.OpError) as error:
        raise _unusable(path, f'cannot be read: {folders.reason(error)[:60]}') from error
    except (ValueError, RecursionError) as error:
        raise _unusable(path, 'is damaged: it is not JSON') from error
    kind = values.get('kind') if isinstance(values, dict) else None
    if not isinstance(kind, str) or not kind.startswith(_KIND):
        print(f'{errors.printable(path)} is no file of this suite and is not used', flush=True)
        return None
    if kind != f'{_KIND} {_FORMAT}':
        raise _unusable(path, f'is of another version of the suite ({errors.shortened(kind, 40)})')
    return from_values(values, path)


def from_values(values: Mapping[str, Any], path: str = 'the sidecar') -> Sidecar:
    """The sidecar of parsed JSON, each value checked; CheckpointError names the first bad one."""
    wrong = _first_wrong(values)
    if wrong:
        raise _unusable(path, f'is damaged: {wrong}')
    known: dict[str, Any] = {name: values.get(name) for name in _CHECKS}
    if known['label_names'] is not None:
        known['label_names'] = tuple(known['label_names'])
    return Sidecar(**known)


def _first_wrong(values: Mapping[str, Any]) -> str:
    """`NAME is VALUE` of the first value that cannot be; '' where all can."""
    for name, check in _CHECKS.items():
        if not check(values.get(name)):
            return f'{name} is {errors.shortened(repr(values.get(name)), 40)}'
    return ''


def _whole_number(digits: str) -> int:
    # Python takes long for long numbers.
    if len(digits) > 20:
        raise ValueError('too large')
    return int(digits)


def _unusable(path: str, why: str) -> errors.CheckpointError:
    return errors.CheckpointError(f'{errors.shortened(path, 120)} {why}; {_WAY_OUT}')


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r'[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}', value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 200


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number_from(lowest: int, highest: int = _LARGEST_NUMBER) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and lowest <= value <= highest

    return check


def _is_share(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value <= 1


def _are_label_names(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and len(value) <= _MOST_LABELS
        and all(isinstance(name, str) for name in value)
        and sum(map(len, value)) <= _MOST_LETTERS
    )


_CHECKS: dict[str, Callable[[Any], bool]] = {
    'model_name': _is_name,
    'num_classes': _is_number_from(1),
    'labels_offset': _is_number_from(0),
    'has_background': _is_bool,
    'preprocessing_name': _is_name,
    'use_grayscale': _is_bool,
    # Above, one batch of a stranger's size would take all memory.
    'image_size': _is_number_from(1, 8192),
    'dtype': _is_name,
    'moving_average_decay': _is_share,
    'dataset_name': _is_text,
    'dataset_num_classes': _is_number_from(1),
    'label_names': _are_label_names,
    'step': _is_number_from(0),
    'suite_version': _is_text,
    'tensorflow_version': _is_text,
}
