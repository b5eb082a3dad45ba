"""Imagenette: ten easily told classes of ImageNet, version 2, by fast.ai.

Records are JPEG files in `train-00000-of-00010` and `validation-00000-of-00004` and their sisters.
Labels are 0..9 in the order of the synsets; there is no background class.
"""

from __future__ import annotations

from datasets import record_set
from datasets.dataset import Dataset
from datasets.record_set import RecordSet
from datasets.records.description import Description, Split

SYNSETS_TO_NAMES = {
    'n01440764': 'tench',
    'n02102040': 'English springer',
    'n02979186': 'cassette player',
    'n03000684': 'chain saw',
    'n03028079': 'church',
    'n03394916': 'French horn',
    'n03417042': 'garbage truck',
    'n03425413': 'gas pump',
    'n03445777': 'golf ball',
    'n03888257': 'parachute',
}
SPLITS_TO_SIZES = {'train': 9469, 'validation': 3925}
PUBLISHED = Description(
    name='imagenette',
    num_classes=len(SYNSETS_TO_NAMES),
    has_background=False,
    splits={name: Split(size) for name, size in SPLITS_TO_SIZES.items()},
    label_names=tuple(SYNSETS_TO_NAMES.values()),
)


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """Describes the split 'train' or 'validation'; see `record_set.get_split`."""
    return record_set.get_split(RecordSet(PUBLISHED), split_name, dataset_dir, file_pattern, reader)
