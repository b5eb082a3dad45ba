"""Finds what to convert below --source_dir, and images in class folders."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from datasets.records.record_files import listed
from slim.errors import DataError

_IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.gif', '.bmp', '.webp', '.tif', '.tiff')


class MissingSourceError(DataError):
    """Nothing of what a conversion reads is there; something could be downloaded."""


def folders(folder: str) -> list[str]:
    """Sorted names of the visible folders in `folder`."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith('.'))


def files(folder: str) -> list[str]:
    """Sorted names of the visible files in `folder`."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_file() and not e.name.startswith('.'))


def first_existing(folder: str, names: Sequence[str]) -> str | None:
    """The path of the first of `names` that is in `folder`, None for none of them."""
    paths = (os.path.join(folder, name) for name in names)
    return next((path for path in paths if os.path.exists(path)), None)


def read_class_folders(folder: str) -> dict[str, list[str]]:
    """Class name to the sorted paths of its images, sorted by class. The files are not opened.

    DataError for no classes, a class without images or with folders in it, and images that lie
    beside the class folders; other files there (a licence, a list) are not looked at.
    """
    classes = folders(folder)
    if not classes:
        raise DataError(
            f'{folder} has no class folders (found {listed(files(folder))}); expected one folder '
            'of images per class.'
        )
    stray = [name for name in files(folder) if name.lower().endswith(_IMAGE_SUFFIXES)]
    if stray:
        raise DataError(
            f'{folder} has images beside its class folders ({listed(stray)}). Move them into '
            'the folder of their class.'
        )
    return {name: _images(os.path.join(folder, name)) for name in classes}


def check_classes(folder: str, found: Collection[str], expected: Collection[str]) -> None:
    """DataError when the class folders of `folder` are not the expected ones, all of them."""
    missing, strange = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or strange:
        parts = [
            f'{what}: {listed(names)}'
            for what, names in (('missing', missing), ('unexpected', strange))
            if names
        ]
        raise DataError(
            f'{folder} has not the expected class folders ({"; ".join(parts)}). For classes of '
            'your own take --dataset_name=folder.'
        )


def _images(class_dir: str) -> list[str]:
    if folders(class_dir):
        raise DataError(
            f'The class folder {class_dir} has folders in it ({listed(folders(class_dir))}); '
            'expected images only.'
        )
    names = files(class_dir)
    if not names:
        raise DataError(f'The class folder {class_dir} has no images.')
    return [os.path.join(class_dir, name) for name in names]
