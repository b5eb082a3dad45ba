"""Pascal VOC's folders: where pictures, annotations and lists of splits lie.

ROOT/VOC2007/JPEGImages/000005.jpg ...     also ROOT/VOCdevkit/VOC2007/...
ROOT/VOC2007/Annotations/000005.xml ...
ROOT/VOC2007/ImageSets/Main/{trainval,train,val,test}.txt
"""

from __future__ import annotations

import os
import re

from datasets.records.image_files import ImageFile
from slim.errors import DataError, UsageError, shortened

# --year: the folders that it names.
YEARS = {'2007': ('VOC2007',), '2012': ('VOC2012',), '0712': ('VOC2007', 'VOC2012')}
_PLACES = ('', 'VOCdevkit')
# The second field of the lists of one class.
_MARK = re.compile(r'\s-?[01]\s*$')


def read_split(
    folder: str, year: str, split_name: str, missing_too: bool = False
) -> list[ImageFile]:
    """Pictures and annotations of a split, in the order of its lists.

    DataError with file and line for a picture that is not there, or has no annotation, unless
    `missing_too`: then they are among the files, for a reader that leaves out what it cannot read.
    Of two years one may lack the split, as 2012 has no test pictures with annotations.
    """
    if year not in YEARS:
        raise UsageError(f'--year={year!r} must be one of {", ".join(YEARS)}')
    images: list[ImageFile] = []
    lists = []
    for name in YEARS[year]:
        root = _find_root(folder, name)
        lists.append(os.path.join(root, 'ImageSets', 'Main', f'{split_name}.txt'))
        if os.path.exists(lists[-1]):
            images += _read_list(root, lists[-1], missing_too)
    if not images:
        raise DataError(f'There are no pictures of the split {split_name!r} in {", ".join(lists)}')
    return images


def _find_root(folder: str, name: str) -> str:
    for place in _PLACES:
        root = os.path.join(folder, place, name)
        if os.path.isdir(root):
            return root
    raise DataError(f'{folder} has no folder {name}/, nor {_PLACES[1]}/{name}/')


def _read_list(root: str, path: str, missing_too: bool) -> list[ImageFile]:
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = file.read().splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f'{path} cannot be read: {shortened(error)}') from error
    images: dict[str, ImageFile] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        stem = _MARK.sub('', line).strip()
        if stem in images:
            raise DataError(f'{path}, line {number}: {shortened(stem, 40)!r} is in the list twice')
        picture = os.path.join(root, 'JPEGImages', f'{stem}.jpg')
        annotation = os.path.join(root, 'Annotations', f'{stem}.xml')
        for needed in (picture, annotation):
            if not os.path.isfile(needed) and not missing_too:
                raise DataError(f'{path}, line {number}: there is no {needed}')
        images[stem] = ImageFile(picture, 0, annotation=annotation)
    return list(images.values())
