"""Boxes of objects from the XML files of ILSVRC-2012, one file per image that has boxes.

    annotation
      size: width, height
      object (any number): name, bndbox: xmin, ymin, xmax, ymax      in pixels of that size

The published archives give `n01440764/n01440764_18.xml` for training and
`val/ILSVRC2012_val_00000001.xml` for validation.
"""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree

from slim.errors import DataError, shortened

Box = tuple[float, float, float, float]  # ymin, xmin, ymax, xmax: parts (0..1) of the image sides


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
    except (
        OSError,
        ValueError,
        LookupError,  # an encoding that does not exist
        RecursionError,
        xml.etree.ElementTree.ParseError,
    ) as error:
        raise DataError(
            f'{path} cannot be read as boxes of an image: {shortened(error)}'
        ) from error
    if annotation.width < 1 or annotation.height < 1:
        size = shortened(f'{annotation.width}x{annotation.height}')
        raise DataError(f'{path} says that the image has {size} pixels.')
    return annotation


def _pixels(element: xml.etree.ElementTree.Element, path: str) -> int:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f'<{element.tag}> has no {path}')
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise ValueError(f'{path} is {text[:80]!r}, not a number of pixels') from None


def _inside(part: float) -> float:
    return min(max(part, 0.0), 1.0)
