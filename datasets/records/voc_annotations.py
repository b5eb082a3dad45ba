"""The annotations of Pascal VOC: an XML file for each picture.

    annotation
      size: width, height
      object (any number): name, truncated, difficult, bndbox: xmin, ymin, xmax, ymax

The sides of a box are pixels, counted from 1, and the last ones belong to the object. What is
returned counts from 0 and ends behind the last pixel, so that a box of one pixel has an area of 1.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree

from datasets.records.kitti_labels import PictureObject
from slim.errors import DataError, shortened

CLASSES = (
    'aeroplane',
    'bicycle',
    'bird',
    'boat',
    'bottle',
    'bus',
    'car',
    'cat',
    'chair',
    'cow',
    'diningtable',
    'dog',
    'horse',
    'motorbike',
    'person',
    'pottedplant',
    'sheep',
    'sofa',
    'train',
    'tvmonitor',
)
_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')


def parse(content: bytes, path: str) -> list[PictureObject]:
    """The objects of an annotation file, in its order. DataError with file and object."""
    try:
        root = xml.etree.ElementTree.fromstring(content)
    except (xml.etree.ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f'{path} is no XML file of a picture: {shortened(error)}') from error
    if root.tag != 'annotation':
        raise DataError(
            f'{path} is no XML file of a picture: it holds {shortened(root.tag, 40)!r}, not '
            "'annotation'"
        )
    return [
        _object(element, f'{path}, object {number}', number)
        for number, element in enumerate(root.findall('object'), start=1)
    ]


def _object(element: xml.etree.ElementTree.Element, where: str, number: int) -> PictureObject:
    name = (element.findtext('name') or '').strip()
    if name not in CLASSES:
        raise DataError(f"{where}: the class {shortened(name, 40)!r} is none of Pascal VOC's")
    sides = [_number(element, f'bndbox/{side}', where) for side in _SIDES]
    one = PictureObject(
        name,
        (sides[0] - 1.0, sides[1] - 1.0, sides[2], sides[3]),
        truncated=_number(element, 'truncated', where, '0'),
        difficult=int(_number(element, 'difficult', where, '0')),
        line=number,
    )
    if not one.has_area:
        shown = ' '.join(f'{side:g}' for side in sides)
        raise DataError(f'{where}: the box {shown} of {name} is inverted')
    return one


def _number(
    element: xml.etree.ElementTree.Element, path: str, where: str, default: str | None = None
) -> float:
    text = element.findtext(path, default)
    if text is None:
        raise DataError(f'{where}: there is no {path}')
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f'{where}: {path} is {shortened(text, 40)!r}, not a number')
    return value
