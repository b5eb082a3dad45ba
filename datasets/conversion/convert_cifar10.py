"""CIFAR-10's published files, binary or pickled, as TFRecords of PNG files."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from datasets import cifar10
from datasets.conversion import archives, conversion, set_writer, source_files
from datasets.conversion.conversion import Conversion, Settings
from datasets.conversion.downloads import RemoteFile
from datasets.conversion.progress_bar import Progress
from datasets.conversion.set_writer import Workplace
from datasets.conversion.source_files import MissingSourceError
from datasets.records import example_format
from datasets.records.description import Description
from slim.errors import DataError

_SIDE, _CHANNELS = 32, 3
_IMAGE_BYTES = _SIDE * _SIDE * _CHANNELS
_ROW_BYTES = 1 + _IMAGE_BYTES  # a label, then the red, the green and the blue plane

# uint8 [n, 32, 32, 3] and the n labels
_Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Form:
    """One of the two forms in which the set has been published."""

    folder: str
    archives: tuple[str, ...]
    splits: Mapping[str, tuple[str, ...]]
    names_file: str  # names of the classes
    read: Callable[[bytes, str], _Batch]
    read_names: Callable[[bytes, str], list[str]]


@dataclass(frozen=True)
class _Source:
    form: _Form
    path: str  # an archive, or the folder of the batches

    def contents(self) -> dict[str, bytes]:
        """Every file of the form by its name; the class names only where they are there."""
        names = [name for batches in self.form.splits.values() for name in batches]
        if not os.path.isdir(self.path):
            return archives.read_files(self.path, names, [self.form.names_file])
        missing = [n for n in names if not os.path.isfile(os.path.join(self.path, n))]
        if missing:
            raise DataError(f'{self.path} lacks {", ".join(missing)}.')
        contents = {}
        for name in [*names, self.form.names_file]:
            path = os.path.join(self.path, name)
            if os.path.isfile(path):
                with open(path, 'rb') as file:
                    contents[name] = file.read()
        return contents


def _read_binary(contents: bytes, where: str) -> _Batch:
    if not contents or len(contents) % _ROW_BYTES:
        raise DataError(
            f'{where} has {len(contents)} bytes, which is no multiple of {_ROW_BYTES}: it is cut '
            'off or no batch of CIFAR-10.'
        )
    rows = np.frombuffer(contents, np.uint8).reshape(-1, _ROW_BYTES)
    return _as_images(rows[:, 1:]), rows[:, 0]


def _read_names(contents: bytes, where: str) -> list[str]:
    return contents.decode(errors='replace').split()


def _read_pickled(contents: bytes, where: str) -> _Batch:
    batch = _unpickle(contents, where)
    data: Any = batch.get(b'data')
    labels: Any = batch.get(b'labels')
    good = (
        isinstance(data, np.ndarray)
        and data.dtype == np.uint8
        and data.ndim == 2
        and data.shape[1] == _IMAGE_BYTES
        and isinstance(labels, list)
        and all(isinstance(label, int) for label in labels)
        and len(labels) == len(data) > 0
    )
    if not good:
        raise DataError(
            f'{where} is no batch of CIFAR-10: expected data, uint8 [n, {_IMAGE_BYTES}], and n '
            'labels.'
        )
    return _as_images(data), np.asarray(labels)


def _read_pickled_names(contents: bytes, where: str) -> list[str]:
    names = _unpickle(contents, where).get(b'label_names')
    if not isinstance(names, list):
        raise DataError(f'{where} has no label_names.')
    return [os.fsdecode(name) for name in names]


# What makes an array of a pickle; NumPy has moved it between modules.
_ARRAY_MAKERS = {
    '_reconstruct': np.empty(0).__reduce__()[0],
    'ndarray': np.ndarray,
    'dtype': np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Builds dictionaries, lists, strings and NumPy arrays: a pickle could run anything else."""

    def find_class(self, module: str, name: str) -> object:
        if module.split('.')[0] == 'numpy' and name in _ARRAY_MAKERS:
            return _ARRAY_MAKERS[name]
        if (module, name) == ('_codecs', 'encode'):  # Python 2's strings
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')


def _unpickle(contents: bytes, where: str) -> dict[bytes, Any]:
    try:
        value = _ArraysOnly(io.BytesIO(contents), encoding='bytes').load()
    except Exception as error:  # a damaged pickle raises whatever it meets
        raise DataError(f'{where} cannot be read as a batch of CIFAR-10: {error}') from error
    if not isinstance(value, dict):
        raise DataError(f'{where} is no batch of CIFAR-10: expected a dictionary.')
    # Written by Python 3, keys are text.
    return {k.encode() if isinstance(k, str) else k: v for k, v in value.items()}


