"""ImageNet (ILSVRC-2012) as TFRecords, and any set of its format that a dataset.json describes.

Records are those of `datasets/records/example_format.py` in files `train-00000-of-01024` and
`validation-00000-of-00128`, flat in the folder or below `train/` and `validation/`. Labels are
1..1000 in the order of the sorted synsets; 0 is a background class. Nothing is downloaded: the
names of the labels come with the package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from datasets import record_set
from datasets.dataset import Dataset
from datasets.record_set import RecordSet
from datasets.records.description import Description, Split
from datasets.records.synsets import synsets_to_names

# Whether labels are given names that people know: 'goldfish, Carassius auratus' for n01443537.
LOAD_READABLE_NAMES = True

# Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", 2014, table 2.
PUBLISHED = Description(
    name='imagenet',
    num_classes=1001,
    has_background=True,
    splits={'train': Split(1281167), 'validation': Split(50000)},
)

_BACKGROUND_NAME = 'background'


def create_readable_names_for_imagenet_labels() -> dict[int, str]:
    """Names of the 1,001 labels; the background is 0. Reads a file of the package, no network."""
    return dict(enumerate([_BACKGROUND_NAME, *synsets_to_names().values()]))


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """Describes a split of the records in `dataset_dir`; see `record_set.get_split`.

    Labels that dataset.json names by synsets get their readable names.
    """
    dataset = record_set.get_split(
        RecordSet(PUBLISHED), split_name, dataset_dir, file_pattern, reader
    )
    names = _readable(dataset.name, dataset.num_classes, dataset.labels_to_names)
    return dataclasses.replace(dataset, labels_to_names=names)


def readable_names(described: Description) -> Mapping[int, str] | None:
    """The names that a split of the set gets, by its description alone."""
    return _readable(described.name, described.num_classes, described.labels_to_names())


def _readable(
    name: str, num_classes: int, labels_to_names: Mapping[int, str] | None
) -> Mapping[int, str] | None:
    if not LOAD_READABLE_NAMES:
        return labels_to_names
    if labels_to_names is not None:
        names = synsets_to_names()
        return {label: names.get(text, text) for label, text in labels_to_names.items()}
    if (name, num_classes) == (PUBLISHED.name, PUBLISHED.num_classes):
        return create_readable_names_for_imagenet_labels()
    return None
