"""Boxes of the ILSVRC-2012 XML files as CSV, with the names of the classic suite.

python3 -m datasets.process_bounding_boxes DIR [SYNSETS_FILE] > boxes.csv

Lines `n01440764_18.JPEG,xmin,ymin,xmax,ymax`, the sides as parts of the image, for every XML file
below DIR; with a file of synsets, one per line, for those in folders of these names. The reading is
that of `datasets/records/object_boxes.py`.
"""

from __future__ import annotations

import itertools
import os
import sys
import xml.etree.ElementTree
from collections.abc import Iterator, Sequence

from datasets.conversion import bounding_boxes
from datasets.records import object_boxes, record_files
from slim.errors import DataError, SuiteError, UsageError, printable


class BoundingBox:
    """A box: sides in pixels, and as parts of the image (`..._scaled`), in order and clipped."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int
    width: int  # of the image
    height: int
    filename: str
    label: str
    xmin_scaled: float
    ymin_scaled: float
    xmax_scaled: float
    ymax_scaled: float


def GetItem(name: str, root: xml.etree.ElementTree.Element, index: int = 0) -> str | int:
    """Text of the element number `index` called `name` below `root`; -1 where there is none."""
    element = next(itertools.islice(root.iter(name), index, None), None)
    return -1 if element is None else element.text or ''


def GetInt(name: str, root: xml.etree.ElementTree.Element, index: int = 0) -> int:
    """The same as a number."""
    return int(GetItem(name, root, index))


def FindNumberBoundingBoxes(root: xml.etree.ElementTree.Element) -> int:
    return sum(1 for _ in root.iter('xmin'))


def ProcessXMLAnnotation(xml_file: str) -> list[BoundingBox]:
    """The boxes in a file. DataError, which names it, if it cannot be read."""
    annotation = object_boxes.read_annotation(xml_file)
    # The <filename> of some of the published files is a placeholder; the file's own name is right.
    filename = os.path.splitext(os.path.basename(xml_file))[0] + '.JPEG'
    boxes = []
    for one, sides in zip(annotation.objects, annotation.boxes(), strict=True):
        box = BoundingBox()
        box.xmin, box.ymin, box.xmax, box.ymax = one.xmin, one.ymin, one.xmax, one.ymax
        box.ymin_scaled, box.xmin_scaled, box.ymax_scaled, box.xmax_scaled = sides
        box.width, box.height = annotation.width, annotation.height
        box.filename, box.label = filename, one.name
        boxes.append(box)
    return boxes


def csv_lines(folder: str, synsets: Sequence[str] | None = None) -> Iterator[str]:
    """The lines of the CSV for the files below `folder`; DataError if there are none."""
    names = list(bounding_boxes.xml_files(folder))
    if not names:
        raise DataError(f'{folder} holds no XML file of boxes.')
    for name in names:
        if synsets is None or os.path.basename(os.path.dirname(name)) in synsets:
            for box in ProcessXMLAnnotation(os.path.join(folder, name)):
                yield (
                    f'{box.filename},{box.xmin_scaled:.4f},{box.ymin_scaled:.4f},'
                    f'{box.xmax_scaled:.4f},{box.ymax_scaled:.4f}'
                )


def main(argv: Sequence[str]) -> None:
    """Prints the CSV."""
    if not 2 <= len(argv) <= 3:
        raise UsageError('give a folder of XML files and, if you like, a file of synsets')
    synsets = record_files.read_lines(argv[2]) if len(argv) > 2 else None
    for line in csv_lines(argv[1], synsets):
        print(line)


if __name__ == '__main__':
    try:
        main(sys.argv)
    except SuiteError as error:
        print(f'process_bounding_boxes: error: {printable(str(error))}', file=sys.stderr)
        sys.exit(error.exit_code)
