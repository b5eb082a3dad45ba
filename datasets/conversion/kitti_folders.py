"""KITTI's folders: where pictures, label files and lists of splits lie, and the draw of splits.

ROOT/training/image_2/000000.png ...   also ROOT/KITTI/training/... and ROOT/data/KITTI/...
ROOT/training/label_2/000000.txt ...
ROOT/ImageSets/{trainval,train,val}.txt    the stems of the pictures of a split, one per line
"""

from __future__ import annotations

import os
import random

from datasets.conversion import source_files
from datasets.records import atomic_files
from datasets.records.image_files import ImageFile
from datasets.records.record_files import listed
from slim.errors import DataError, UsageError, shortened

_PLACES = ('', 'KITTI', os.path.join('data', 'KITTI'))
_PICTURES, _LABELS = os.path.join('training', 'image_2'), os.path.join('training', 'label_2')
_LISTS = 'ImageSets'
_ALL = 'trainval'
_SUFFIXES = ('.png', '.jpg', '.jpeg')
SPLITTER = 'tools/kitti_random_split_train_val.py'


def find_root(folder: str) -> str:
    """The folder with training/ in it, `folder` or one below. DataError where there is none."""
    for place in _PLACES:
        root = os.path.join(folder, place) if place else folder
        if os.path.isdir(os.path.join(root, _PICTURES)):
            return root
    raise DataError(
        f'{folder} has no pictures of KITTI: looked for {_PICTURES}/ there and in '
        f'{" and ".join(f"{place}/" for place in _PLACES[1:])}'
    )


def read_split(root: str, split_name: str, missing_too: bool = False) -> list[ImageFile]:
    """Pictures and label files of a split, in the order of its list.

    Without a list 'trainval' is all pictures. DataError with file and line for a picture that is
    not there, or is named twice; for a missing list or label file. `missing_too`: what is missing
    is among the files, for a reader that leaves out what it cannot read.
    """
    if split_name.startswith('test'):
        raise UsageError(
            f'--split={split_name}: the testing pictures of KITTI have no label files; take '
            'trainval, or train and val'
        )
    pictures = _pictures(root)
    path = list_path(root, split_name)
    if not os.path.exists(path):
        if split_name != _ALL:
            raise DataError(f'There is no {path}. {SPLITTER} writes lists of train and val.')
        stems = dict.fromkeys(pictures, '')
    else:
        stems = _read_list(path)
    images = []
    for stem, where in stems.items():
        picture = pictures.get(stem) or os.path.join(root, _PICTURES, stem + _SUFFIXES[0])
        if stem not in pictures and not missing_too:
            raise DataError(
                f'{where}: there is no picture {shortened(stem, 40)!r} in '
                f'{os.path.join(root, _PICTURES)}'
            )
        labels = os.path.join(root, _LABELS, f'{stem}.txt')
        if not os.path.isfile(labels) and not missing_too:
            raise DataError(f'{where + ": " if where else ""}there is no label file {labels}')
        images.append(ImageFile(picture, 0, annotation=labels))
    if not images:
        raise DataError(f'{path} names no pictures')
    return images


def list_path(root: str, split_name: str) -> str:
    return os.path.join(root, _LISTS, f'{split_name}.txt')


def write_lists(root: str, seed: int, train_fraction: float = 0.5) -> dict[str, int]:
    """Writes trainval.txt, train.txt and val.txt; the sizes of the splits.

    Every picture of training/image_2 is in `train` or `val`, by a draw that depends on `seed` and
    the names alone: `train_fraction` of them, rounded down, are in train. Both are sorted.
    """
    if not 0 < train_fraction < 1:
        raise UsageError(f'--train_fraction={train_fraction:g} must be above 0 and below 1')
    stems = sorted(_pictures(root))
    num_train = int(len(stems) * train_fraction)
    if not 0 < num_train < len(stems):
        raise DataError(
            f'{os.path.join(root, _PICTURES)} has {len(stems)} pictures, of which --train_fraction='
            f'{train_fraction:g} leaves one split empty'
        )
    # Python promises the same numbers in every version for random() only, not for shuffle().
    draw = random.Random(seed)
    keys = {stem: draw.random() for stem in stems}
    in_order = sorted(stems, key=keys.__getitem__)
    splits = {
        _ALL: stems,
        'train': sorted(in_order[:num_train]),
        'val': sorted(in_order[num_train:]),
    }
    with atomic_files.writing(os.path.join(root, _LISTS)):
        os.makedirs(os.path.join(root, _LISTS), exist_ok=True)
    for name, members in splits.items():
        atomic_files.write_text(list_path(root, name), ''.join(f'{stem}\n' for stem in members))
    return {name: len(members) for name, members in splits.items()}


def _pictures(root: str) -> dict[str, str]:
    """Stem to path, sorted. DataError for two pictures of one stem, and for none."""
    folder = os.path.join(root, _PICTURES)
    found: dict[str, str] = {}
    for name in source_files.files(folder):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in _SUFFIXES:
            if stem in found:
                raise DataError(
                    f'{folder} has two pictures for one label file: '
                    f'{listed([name, os.path.basename(found[stem])])}'
                )
            found[stem] = os.path.join(folder, name)
    if not found:
        raise DataError(f'{folder} has no pictures ({", ".join(_SUFFIXES)})')
    return found


def _read_list(path: str) -> dict[str, str]:
    """The stems, each with file and line."""
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = file.read().splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f'{path} cannot be read: {shortened(error)}') from error
    stems: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        stem, where = line.strip(), f'{path}, line {number}'
        if stem in stems:
            raise DataError(f'{where}: {shortened(stem, 40)!r} is in the list twice')
        if stem:
            stems[stem] = where
    return stems
