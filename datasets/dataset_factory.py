"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from datasets import cifar10, flowers, folder, imagenet, imagenette, mnist, visualwakewords
from datasets.dataset import Dataset
from datasets.records import description, example_format
from datasets.records.description import Description
from slim.errors import DataError, unknown_name

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
    return _module(name, dataset_dir).get_split(split_name, dataset_dir, file_pattern, reader)


def get_description(name: str, dataset_dir: str = '') -> Description:
    """Classes and splits: of the folder's dataset.json, or as published for the set `name`.

    Needs no record files. Raises UsageError for an unknown name, DataError for a set of your own
    without a dataset.json.
    """
    module = _module(name, dataset_dir)
    described = description.read_description(dataset_dir) if dataset_dir else None
    if described is None and module is folder:
        raise DataError(
            f'{dataset_dir!r} has no {description.FILE_NAME}, which says how many classes a set of '
            'your own has. Give its folder with --dataset_dir.'
        )
    return described or module.PUBLISHED


def get_decoder(name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """What makes uint8 [h, w, c] of the image files of the set `name`, a user's own included."""
    return getattr(datasets_map.get(name), 'decode', example_format.decode_image)


def get_label_names(name: str, dataset_dir: str = '') -> Mapping[int, str] | None:
    """Names by label, as a split of the set would have them; needs no record files. None: unknown.

    Raises as `get_description` does.
    """
    described = get_description(name, dataset_dir)
    module = _module(name, dataset_dir)
    if module is imagenet:
        return imagenet.readable_names(described)
    return described.labels_to_names()


def _module(name: str, dataset_dir: str) -> Any:
    """The module of a set; a folder whose dataset.json has that name is a set of the user's own."""
    if name in datasets_map:
        return datasets_map[name]
    own_name = _own_name(dataset_dir)
    if name == own_name:
        return folder
    raise unknown_name('dataset', name, [*datasets_map, *filter(None, [own_name])])


def _own_name(dataset_dir: str) -> str | None:
    if not dataset_dir or not tf.io.gfile.isdir(dataset_dir):
        return None
    described = description.read_description(dataset_dir)
    return described.name if described else None
