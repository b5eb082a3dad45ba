"""A set of your own: records in `train-00000-of-00004` and so on, described by dataset.json."""

from __future__ import annotations

from datasets import record_set
from datasets.dataset import Dataset
from datasets.record_set import RecordSet


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """Describes a split that dataset.json names; see `record_set.get_split`."""
    return record_set.get_split(RecordSet(None), split_name, dataset_dir, file_pattern, reader)
