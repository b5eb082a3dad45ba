"""Data sets by name."""

from __future__ import annotations

from datasets import imagenet
from datasets.dataset import Dataset
from slim.errors import unknown_name

datasets_map = {
    'imagenet': imagenet,
}


def get_dataset(
    name: str,
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """The split `split_name` of the data set `name` in `dataset_dir`.

    See the data set's `get_split`. Raises UsageError for an unknown name or split, DataError for a
    folder that does not hold what it should.
    """
    if name not in datasets_map:
        raise unknown_name('dataset', name, datasets_map)
    return datasets_map[name].get_split(split_name, dataset_dir, file_pattern, reader)
