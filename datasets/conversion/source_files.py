"""Finds what to convert below --source_dir, and images in class folders."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Sequence

from datasets import names as dataset_names
from datasets import picture_files
from datasets.records.record_files import listed
from slim.errors import DataError, printable


class MissingSourceError(DataError):
    """Nothing of what a conversion reads is there; something could be downloaded."""


def folders(folder: str) -> list[str]:
    """Sorted names of the visible folders in `folder`. DataError for one that cannot be used."""
    names = [entry.name for entry in _entries(folder) if entry.is_dir()]
    for name in names:
        if not name.isprintable():  # Nor are names that are not UTF-8.
            raise DataError(
                f'{folder} has a folder with a name that cannot be used: {name!r}. Rename it.'
            )
    return names


def files(folder: str) -> list[str]:
    """Sorted names of the visible files in `folder`."""
    return [entry.name for entry in _entries(folder) if entry.is_file()]


def class_folders(folder: str) -> dict[str, str]:
    """Name of the class to its folder, sorted by name.

    Unicode has several forms of the same name, and which one a file has depends on the system that
    it came from: 'é' is one character or two. DataError where a class has two folders by that.
    """
    classes: dict[str, str] = {}
    for name in folders(folder):
        class_name = normal(name)
        if class_name in classes:
            raise DataError(
                f'{folder} has two folders {class_name!r}, whose names are written in different '
                'forms of Unicode (NFC and NFD). Put their images into one.'
            )
        classes[class_name] = os.path.join(folder, name)
    return {name: classes[name] for name in sorted(classes)}


def normal(name: str) -> str:
    """The name in one form of Unicode, NFC."""
    return unicodedata.normalize('NFC', name)


def set_name(folder: str) -> str:
    """A name for the set in `folder`: that of the folder, unless a known set is called so."""
    name = normal(printable(os.path.basename(os.path.realpath(folder))))
    return f'my_{name}' if name in dataset_names.NAMES else name


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Visible folders and files, sorted by name. DataError for what is neither."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith('.')]
        odd = [entry for entry in visible if not entry.is_dir() and not entry.is_file()]
        links = [entry.name for entry in odd if entry.is_symlink()]
    except OSError as error:
        raise DataError(f'{error.filename or folder} cannot be read: {error.strerror}') from error
    if links:
        raise DataError(
            f'{folder} has {len(links)} links that lead nowhere: {listed(links)}. Mend or remove '
            'them.'
        )
    if odd:
        names = [entry.name for entry in odd]
        raise DataError(f'{folder} has entries that are no files: {listed(names)}. Remove them.')
    return sorted(visible, key=lambda entry: entry.name)


def first_existing(folder: str, names: Sequence[str]) -> str | None:
    """The path of the first of `names` that is in `folder`, None for none of them."""
    paths = (os.path.join(folder, name) for name in names)
    return next((path for path in paths if os.path.exists(path)), None)


def read_class_folders(folder: str) -> dict[str, list[str]]:
    """Class name to the sorted paths of its images, sorted by class. The files are not opened.

    DataError for no classes, a class without images or with folders in it, and images that lie
    beside the class folders; other files there (a licence, a list) are not looked at.
    """
    classes = class_folders(folder)
    if not classes:
        raise DataError(
            f'{folder} has no class folders (found {listed(files(folder))}); expected one folder '
            'of images per class.'
        )
    stray = [name for name in files(folder) if name.lower().endswith(picture_files.SUFFIXES)]
    if stray:
        raise DataError(
            f'{folder} has images beside its class folders ({listed(stray)}). Move them into '
            'the folder of their class.'
        )
    return {name: _images(class_dir) for name, class_dir in classes.items()}


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
