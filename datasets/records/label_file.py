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
    import tensorflow as tf

    path = os.path.join(folder, file_name)
    try:
        with tf.io.gfile.GFile(path, 'rb') as file:
            lines = file.read().decode().splitlines()
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise DataError(f'{path} cannot be read: {shortened(error)}') from error
    names: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        label, colon, name = line.partition(':')
        if not colon or not _LABEL.fullmatch(label.strip()):
            raise DataError(f'{path}, line {number}: expected label:name, not {shortened(line)!r}.')
        if int(label) in names:
            raise DataError(f'{path}, line {number}: the label {int(label)} has a name already.')
        names[int(label)] = name
    return names
