"""Describes a split of TFRecords in a folder: the steps that every data set shares."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from datasets.dataset import Dataset
from datasets.records import description, example_format, label_file, record_files
from datasets.records.description import Description, Split
from slim.errors import DataError, UsageError, unknown_name

# Records by which an estimate may differ from the published number, as a factor.
_FAR = 1.5


@dataclass(frozen=True)
class RecordSet:
    """What a data set's module knows of its records before it has seen any."""

    published: Description | None  # None: a dataset.json has to say it
    file_pattern: str | None = None  # %s stands for the split; None: SPLIT-?????-of-?????
    decode: Callable[[tf.Tensor], tf.Tensor] = example_format.decode_image


def get_split(
    record_set: RecordSet,
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """Describes a split of the records in `dataset_dir`, without reading them.

    Numbers and label names are those of dataset.json, without one the published ones; a labels.txt
    gives the names that dataset.json leaves out. `file_pattern` (such as 'train-*' or '%s-*')
    replaces the set's own. Where it selects less than the whole split, the records there are
    counted. `reader` may be None or TFRecordReader, as the files are TFRecords. Raises UsageError
    for an unknown split, DataError for a folder that does not hold it completely.
    """
    if reader not in (None, tf.compat.v1.TFRecordReader):
        raise UsageError(f'The record files are read as TFRecords; reader {reader!r} has no use.')
    if not dataset_dir:
        raise UsageError('No dataset folder is given. Give it with --dataset_dir.')
    record_files.check_dataset_dir(dataset_dir)
    described = description.read_description(dataset_dir)
    about = described or record_set.published
    if about is None:
        raise DataError(
            f'{dataset_dir} has no {description.FILE_NAME}, which says what a set of your own '
            'holds. Write the set with download_and_convert_data.py --dataset_name=folder, or '
            'write that file.'
        )
    if split_name not in about.splits:
        raise unknown_name('split', split_name, about.splits)
    files = _find_files(record_set, about, split_name, dataset_dir, file_pattern)
    split = about.splits[split_name]
    num_samples = _num_samples(split, files, chosen=file_pattern is not None)
    if described is None and num_samples == split.num_samples:
        num_samples = _published_or_counted(about, split_name, files, dataset_dir)
    labels_to_names = (
        (described.labels_to_names() if described else None)
        or _labels_file(dataset_dir, about, is_described=described is not None)
        or about.labels_to_names()
    )
    return Dataset(
        name=about.name,
        split_name=split_name,
        data_sources=files,
        num_samples=num_samples,
        num_classes=about.num_classes,
        has_background=about.has_background,
        labels_to_names=labels_to_names,
        parse=example_format.parse_example,
        decode=record_set.decode,
        items_to_descriptions=example_format.ITEMS_TO_DESCRIPTIONS,
        compressions=record_files.compressions(files),
    )


def _find_files(
    record_set: RecordSet,
    about: Description,
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None,
) -> tuple[str, ...]:
    """The split's files; an error also tells that the folder holds another set than was named."""
    pattern = record_set.file_pattern if file_pattern is None else file_pattern
    try:
        return record_files.find_record_files(dataset_dir, split_name, pattern)
    except DataError as error:
        if record_set.published in (None, about) or about.name == record_set.published.name:
            raise
        raise DataError(
            f'{error} {description.FILE_NAME} says that this is {about.name!r}: perhaps '
            f'--dataset_name={about.name}.'
        ) from error


def _num_samples(split: Split, files: tuple[str, ...], chosen: bool) -> int:
    """The described number for the described files; a part that the user chose is counted."""
    missing = record_files.missing_shards(files)
    total = record_files.shard_total(files)
    as_described = not missing and (
        not chosen if total is None else split.num_shards in (None, total)
    )
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


def _published_or_counted(
    about: Description, split_name: str, files: tuple[str, ...], dataset_dir: str
) -> int:
    """The published number, unless the files show that they are another set.

    To count the records of ImageNet takes minutes on a slow disk, so that what is there is
    estimated from the first file, and counted where that is far from the published number.
    """
    published = about.splits[split_name].num_samples
    sizes = [tf.io.gfile.stat(path).length for path in files]
    estimate = record_files.count_records(files[0]) * sum(sizes) / max(sizes[0], 1)
    if published / _FAR < estimate < published * _FAR:
        return published
    count = sum(map(record_files.count_records, files))
    if not count:
        raise DataError(f'The files of the split {split_name!r} in {dataset_dir} have no records.')
    print(
        f'note: {dataset_dir} has no {description.FILE_NAME}. It has {count} records of the split '
        f'{split_name!r}, not the {published} of {about.name}, whose {about.num_classes} classes '
        'are taken; a set of your own needs that file.',
        file=sys.stderr,
    )
    return count


def _labels_file(
    dataset_dir: str, about: Description, is_described: bool
) -> Mapping[int, str] | None:
    """The names in labels.txt, which has to name every label; None where there is no such file."""
    num_classes = about.num_classes
    way_out = (
        'Mend the file or remove it.'
        if is_described
        else f'These are the classes of {about.name}, as there is no {description.FILE_NAME}: for '
        'a set of your own write that file, else mend this one.'
    )
    if not label_file.exists(dataset_dir):
        return None
    names = label_file.read(dataset_dir)
    path = os.path.join(dataset_dir, label_file.FILE_NAME)
    if len(names) != num_classes:
        raise DataError(
            f'{path} names {len(names)} labels, but the set has {num_classes} classes. {way_out}'
        )
    if sorted(names) != list(range(num_classes)):
        strange = next(label for label in names if label >= num_classes)
        raise DataError(
            f'{path} names the label {strange}, but the labels of the set are 0 to '
            f'{num_classes - 1}. {way_out}'
        )
    return names
