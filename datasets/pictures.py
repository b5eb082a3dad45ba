"""Image files out of a folder, of pictures or of records, as bytes: a sample of them.

What needs pictures without labels, as the calibration of an export, asks here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from datasets import picture_files
from datasets.dataset import Dataset
from datasets.records import description
from slim.errors import DataError, shortened

_SHARD = re.compile(r'.*-\d{5}-of-\d{5}')


def of_folder(
    folder: str, count: int, as_records: Callable[[], Dataset]
) -> list[tuple[str, bytes]]:
    """Name and content of at most `count` image files, spread evenly over the folder.

    Args:
      folder: of pictures, in it or in folders below it, or of record files.
      count: the most.
      as_records: the split of a folder of records.

    Raises DataError where there are none, or they cannot be read.
    """
    if not os.path.isdir(folder):
        raise DataError(f'{shortened(folder, 120)} is no folder of pictures or records')
    names = os.listdir(folder)
    if description.FILE_NAME in names or any(_SHARD.fullmatch(name) for name in names):
        found = _of_records(as_records(), count)
    else:
        found = _of_pictures(folder, count)
    if not found:
        raise DataError(
            f'{shortened(folder, 120)} has no pictures ({", ".join(picture_files.DECODED)})'
            ' and no records'
        )
    return found


def _of_pictures(folder: str, count: int) -> list[tuple[str, bytes]]:
    paths = picture_files.below(folder, picture_files.DECODED)
    found = []
    for path in spread(paths, count):
        try:
            with open(path, 'rb') as file:
                found.append((path, file.read()))
        except OSError as error:
            raise DataError(f'{shortened(path, 120)} cannot be read: {error.strerror}') from error
    return found


def spread(items: Sequence[str], count: int) -> list[str]:
    """At most `count` of the items, evenly: the classes of sorted paths all have their share."""
    chosen = min(count, len(items))
    return [items[index * len(items) // chosen] for index in range(chosen)]


def _of_records(dataset: Dataset, count: int) -> list[tuple[str, bytes]]:
    """As many from each record file."""
    files = dataset.data_sources
    each = -(-count // len(files))
    found = []
    for index, file in enumerate(files):
        compression = dataset.compressions[index] if dataset.compressions else ''
        records = tf.data.TFRecordDataset(file, compression_type=compression).take(each)
        try:
            for number, record in enumerate(records):
                encoded = dataset.parse(record)['encoded'].numpy()
                found.append((f'record {number} of {file}', encoded))
        except tf.errors.OpError as error:
            reason = ' '.join((error.message or '').split())
            raise DataError(
                f'{shortened(file, 120)} cannot be read: {shortened(reason, 80)}'
            ) from error
    return found[:count]
