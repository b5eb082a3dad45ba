"""CIFAR-10: 60,000 colour images of 32x32 pixels in 10 classes.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. Records are PNG files in
`cifar10_train.tfrecord` and `cifar10_test.tfrecord`.
"""

from __future__ import annotations

from datasets import record_set
from datasets.dataset import Dataset
from datasets.record_set import RecordSet
from datasets.records.description import Description, Split

FILE_PATTERN = 'cifar10_%s.tfrecord'
SPLITS_TO_SIZES = {'train': 50000, 'test': 10000}
LABEL_NAMES = (
    'airplane',
    'automobile',
    'bird',
    'cat',
    'deer',
    'dog',
    'frog',
    'horse',
    'ship',
    'truck',
)
PUBLISHED = Description(
    name='cifar10',
    num_classes=len(LABEL_NAMES),
    has_background=False,
    splits={name: Split(size) for name, size in SPLITS_TO_SIZES.items()},
    label_names=LABEL_NAMES,
)


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """Describes the split 'train' or 'test' of the records; see `record_set.get_split`."""
    records = RecordSet(PUBLISHED, FILE_PATTERN)
    return record_set.get_split(records, split_name, dataset_dir, file_pattern, reader)
