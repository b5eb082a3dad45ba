"""Data sets by name."""

from __future__ import annotations

from types import ModuleType

from datasets import description, imagenet
from datasets.dataset import Dataset
from datasets.description import Description
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
    return _module(name).get_split(split_name, dataset_dir, file_pattern, reader)


def get_description(name: str, dataset_dir: str = '') -> Description:
    """Classes and splits: of the folder's dataset.json, or as published for the set `name`.

    Needs no record files, and no folder. Raises UsageError for an unknown name.
    """
    module = _module(name)
    return (dataset_dir and description.read_description(dataset_dir)) or module.PUBLISHED


def _module(name: str) -> ModuleType:
    if name not in datasets_map:
        raise unknown_name('dataset', name, datasets_map)
    return datasets_map[name]
