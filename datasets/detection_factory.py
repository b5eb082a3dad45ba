"""Data sets of pictures with objects by name; those of classes are in `dataset_factory`."""

from __future__ import annotations

from typing import Any

from datasets import kitti, pascalvoc, scenes
from datasets.detection_set import DetectionSet
from datasets.records import description
from datasets.records.description import Description
from slim.errors import unknown_name

datasets_map: dict[str, Any] = {
    'kitti': kitti,
    'pascalvoc': pascalvoc,
    'scenes': scenes,
}


def get_dataset(
    name: str,
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> DetectionSet:
    """The split `split_name` of the data set `name` in `dataset_dir`.

    Raises UsageError for an unknown name or split, DataError for a folder that does not hold it.
    """
    if name not in datasets_map:
        raise unknown_name('dataset', name, datasets_map)
    return datasets_map[name].get_split(split_name, dataset_dir, file_pattern, reader)


def get_description(name: str, dataset_dir: str = '') -> Description:
    """Classes and splits: of the folder's dataset.json, or as published for the set `name`.

    Needs no record files. Raises UsageError for an unknown name.
    """
    if name not in datasets_map:
        raise unknown_name('dataset', name, datasets_map)
    described = description.read_description(dataset_dir) if dataset_dir else None
    # The generated scenes have KITTI's classes.
    published: Description = getattr(datasets_map[name], 'PUBLISHED', kitti.PUBLISHED)
    return described or published
