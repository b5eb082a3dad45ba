"""Flowers: 3,670 photographs of five kinds of flowers, the example set of TensorFlow's tutorials.

Records are JPEG files in `flowers_train_00000-of-00005.tfrecord` and its sisters, and the same for
validation.
"""

from __future__ import annotations

from datasets import record_set
from datasets.dataset import Dataset
from datasets.record_set import RecordSet
from datasets.records.description import Description, Split

FILE_PATTERN = 'flowers_%s_*.tfrecord'
NUM_SHARDS = 5  # of each split
SPLITS_TO_SIZES = {'train': 3320, 'validation': 350}
LABEL_NAMES = ('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')
PUBLISHED = Description(
    name='flowers',
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
    """Describes the split 'train' or 'validation'; see `record_set.get_split`."""
    records = RecordSet(PUBLISHED, FILE_PATTERN)
    return record_set.get_split(records, split_name, dataset_dir, file_pattern, reader)
