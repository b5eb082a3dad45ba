"""`labels.txt`: lines `label:name`, the names of a set's labels.

TensorFlow is imported where it is used, because the writer's processes do without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from datasets.records import atomic_files
from slim.errors import DataError, UsageError, shortened

FILE_NAME = 'labels.txt'

_LABEL = re.compile('[0-9]{1,9}')


def write(labels_to_names: Mapping[int, str], folder: str, file_name: str = FILE_NAME) -> None:
    """Writes lines `label:name`, in the mapping's order."""
    for label, name in labels_to_names.items():
        if len(f'{name}x'.splitlines()) > 1:
            raise UsageError(f'The name of label {label}, {name!r}, is not one line.')
    lines = [f'{label}:{name}\n' for label, name in labels_to_names.items()]
    atomic_files.write_text(os.path.join(folder, file_name), ''.join(lines))


def exists(folder: str, file_name: str = FILE_NAME) -> bool:
    """Whether there is a label file."""
    import tensorflow as tf

    return tf.io.gfile.exists(os.path.join(folder, file_name))


def read(folder: str, file_name: str = FILE_NAME) -> dict[int, str]:
    """Label to name. DataError names the file and the line that is not `label:name`."""
    path = os.path.join(folder, file_name)
    return _labelled(path, _lines(path))


def read_outputs(path: str, num_classes: int, labels_offset: int = 0) -> tuple[str, ...]:
    """The names of a network's outputs, from a file of lines `label:name` or of names alone.

    Names alone are those of the outputs, or of all labels, also of those before `labels_offset`.
    DataError names the file and how many names it lacks.
    """
    lines = [line for line in _lines(path) if line.strip()]
    if lines and all(':' in line and _LABEL.fullmatch(_label(line)) for line in lines):
        names = _labelled(path, lines)
    else:
        first = 0 if len(lines) == num_classes + labels_offset else labels_offset
        names = dict(enumerate(lines, first))
    wanted = range(labels_offset, labels_offset + num_classes)
    if not names.keys() >= set(wanted) or max(names) > wanted[-1]:
        raise DataError(
            f'{shortened(path, 120)} names {len(names)} labels, but the network has {num_classes} '
            f'classes, the labels {wanted[0]} to {wanted[-1]}'
        )
    return tuple(names[label] for label in wanted)


def _label(line: str) -> str:
    return line.partition(':')[0].strip()


def _lines(path: str) -> list[str]:
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, 'rb') as file:
            return file.read().decode().splitlines()
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise DataError(f'{path} cannot be read: {shortened(error)}') from error


def _labelled(path: str, lines: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        label, colon, name = line.partition(':')
        if not colon or not _LABEL.fullmatch(label.strip()):
            raise DataError(f'{path}, line {number}: expected label:name, not {shortened(line)!r}.')
        if int(label) in names:
            raise DataError(f'{path}, line {number}: the label {int(label)} has a name already.')
        names[int(label)] = name
    return names
