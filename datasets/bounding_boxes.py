"""Boxes of objects from the XML files of ILSVRC-2012, one file per image that has boxes.

    annotation
      size: width, height
      object (any number): name, bndbox: xmin, ymin, xmax, ymax      in pixels of that size

The published archives give `n01440764/n01440764_18.xml` for training and
`val/ILSVRC2012_val_00000001.xml` for validation.
"""

from __future__ import annotations

import dataclasses
import os
import xml.etree.ElementTree
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from datasets import record_files
from slim.errors import DataError

if TYPE_CHECKING:
    from datasets.record_writer import ImageFile

Box = tuple[float, float, float, float]  # ymin, xmin, ymax, xmax: parts (0..1) of the image sides

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


@dataclasses.dataclass(frozen=True)
class ObjectBox:
    """An object as the file has it, in pixels; sides may be exchanged or outside the image."""

    name: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


@dataclasses.dataclass(frozen=True)
class Annotation:
    """What an XML file says; the pixels are those of the image that the annotators saw."""

    width: int
    height: int
    objects: tuple[ObjectBox, ...]

    def boxes(self) -> tuple[Box, ...]:
        """Parts of the image sides, in order, inside the image."""
        return tuple(
            box(
                one.xmin / self.width,
                one.ymin / self.height,
                one.xmax / self.width,
                one.ymax / self.height,
            )
            for one in self.objects
        )


def box(xmin: float, ymin: float, xmax: float, ymax: float) -> Box:
    """The box, its sides in order and inside the image. Parts of the image sides."""
    left, right = sorted((_inside(xmin), _inside(xmax)))
    top, bottom = sorted((_inside(ymin), _inside(ymax)))
    return top, left, bottom, right


def read(path: str) -> tuple[Box, ...]:
    """The boxes in an XML file. DataError, which names it, if it is not as above."""
    return read_annotation(path).boxes()


def read_annotation(path: str) -> Annotation:
    """An XML file. DataError, which names it, if it is not as above."""
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
        annotation = Annotation(
            _pixels(root, 'size/width'),
            _pixels(root, 'size/height'),
            tuple(
                ObjectBox(
                    one.findtext('name', ''),
                    *(_pixels(one, f'bndbox/{side}') for side in ('xmin', 'ymin', 'xmax', 'ymax')),
                )
                for one in root.iter('object')
            ),
        )
    except (OSError, ValueError, xml.etree.ElementTree.ParseError) as error:
        raise DataError(f'{path} cannot be read as boxes of an image: {error}') from error
    if annotation.width < 1 or annotation.height < 1:
        raise DataError(
            f'{path} says that the image has {annotation.width}x{annotation.height} pixels.'
        )
    return annotation


def attach(splits: dict[str, list[ImageFile]], folder: str) -> dict[str, list[ImageFile]]:
    """The images of 'train' and 'validation', each with the XML file in `folder` that is its own.

    An image may have none. DataError for files that belong to no image, or no files.
    """
    if not os.path.isdir(folder):
        raise DataError(f'There is no folder {folder!r}. Give it with --bounding_box_dir.')
    names = set(xml_files(folder))
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
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.endswith(_SUFFIX) and not name.startswith('.'):
                yield os.path.relpath(os.path.join(parent, name), folder)


def _attach(image: ImageFile, places: Sequence[str], folder: str, names: set[str]) -> ImageFile:
    """Takes the image's file out of `names`."""
    stem = os.path.splitext(os.path.basename(image.path))[0]
    for place in places:
        name = place.format(synset=image.synset, stem=stem) + _SUFFIX
        if name in names:
            names.remove(name)
            return dataclasses.replace(image, annotation=os.path.join(folder, name))
    return image


def _pixels(element: xml.etree.ElementTree.Element, path: str) -> int:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f'<{element.tag}> has no {path}')
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise ValueError(f'{path} is {text!r}, not a number of pixels') from None


def _inside(part: float) -> float:
    return min(max(part, 0.0), 1.0)
