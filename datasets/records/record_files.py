"""Which record files make up a split: `train-00000-of-01024` and its sisters, all or an error.

TensorFlow is imported where it is used, because the writer's processes do without it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import struct
from collections.abc import Sequence
from typing import Any

from datasets.records import compressed, framing
from datasets.records.checksums import HEADER_SIZE
from slim.errors import DataError, shortened

# The stem ends in '-', or in '_' as in flowers_train_00000-of-00005.tfrecord.
_SHARD_NAME = re.compile(r'(?P<stem>.+[-_])(?P<index>\d{5,6})-of-(?P<total>\d{5,6})(?P<suffix>.*)')
_CLASSIC_PATTERN = '%s-?????-of-?????'

_MAX_LISTED = 4
_MAX_NAME = 250


def shard_name(split_name: str, index: int, num_shards: int) -> str:
    return f'{split_name}-{index:05d}-of-{num_shards:05d}'


def find_record_files(
    dataset_dir: str, split_name: str, file_pattern: str | None = None
) -> tuple[str, ...]:
    """The sorted files of a split, in `dataset_dir` itself or in its subfolder named as the split.

    `file_pattern` is a shell pattern relative to either folder, in which %s stands for the split;
    None means complete sets of classic names. DataError when the folder is missing or empty, when
    nothing matches, when both places match or when files of sets of different sizes are mixed.
    """
    pattern = (_CLASSIC_PATTERN if file_pattern is None else file_pattern).replace('%s', split_name)
    check_dataset_dir(dataset_dir)
    places = (dataset_dir, os.path.join(dataset_dir, split_name))
    found = [files for place in places if (files := _matches(os.path.join(place, pattern)))]
    if not found:
        raise DataError(
            f'No record files of the split {split_name!r} in {dataset_dir}: looked for {pattern} '
            f'there and in {split_name}/, found {listed(_gfile().listdir(dataset_dir))}.'
        )
    if len(found) > 1:
        raise DataError(
            f'{dataset_dir} holds files {pattern} both in itself and in {split_name}/; '
            'remove one of the two.'
        )
    totals = {name['total'] for name in map(_shard, found[0]) if name}
    if len(totals) > 1:
        raise DataError(
            f'{os.path.dirname(found[0][0])} mixes sets of {" and ".join(sorted(totals))} shards '
            f'({pattern}); remove the files of the set that is not wanted.'
        )
    return found[0]


def missing_shards(files: Sequence[str]) -> list[str]:
    """Names of the shards that are missing among `files` of one set; [] for unnumbered names."""
    names = [_shard(file) for file in files]
    if not all(names):
        return []
    present = {int(name['index']) for name in names if name}
    first = names[0]
    assert first is not None
    total = int(first['total'])
    return [
        f'{first["stem"]}{index:05d}-of-{total:05d}{first["suffix"]}'
        for index in range(total)
        if index not in present
    ]


def shard_total(files: Sequence[str]) -> int | None:
    """The number after `-of-`, None where the files do not carry classic names."""
    name = _shard(files[0])
    return int(name['total']) if name else None


def check_dataset_dir(dataset_dir: str) -> None:
    """DataError unless `dataset_dir` is a folder with something in it."""
    if not _gfile().isdir(dataset_dir):
        raise DataError(
            f'There is no dataset folder {dataset_dir!r}. '
            'Give the folder of the TFRecords with --dataset_dir.'
        )
    if not _gfile().listdir(dataset_dir):
        raise DataError(
            f'The dataset folder {dataset_dir} is empty. '
            'Write TFRecords into it with preprocess_imagenet.py or download_and_convert_data.py.'
        )


def count_records(path: str) -> int:
    """The number of records in a TFRecord file.

    Found from the lengths in it without reading the contents, unless the file is compressed.
    DataError for a file that ends inside a record.
    """
    # A record: length (uint64), its checksum (uint32), the bytes, their checksum (uint32).
    header, checksum = struct.Struct('<Q4x'), 4
    count = 0
    if compression(path):
        return _count_compressed(path)
    with _gfile().GFile(path, 'rb') as file:
        size, position = file.size(), 0
        while position < size:
            file.seek(position)
            head = file.read(header.size)
            if len(head) == header.size:
                position += header.size + header.unpack(head)[0] + checksum
            if len(head) < header.size or position > size:
                raise DataError(
                    f'{path} ends inside record {count} (counted from 0): '
                    'it is cut off or no TFRecord file. Write it anew.'
                )
            count += 1
    return count


def compression(path: str) -> str:
    """How a record file is compressed: '', 'GZIP' or 'ZLIB'. DataError if it cannot be read."""
    import tensorflow as tf

    try:
        with _gfile().GFile(path, 'rb') as file:
            return compressed.kind(file.read(HEADER_SIZE))
    except tf.errors.OpError as error:
        raise DataError(f'{path} cannot be read: {error.message}') from error


def compressions(paths: Sequence[str]) -> tuple[str, ...]:
    """The compression of each file. On another machine only the first is looked at: each takes
    as long as a request does, and a set is written in one way.
    """
    local = [path for path in paths if '://' not in path]
    found = {path: compression(path) for path in (local or paths[:1])}
    return tuple(found.get(path, found[next(iter(found))]) for path in paths)


def _count_compressed(path: str) -> int:
    count = 0
    with _gfile().GFile(path, 'rb') as file:
        for frame in framing.frames(compressed.opened(file)):
            if frame.problem:
                raise DataError(f'{path}, record {count} (counted from 0): {frame.problem}.')
            count += 1
    return count


def listed(names: Sequence[str]) -> str:
    """`a, b, c, d and 7 more` for a message, `nothing` for no names."""
    more = f' and {len(names) - _MAX_LISTED} more' if len(names) > _MAX_LISTED else ''
    first = [shortened(name, _MAX_NAME) for name in sorted(names)[:_MAX_LISTED]]
    return ', '.join(first) + more if names else 'nothing'


def read_lines(path: str) -> list[str]:
    """The lines of a text file that are not empty. DataError if it cannot be read."""
    try:
        with open(path, encoding='utf-8') as file:
            return [line for line in file.read().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(
            f'{path} cannot be read: {shortened(error)}. Give the right file.'
        ) from error


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


def _matches(pattern: str) -> tuple[str, ...]:
    """Visible files whose names match; the folder part is taken literally."""
    folder, name_pattern = os.path.split(pattern)
    if not _gfile().isdir(folder):
        return ()
    names = fnmatch.filter(_gfile().listdir(folder), name_pattern)
    paths = (os.path.join(folder, name) for name in sorted(names) if not name.startswith('.'))
    return tuple(path for path in paths if not _is_folder(path))


def _is_folder(path: str) -> bool:
    """DataError for a link that leads nowhere, or what cannot be looked at."""
    import tensorflow as tf

    try:
        return _gfile().stat(path).is_directory
    except tf.errors.OpError as error:
        raise DataError(
            f'{path} cannot be read: {shortened(error.message)}. Is it a link that leads nowhere?'
        ) from error


def _shard(path: str) -> re.Match[str] | None:
    return _SHARD_NAME.fullmatch(os.path.basename(path))
