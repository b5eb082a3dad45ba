"""Visual Wake Words: does a photograph of COCO 2014 show a person (or another class), or not?

Chowdhery et al., "Visual Wake Words Dataset", 2019. Label 1 stands for an image with an object of
the class that covers more than 0.5 % of it, label 0 for every other image. Records are JPEG files
in `train.record-00000-of-00100` and `val.record-00000-of-00010` and their sisters.
"""

from __future__ import annotations

from datasets import record_set
from datasets.dataset import Dataset
from datasets.record_set import RecordSet
from datasets.records import label_file
from datasets.records.description import Description, Split

LABELS_FILENAME = label_file.FILE_NAME
FILE_PATTERN = '%s.record-*'
NUM_SHARDS = {'train': 100, 'val': 10}
SPLITS_TO_SIZES = {'train': 82783, 'val': 40504}
BACKGROUND_NAME = 'background'
PUBLISHED = Description(
    name='visualwakewords',
    num_classes=2,
    has_background=False,  # label 0 is a class of its own here
    splits={name: Split(size) for name, size in SPLITS_TO_SIZES.items()},
    label_names=(BACKGROUND_NAME, 'person'),
)


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """Describes the split 'train' or 'val' of the records; see `record_set.get_split`."""
    records = RecordSet(PUBLISHED, FILE_PATTERN)
    return record_set.get_split(records, split_name, dataset_dir, file_pattern, reader)
