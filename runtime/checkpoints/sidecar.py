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
from typing import Any, TypeVar

import tensorflow.compat.v1 as tf

from runtime import folders, options
from slim import errors

SUITE_VERSION = '0.1.0'
SUFFIX = '.json'
_FAMILY, _FORMAT = 'tf-slim-suite ', 1
_LARGEST_FILE = 1 << 20
_LARGEST_NUMBER = 2**31 - 1
# ImageNet's labels have 30,000 letters; a set of more does without names.
_MOST_LABELS, _MOST_LETTERS = 2000, 1 << 16
_WAY_OUT = 'remove it, or give --ignore_sidecar and the flags of the training'


@dataclasses.dataclass(frozen=True)
class Trained:
    """How a checkpoint was trained, whatever it was trained for."""

    model_name: str
    num_classes: int  # of the logits; of a detector's objects
    dtype: str
    moving_average_decay: float  # 0: the checkpoint has no averages
    dataset_name: str
    label_names: tuple[str, ...] | None  # by label, from 0; None where unknown, or too many
    step: int
    suite_version: str
    tensorflow_version: str


@dataclasses.dataclass(frozen=True)
class Sidecar(Trained):
    """How a classifier's checkpoint was trained."""

    labels_offset: int
    has_background: bool  # of the data set
    preprocessing_name: str
    use_grayscale: bool
    image_size: int  # pixels, side
    dataset_num_classes: int


@dataclasses.dataclass(frozen=True)
class DetectorSidecar(Trained):
    """How a detector's checkpoint was trained."""

    width_multiplier: float
    image_height: int  # of the frame, in pixels
    image_width: int


@dataclasses.dataclass(frozen=True)
class _Task:
    """What checkpoints are for, and who takes them."""

    kind: str  # in the file
    named: str
    scripts: str


_TASKS: dict[type[Trained], _Task] = {
    Sidecar: _Task(
        f'{_FAMILY}checkpoint',
        'a classifier',
        'eval_image_classifier.py, predict_image.py and export_inference_graph.py',
    ),
    DetectorSidecar: _Task(
        f'{_FAMILY}detector', 'a detector', 'eval_object_detector.py and export_object_detector.py'
    ),
}
AnySidecar = TypeVar('AnySidecar', bound=Trained)


def of_training(chosen: options.Training, parts: Any) -> Sidecar | None:
    """What a run knows of its checkpoints but the step; `parts` is a `lookup.Parts`.

    None, and a line in the log, for a network of one's own whose name no sidecar can have.
    """
    dataset = parts.dataset
    about = Sidecar(
        num_classes=parts.network.num_classes,
        labels_offset=chosen.dataset.labels_offset,
        has_background=dataset.has_background,
        preprocessing_name=chosen.input.preprocessing_name or chosen.network.model_name,
        use_grayscale=chosen.input.use_grayscale,
        image_size=parts.network.image_size,
        dataset_num_classes=dataset.num_classes,
        **_shared(chosen, dataset),
    )
    return _writable(about)


def of_detector(chosen: options.DetectionTraining, parts: Any) -> DetectorSidecar | None:
    """As `of_training`, for a detector; `parts` is a `detection_lookup.Parts`."""
    about = DetectorSidecar(
        num_classes=parts.network.num_classes,
        width_multiplier=chosen.network.width_multiplier,
        image_height=chosen.input.image_height,
        image_width=chosen.input.image_width,
        **_shared(chosen, parts.dataset),
    )
    return _writable(about)


def _shared(chosen: options.Training | options.DetectionTraining, dataset: Any) -> dict[str, Any]:
    """What all trainings know alike, but the number of classes."""
    return {
        'model_name': chosen.network.model_name,
        'dtype': chosen.device.dtype,
        'moving_average_decay': chosen.averages.moving_average_decay or 0.0,
        'dataset_name': errors.shortened(dataset.name, 200),
        'label_names': _label_names(dataset.labels_to_names, dataset.num_classes),
        'step': 0,
        'suite_version': SUITE_VERSION,
        'tensorflow_version': tf.__version__,
    }


def _writable(about: AnySidecar) -> AnySidecar | None:
    """None, and a line in the log, where `read` would refuse a value."""
    wrong = _first_wrong(json.loads(json.dumps(dataclasses.asdict(about))), type(about))
    if wrong:
        print(f'checkpoints get no {SUFFIX} beside them: {wrong}', flush=True)
        return None
    return about


