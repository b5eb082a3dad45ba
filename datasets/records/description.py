"""`dataset.json`: what a folder of records says about itself.

    {"name": "digits", "num_classes": 10, "has_background": false,
     "label_names": ["zero", ...],
     "splits": {"train": {"num_samples": 1437, "num_shards": 8}, ...}}

`num_classes` counts the outputs of a network, so with a background class it is one more than the
classes in the records. `label_names[i]` names label i, the background included; it and `num_shards`
may be left out. A split of pictures with objects also has `max_boxes`. Other keys are left alone.
TensorFlow is imported where it is used, because the writer's processes do without it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets.records import atomic_files
from slim.errors import DataError, shortened

FILE_NAME = 'dataset.json'

# Names of splits are parts of names of files, and may lead nowhere else.
_SPLIT_NAME = re.compile(r'\w[\w.-]{0,63}')
_MAX_NAME = 200
_MAX_CLASSES = 1 << 24  # a network of more outputs fits into no device


@dataclass(frozen=True)
class Split:
    num_samples: int
    num_shards: int | None = None  # None: any complete set of shards
    # Of pictures with objects to be found: the most that one of them has. None: of other pictures.
    max_boxes: int | None = None


@dataclass(frozen=True)
class Description:
    name: str
    num_classes: int  # outputs of a network, the background class included
    has_background: bool
    splits: Mapping[str, Split]
    label_names: tuple[str, ...] | None = None  # [num_classes], by label

    def labels_to_names(self) -> dict[int, str] | None:
        return None if self.label_names is None else dict(enumerate(self.label_names))

    def to_json(self) -> str:
        splits = {
            name: {'num_samples': split.num_samples}
            | ({} if split.num_shards is None else {'num_shards': split.num_shards})
            | ({} if split.max_boxes is None else {'max_boxes': split.max_boxes})
            for name, split in self.splits.items()
        }
        content: dict[str, Any] = {
            'name': self.name,
            'num_classes': self.num_classes,
            'has_background': self.has_background,
            'splits': splits,
        }
        if self.label_names is not None:
            content['label_names'] = list(self.label_names)
        return json.dumps(content, indent=1, ensure_ascii=False) + '\n'


def read_description(dataset_dir: str) -> Description | None:
    """The folder's description, None without a dataset.json. DataError names a wrong key."""
    import tensorflow as tf

    path = os.path.join(dataset_dir, FILE_NAME)
    if not tf.io.gfile.exists(path):
        _check_not_of_a_split(dataset_dir)
        return None
    return _read(path)


def _check_not_of_a_split(dataset_dir: str) -> None:
    """DataError for the folder of one split, in a folder whose dataset.json has that split."""
    import tensorflow as tf

    folder = dataset_dir if '://' in dataset_dir else os.path.abspath(dataset_dir)
    parent, split_name = os.path.split(folder.rstrip('/'))
    path = os.path.join(parent, FILE_NAME)
    if not tf.io.gfile.exists(path):
        return
    about = _read(path)
    if split_name in about.splits:
        raise DataError(
            f'{dataset_dir} is the folder of the split {split_name!r} of the set {about.name!r}. '
            f'Give the folder of the set: --dataset_dir={parent}'
        )


def _read(path: str) -> Description:
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, 'rb') as file:
            content = json.loads(file.read().decode())
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError; too deep
        raise DataError(
            f'{path} is not JSON: {shortened(error)}. Mend it or write it anew.'
        ) from error
    except tf.errors.OpError as error:
        raise DataError(f'{path} cannot be read: {error.message}') from error
    return _Reader(path).description(content)


def write_description(dataset_dir: str, about: Description) -> None:
    """Writes dataset.json, the last file of a set: with it the set is complete."""
    atomic_files.write_text(os.path.join(dataset_dir, FILE_NAME), about.to_json())


class _Reader:
    """Checks each value where it is read; `path` is for the messages."""

    def __init__(self, path: str):
        self._path = path

    def description(self, content: Any) -> Description:
        self._expect(isinstance(content, dict), 'the top level', 'an object {...}', content)
        has_background = self._value(content, '', 'has_background', bool)
        num_classes = self._count(content, '', 'num_classes', at_least=1 + has_background)
        self._expect(
            num_classes <= _MAX_CLASSES, "'num_classes'", f'at most {_MAX_CLASSES:,}', num_classes
        )
        splits = self._value(content, '', 'splits', dict)
        self._expect(bool(splits), "'splits'", 'an object with at least one split', splits)
        for split_name in splits:
            self._expect(
                bool(_SPLIT_NAME.fullmatch(split_name)),
                'the name of a split',
                'at most 64 letters, digits and - _ .',
                repr(split_name),
            )
        name = self._value(content, '', 'name', str)
        self._expect(
            name.isprintable() and len(name) <= _MAX_NAME,
            "'name'",
            f'printable and have at most {_MAX_NAME} characters',
            name,
        )
        return Description(
            name=name,
            num_classes=num_classes,
            has_background=has_background,
            splits={name: self._split(f'splits.{name}', value) for name, value in splits.items()},
            label_names=self._label_names(content, num_classes),
        )

    def _split(self, where: str, content: Any) -> Split:
        self._expect(isinstance(content, dict), f'{where!r}', 'an object {...}', content)
        num_shards = None
        if content.get('num_shards') is not None:
            num_shards = self._count(content, where, 'num_shards', at_least=1)
        max_boxes = None
        if content.get('max_boxes') is not None:
            max_boxes = self._count(content, where, 'max_boxes', at_least=0)
        return Split(self._count(content, where, 'num_samples', at_least=1), num_shards, max_boxes)

    def _label_names(self, content: dict[str, Any], num_classes: int) -> tuple[str, ...] | None:
        if content.get('label_names') is None:
            return None
        names = self._value(content, '', 'label_names', list)
        self._expect(
            len(names) == num_classes and all(isinstance(name, str) for name in names),
            "'label_names'",
            f'a list of {num_classes} strings, one per label from 0',
            f'{len(names)} entries',
        )
        return tuple(names)

    def _value(self, content: dict[str, Any], where: str, key: str, kind: type) -> Any:
        name = f'{where}.{key}' if where else key
        if key not in content:
            raise DataError(f'{self._path}: the key {name!r} is missing.')
        wanted = {bool: 'true or false', str: 'a string', list: 'a list', dict: 'an object {...}'}
        self._expect(isinstance(content[key], kind), f'{name!r}', wanted[kind], content[key])
        return content[key]

    def _count(self, content: dict[str, Any], where: str, key: str, at_least: int) -> int:
        name = f'{where}.{key}' if where else key
        if key not in content:
            raise DataError(f'{self._path}: the key {name!r} is missing.')
        value = content[key]
        good = isinstance(value, int) and not isinstance(value, bool) and value >= at_least
        self._expect(good, f'{name!r}', f'a whole number of at least {at_least}', value)
        return value

    def _expect(self, good: bool, what: str, wanted: str, value: Any) -> None:
        if not good:
            text = value if isinstance(value, str) else json.dumps(value)
            raise DataError(f'{self._path}: {what} must be {wanted}, not {shortened(text)}.')
