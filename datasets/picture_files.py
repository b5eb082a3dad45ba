"""Which image files a path means. No TensorFlow."""

from __future__ import annotations

import glob
import os

from slim import errors

DECODED = ('.jpg', '.jpeg', '.png', '.gif')
# What is named as a picture; those that are not decoded are then named as such.
SUFFIXES = (*DECODED, '.bmp', '.webp', '.tif', '.tiff')
_LIST_SUFFIX = '.txt'
_PATTERN = frozenset('*?[')


def find(images: str) -> list[str]:
    """Paths of the pictures that --images means, in a fixed order.

    A folder stands for every file below it with the name of a picture, a pattern for every file
    that it matches, a list for the paths in its lines.

    Raises:
      DataError: there is no such thing, or no picture in it.
    """
    if os.path.isdir(images):
        found, what = below(images, SUFFIXES), f'the folder has no pictures ({", ".join(SUFFIXES)})'
    elif os.path.lexists(images):
        is_list = images.lower().endswith(_LIST_SUFFIX)
        found, what = _listed(images) if is_list else [images], 'the list names no pictures'
    elif _PATTERN & set(images):
        matches = glob.iglob(images, recursive=True)
        found = sorted(path for path in matches if not os.path.isdir(path))
        what = 'the pattern matches no file'
    else:
        found, what = [], 'no such file or folder'
    if not found:
        raise errors.DataError(f'--images={errors.shortened(images, 120)}: {what}')
    return found


def below(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Sorted paths of the visible files with these endings, in visible folders at any depth."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith('.')]
        found += [
            os.path.join(parent, name)
            for name in names
            if name.lower().endswith(suffixes) and not name.startswith('.')
        ]
    return sorted(found)


def _listed(path: str) -> list[str]:
    try:
        with open(path, encoding='utf-8', errors='surrogateescape') as file:
            return [os.path.expanduser(line.strip()) for line in file if line.strip()]
    except OSError as error:
        raise errors.DataError(
            f'--images={errors.shortened(path, 120)} cannot be read: {error.strerror}'
        ) from error
