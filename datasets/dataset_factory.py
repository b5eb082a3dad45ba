"""Data sets by name."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from datasets import (
    cifar10,
    description,
    flowers,
    folder,
    imagenet,
    imagenette,
    mnist,
    visualwakewords,
)
from datasets.dataset import Dataset
from slim.errors import unknown_name

datasets_map: dict[str, Any] = {
    'cifar10': cifar10,
    'flowers': flowers,
    'folder': folder,
    'imagenet': imagenet,
    'imagenette': imagenette,
    'mnist': mnist,
    'visualwakewords': visualwakewords,
}


def get_dataset(
    name: str,
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """The split `split_name` of the data set `name` in `dataset_dir`.

    `name` is a key of `datasets_map` or the name that the folder's dataset.json gives itself. See
    the data set's `get_split`. Raises UsageError for an unknown name or split, DataError for a
    folder that does not hold what it should.
    """
    module = datasets_map.get(name)
    if module is None:
        own_name = _own_name(dataset_dir)
        if name != own_name:
            raise unknown_name('dataset', name, [*datasets_map, *filter(None, [own_name])])
        module = folder
    return module.get_split(split_name, dataset_dir, file_pattern, reader)


def _own_name(dataset_dir: str) -> str | None:
    if not dataset_dir or not tf.io.gfile.isdir(dataset_dir):
        return None
    described = description.read_description(dataset_dir)
    return described.name if described else None
