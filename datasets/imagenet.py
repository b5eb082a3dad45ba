"""ImageNet (ILSVRC-2012) as TFRecords, and any set of its format that a dataset.json describes.

Records are those of `datasets/example_format.py` in files `train-00000-of-01024` and
`validation-00000-of-00128`, flat in the folder or below `train/` and `validation/`. Labels are
1..1000 in the order of the sorted synsets; 0 is a background class. Nothing is downloaded: labels
have names where dataset.json or a `labels.txt` (lines `label:name`) beside the records gives them.
"""

from __future__ import annotations

import os

import tensorflow as tf

from datasets import description, example_format, record_files
from datasets.dataset import Dataset
from datasets.description import Description, Split
from slim.errors import DataError, UsageError, unknown_name

# Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", 2014, table 2.
PUBLISHED = Description(
    name='imagenet',
    num_classes=1001,
    has_background=True,
    splits={'train': Split(1281167), 'validation': Split(50000)},
)

_LABELS_FILE = 'labels.txt'


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """Describes a split of the records in `dataset_dir`, without reading them.

    `file_pattern` (such as 'train-*' or '%s-*') replaces the classic names. Where it selects less
    than the whole split, the records there are counted. `reader` may be None or TFRecordReader,
    as the files are TFRecords. Raises UsageError for an unknown split, DataError for a folder that
    does not hold it completely.
    """
    if reader not in (None, tf.compat.v1.TFRecordReader):
        raise UsageError(f'The record files are read as TFRecords; reader {reader!r} has no use.')
    if not dataset_dir:
        raise UsageError('No dataset folder is given. Give it with --dataset_dir.')
    record_files.check_dataset_dir(dataset_dir)
    described = description.read_description(dataset_dir)
    about = described or PUBLISHED
    if split_name not in about.splits:
        raise unknown_name('split', split_name, about.splits)
    files = record_files.find_record_files(dataset_dir, split_name, file_pattern)
    return Dataset(
        name=about.name,
        split_name=split_name,
        data_sources=files,
        num_samples=_num_samples(about.splits[split_name], files, chosen=file_pattern is not None),
        num_classes=about.num_classes,
        has_background=about.has_background,
        labels_to_names=about.labels_to_names()
        or _read_labels_file(dataset_dir, about.num_classes),
        parse=example_format.parse_example,
        decode=example_format.decode_image,
        items_to_descriptions=example_format.ITEMS_TO_DESCRIPTIONS,
    )


def _num_samples(split: Split, files: tuple[str, ...], chosen: bool) -> int:
    """The described number for the described files; a part that the user chose is counted."""
    missing = record_files.missing_shards(files)
    total = record_files.shard_total(files)
    as_described = not missing and total is not None and split.num_shards in (None, total)
    if as_described:
        return split.num_samples
    if chosen:
        return sum(map(record_files.count_records, files))
    folder = os.path.dirname(files[0])
    if missing:
        raise DataError(
            f'{folder} lacks {len(missing)} of {total} shards: {record_files.listed(missing)}. '
            'Complete the set.'
        )
    raise DataError(
        f'{folder} holds {total} shards, but {description.FILE_NAME} says {split.num_shards}. '
        'Write the set anew or mend the file.'
    )


def _read_labels_file(dataset_dir: str, num_classes: int) -> dict[int, str] | None:
    path = os.path.join(dataset_dir, _LABELS_FILE)
    if not tf.io.gfile.exists(path):
        return None
    names = {}
    with tf.io.gfile.GFile(path) as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, start=1):
        label, colon, name = line.partition(':')
        if not colon or not label.strip().isdecimal() or int(label) >= num_classes:
            raise DataError(
                f'{path}, line {number}: expected label:name with a label below {num_classes}, '
                f'not {line[:80]!r}.'
            )
        names[int(label)] = name
    return names
