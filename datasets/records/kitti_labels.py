"""The label files of KITTI: one line for each object, 15 fields with blanks between them.

    type truncated occluded alpha left top right bottom height width length x y z rotation_y

`left` to `bottom` are pixels, counted from 0; `truncated` runs from 0 (all of it is in the picture)
to 1, `occluded` is 0 (visible), 1 (partly), 2 (largely) or 3 (unknown). A DontCare line marks a
region in which nothing was labelled: its other fields are -1, -10 or -1000. A file without lines is
a picture without objects.

No TensorFlow, as the processes that write records do without it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

from slim.errors import DataError, shortened

TYPES = (
    'Car',
    'Van',
    'Truck',
    'Pedestrian',
    'Person_sitting',
    'Cyclist',
    'Tram',
    'Misc',
)
DONT_CARE = 'DontCare'
# What is to be found, by label.
CLASSES = ('Pedestrian', 'Cyclist', 'Car')

_FIELDS = (
    'type',
    'truncated',
    'occluded',
    'alpha',
    'left',
    'top',
    'right',
    'bottom',
    'height',
    'width',
    'length',
    'x',
    'y',
    'z',
    'rotation_y',
)
# How far a box may reach beyond the picture: the sides of published files are rounded, and some
# count the last pixel's far edge.
_BEYOND = 1.0
_MAX_OCCLUDED = 3


class PictureObject(NamedTuple):
    """An object or a DontCare region of a picture."""

    type: str
    box: tuple[float, float, float, float]  # xmin, ymin, xmax, ymax
    truncated: float = 0.0  # KITTI: the part outside of the picture; VOC: 0 or 1; -1 unknown
    occluded: int = 0  # KITTI's levels; -1 unknown
    difficult: int = 0  # VOC's mark
    line: int = 0  # of the label file, from 1; of an XML file the number of the object

    @property
    def has_area(self) -> bool:
        """False for the inverted DontCare boxes that published files hold."""
        return self.box[2] > self.box[0] and self.box[3] > self.box[1]


def parse(content: bytes, path: str, own_types: Collection[str] = ()) -> list[PictureObject]:
    """The objects of a label file, in its order, DontCare regions among them.

    `own_types` are types that are known besides KITTI's. DataError with file and line for a line
    that is not as above, a type that is not known, and an object with an inverted or empty box.
    """
    try:
        lines = content.decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b'\n') + 1
        raise DataError(f'{path}, line {number}: it is no text (UTF-8)') from error
    return [
        _parse_line(line, f'{path}, line {number}', number, own_types)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def check_inside(
    objects: Collection[PictureObject], width: int, height: int, path: str, counted: str = 'line'
) -> None:
    """DataError with file and line for an object's box that reaches out of the picture.

    `counted`: what `line` numbers, for the message.
    """
    for one in objects:
        left, top, right, bottom = one.box
        outside = min(left, top) < -_BEYOND or right > width + _BEYOND or bottom > height + _BEYOND
        if outside and one.type != DONT_CARE:
            raise DataError(
                f'{path}, {counted} {one.line}: the box {_shown(one.box)} of {one.type} reaches '
                f'out of the picture of {width}x{height} pixels'
            )


def _parse_line(line: str, where: str, number: int, own_types: Collection[str]) -> PictureObject:
    fields = line.split()
    if len(fields) != len(_FIELDS):
        raise DataError(
            f'{where}: {len(fields)} fields, not {len(_FIELDS)}: {shortened(line, 60)!r}'
        )
    kind = fields[0]
    if kind not in (*TYPES, DONT_CARE, *own_types):
        raise DataError(
            f'{where}: the type {shortened(kind, 40)!r} is none of {", ".join(TYPES)} and '
            f'{DONT_CARE}; name types of your own with --classes'
        )
    values = dict(zip(_FIELDS[1:], map(_number, fields[1:]), strict=True))
    for name, text in zip(_FIELDS[1:], fields[1:], strict=True):
        if not math.isfinite(values[name]):
            raise DataError(f'{where}: {name} is {shortened(text, 40)!r}, not a number')
    occluded = values['occluded']
    if occluded not in range(-1, _MAX_OCCLUDED + 1):
        raise DataError(f'{where}: occluded is {occluded:g}, not one of 0 to {_MAX_OCCLUDED} or -1')
    one = PictureObject(
        kind,
        (values['left'], values['top'], values['right'], values['bottom']),
        values['truncated'],
        int(occluded),
        line=number,
    )
    if not one.has_area and kind != DONT_CARE:
        raise DataError(
            f'{where}: the box {_shown(one.box)} of {kind} has no area: it must be left, top, '
            'right, bottom with left < right and top < bottom'
        )
    return one


def _number(text: str) -> float:
    """NaN for what is no number. (Python's own notation, such as 1_000, is none.)"""
    try:
        return math.nan if '_' in text else float(text)
    except ValueError:
        return math.nan


def _shown(box: tuple[float, ...]) -> str:
    return ' '.join(f'{side:g}' for side in box)
