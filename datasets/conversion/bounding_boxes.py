"""Finds the XML file of boxes that belongs to an image; `object_boxes.py` reads it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

from datasets.conversion import source_files
from datasets.records import record_files
from datasets.records.image_files import ImageFile
from slim.errors import DataError

_SUFFIX = '.xml'
# Where below the folder of boxes those of a split may lie; the shorter one is that of the archives.
_PLACES = {
    'train': ('{synset}/{stem}', 'train/{synset}/{stem}', 'img_train/{synset}/{stem}'),
    'validation': (
        'val/{stem}',
        'validation/{stem}',
        'img_val/{stem}',
        'val/{synset}/{stem}',
        'validation/{synset}/{stem}',
        'img_val/{synset}/{stem}',
        '{stem}',
        '{synset}/{stem}',
    ),
}


def attach(splits: dict[str, list[ImageFile]], folder: str) -> dict[str, list[ImageFile]]:
    """The images of 'train' and 'validation', each with the XML file in `folder` that is its own.

    An image may have none. DataError for files that belong to no image, or no files.
    """
    if not os.path.isdir(folder):
        raise DataError(f'There is no folder {folder!r}. Give it with --bounding_box_dir.')
    names = {source_files.normal(name): name for name in xml_files(folder)}
    if not names:
        raise DataError(
            f'{folder} holds no XML file of boxes; expected n01440764/n01440764_18.xml and so on.'
        )
    attached = {
        split_name: [_attach(image, _PLACES[split_name], folder, names) for image in images]
        for split_name, images in splits.items()
    }
    if names:
        raise DataError(
            f'{folder} has boxes for {len(names)} images that are not there: '
            f'{record_files.listed(sorted(names))}. Move these files away or complete the images.'
        )
    return attached


def xml_files(folder: str) -> Iterator[str]:
    """Paths of the XML files below `folder`, relative to it, sorted."""

    def unreadable(error: OSError) -> None:
        raise DataError(f'{error.filename} cannot be read: {error.strerror}') from error

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        for name in sorted(files):
            if name.endswith(_SUFFIX) and not name.startswith('.'):
                yield os.path.relpath(os.path.join(parent, name), folder)


def _attach(
    image: ImageFile, places: Sequence[str], folder: str, names: dict[str, str]
) -> ImageFile:
    """Takes the image's file out of `names`."""
    stem = source_files.normal(os.path.splitext(os.path.basename(image.path))[0])
    for place in places:
        name = place.format(synset=image.synset, stem=stem) + _SUFFIX
        if name in names:
            path = os.path.join(folder, names.pop(name))
            return dataclasses.replace(image, annotation=path)
    return image