def _label_names(names: Mapping[int, str] | None, num_classes: int) -> tuple[str, ...] | None:
    if not names or num_classes > _MOST_LABELS or sorted(names) != list(range(num_classes)):
        return None
    listed = tuple(names[label] for label in range(num_classes))
    return listed if _are_label_names(list(listed)) else None


def write(prefix: str, about: Trained) -> None:
    """Writes the sidecar of a checkpoint, whole or not at all; OutputError where that fails."""
    kind = _TASKS[type(about)].kind
    values = {'kind': f'{kind} {_FORMAT}', **dataclasses.asdict(about)}
    folders.write_text(prefix + SUFFIX, json.dumps(values, indent=1) + '\n')


def read(prefix: str) -> Sidecar | None:
    """The sidecar of a classifier's checkpoint.

    None where there is none, or a file of some other program.

    Raises:
      CheckpointError: it is there and cannot be used, or is a detector's.
    """
    return _read(prefix, Sidecar)


def read_detector(prefix: str) -> DetectorSidecar | None:
    """As `read`, of a detector's checkpoint."""
    return _read(prefix, DetectorSidecar)


def is_of_detector(prefix: str) -> bool:
    """Whether a checkpoint has the sidecar of a detector, whole or not."""
    values = _content(prefix + SUFFIX)
    return _task_of(values.get('kind') if isinstance(values, dict) else None) is DetectorSidecar


def _read(prefix: str, of: type[AnySidecar]) -> AnySidecar | None:
    path = prefix + SUFFIX
    values = _content(path)
    if values is None:
        return None
    kind = values.get('kind') if isinstance(values, dict) else None
    found = _task_of(kind)
    if found is None:
        print(f'{errors.printable(path)} is no file of this suite and is not used', flush=True)
        return None
    if found is not of:
        task = _TASKS[found]
        raise errors.CheckpointError(
            f'Checkpoint {errors.shortened(prefix, 120)} is of {task.named}, not of '
            f'{_TASKS[of].named}: {task.scripts} take it'
        )
    if kind != f'{_TASKS[of].kind} {_FORMAT}':
        raise _unusable(path, f'is of another version of the suite ({errors.shortened(kind, 40)})')
    return _from_values(values, of, path)


def _content(path: str) -> Any:
    """The parsed JSON of a file; None where there is none. CheckpointError where it is damaged."""
    try:
        text = folders.read_text(path, _LARGEST_FILE)
        return json.loads(text, parse_int=_whole_number) or {}  # `null` is a file as well
    except (FileNotFoundError, NotADirectoryError, tf.errors.NotFoundError):
        return None
    except (OSError, tf.errors.OpError) as error:
        raise _unusable(path, f'cannot be read: {folders.reason(error)[:60]}') from error
    except (ValueError, RecursionError) as error:
        raise _unusable(path, 'is damaged: it is not JSON') from error


def _task_of(kind: Any) -> type[Trained] | None:
    """The class of sidecars of this kind, of whatever version."""
    for found, task in _TASKS.items():
        if isinstance(kind, str) and kind.startswith(task.kind):
            return found
    return None


def from_values(values: Mapping[str, Any], path: str = 'the sidecar') -> Sidecar:
    """A classifier's of parsed JSON, each value checked: CheckpointError names the first bad."""
    return _from_values(values, Sidecar, path)


def _from_values(values: Mapping[str, Any], of: type[AnySidecar], path: str) -> AnySidecar:
    wrong = _first_wrong(values, of)
    if wrong:
        raise _unusable(path, f'is damaged: {wrong}')
    known: dict[str, Any] = {field.name: values.get(field.name) for field in dataclasses.fields(of)}
    if known['label_names'] is not None:
        known['label_names'] = tuple(known['label_names'])
    return of(**known)


def _first_wrong(values: Mapping[str, Any], of: type[Trained]) -> str:
    """`NAME is VALUE` of the first value that cannot be; '' where all can."""
    for field in dataclasses.fields(of):
        value = values.get(field.name)
        if not _CHECKS[field.name](value):
            return f'{field.name} is {errors.shortened(repr(value), 40)}'
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


def _is_between(lowest: float, highest: float) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and lowest <= value <= highest

    return check


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
    'image_height': _is_number_from(1, 8192),
    'image_width': _is_number_from(1, 8192),
    'width_multiplier': _is_between(1e-3, 100),
    'dtype': _is_name,
    'moving_average_decay': _is_between(0, 1),
    'dataset_name': _is_text,
    'dataset_num_classes': _is_number_from(1),
    'label_names': _are_label_names,
    'step': _is_number_from(0),
    'suite_version': _is_text,
    'tensorflow_version': _is_text,
}