def _as_images(planes: np.ndarray) -> np.ndarray:
    """uint8 [n, 3072], plane by plane, as [n, 32, 32, 3]."""
    return planes.reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1)


_FORMS = (
    _Form(
        'cifar-10-batches-bin',
        ('cifar-10-binary.tar.gz', 'cifar-10-binary.tgz', 'cifar-10-binary.tar'),
        {
            'train': tuple(f'data_batch_{number}.bin' for number in range(1, 6)),
            'test': ('test_batch.bin',),
        },
        'batches.meta.txt',
        _read_binary,
        _read_names,
    ),
    _Form(
        'cifar-10-batches-py',
        ('cifar-10-python.tar.gz', 'cifar-10-python.tgz', 'cifar-10-python.tar'),
        {
            'train': tuple(f'data_batch_{number}' for number in range(1, 6)),
            'test': ('test_batch',),
        },
        'batches.meta',
        _read_pickled,
        _read_pickled_names,
    ),
)


def find(source_dir: str) -> _Source:
    """The binary form where it is there, otherwise the pickled one; unpacked goes before packed."""
    for form in _FORMS:
        names = [name for batches in form.splits.values() for name in batches]
        for folder in (source_dir, os.path.join(source_dir, form.folder)):
            if source_files.first_existing(folder, names):
                return _Source(form, folder)
        if archive := source_files.first_existing(source_dir, form.archives):
            return _Source(form, archive)
    wanted = ' or '.join(f'{form.archives[0]} or its folder {form.folder}/' for form in _FORMS)
    raise MissingSourceError(f'CIFAR-10 is not in {source_dir}: expected {wanted}.')


def convert(
    source: _Source, place: Workplace, settings: Settings, progress: Progress
) -> Description:
    """Writes both splits, in the order of the batches."""
    del settings
    progress(f'reading {source.path}')
    contents = source.contents()
    form = source.form
    if form.names_file in contents:
        _check_names(contents[form.names_file], form, os.path.join(source.path, form.names_file))
    splits = {}
    for split_name, batch_names in form.splits.items():
        batches = [
            _checked(form.read(contents[name], where), where)
            for name in batch_names
            for where in [os.path.join(source.path, name)]
        ]
        splits[split_name] = set_writer.write_shards(
            place.records,
            split_name,
            cifar10.FILE_PATTERN % split_name,
            1,
            _examples(batches),
            sum(len(labels) for _, labels in batches),
            progress,
        )
    conversion.compare_with_published(
        'CIFAR-10',
        {name: split.num_samples for name, split in splits.items()},
        cifar10.SPLITS_TO_SIZES,
        progress,
    )
    return Description(
        cifar10.PUBLISHED.name,
        cifar10.PUBLISHED.num_classes,
        has_background=False,
        splits=splits,
        label_names=cifar10.LABEL_NAMES,
    )


def _check_names(contents: bytes, form: _Form, where: str) -> None:
    names = form.read_names(contents, where)
    if tuple(names) != cifar10.LABEL_NAMES:
        raise DataError(
            f'{where} names {len(names)} classes ({", ".join(names)[:80]}), but CIFAR-10 has '
            f'{len(cifar10.LABEL_NAMES)}: {", ".join(cifar10.LABEL_NAMES)}.'
        )


def _checked(batch: _Batch, where: str) -> _Batch:
    _, labels = batch
    wrong = np.flatnonzero((labels < 0) | (labels >= len(cifar10.LABEL_NAMES)))
    if len(wrong):
        raise DataError(
            f'{where}: image {wrong[0]} (counted from 0) has the label {labels[wrong[0]]}, but the '
            f'labels of CIFAR-10 are 0 to {len(cifar10.LABEL_NAMES) - 1}.'
        )
    return batch


def _examples(batches: list[_Batch]) -> Iterator[tf.train.Example]:
    for images, labels in batches:
        for image, label in zip(images, labels, strict=True):
            yield example_format.make_example(
                conversion.encode_png(np.ascontiguousarray(image)),
                int(label),
                _SIDE,
                _SIDE,
                image_format='png',
                text=cifar10.LABEL_NAMES[label],
            )


CONVERSION = Conversion(
    'cifar10',
    find,
    convert,
    file_patterns=(cifar10.FILE_PATTERN % '*',),
    # The checksum on the set's page, https://www.cs.toronto.edu/~kriz/cifar.html, is the MD5.
    remote_files=(
        RemoteFile(
            'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
            'md5:c32a1d4ab5d03f1284b67883e8d87530',
            170052171,
        ),
    ),
)
