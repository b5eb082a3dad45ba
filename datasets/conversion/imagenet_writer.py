"""ILSVRC-2012's extracted archives, or any tree of class folders, as TFRecords.

Two published layouts are read, `train/` with `validation/` and `img_train/` with `img_val/`:

    RAW/train/n01440764/*.JPEG ...        one folder per class, named by its synset
    RAW/validation/n01440764/*.JPEG ...   the same, or flat: RAW/validation/*.JPEG with
    RAW/synset_labels.txt                 one synset per line, for the sorted validation files

Labels are 1, 2, ... in the order of the sorted synsets of the training folder; 0 is the background
class. Boxes come from a folder of XML files (`datasets/conversion/bounding_boxes.py`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datasets.conversion import bounding_boxes, resumable
from datasets.conversion.progress_bar import Progress
from datasets.conversion.resumable import Converted, Plan, SplitPlan
from datasets.records import record_files
from datasets.records.description import Description, Split
from datasets.records.image_files import ImageFile
from datasets.records.record_writer import DEFAULT_RULES, Rules, WrittenSplit, shuffled
from slim.errors import DataError, UsageError

_LAYOUTS = (('train', 'validation'), ('img_train', 'img_val'))
_SYNSETS_FILE = 'synset_labels.txt'
SHUFFLE_SEED = 12345

_BACKGROUND_NAME = 'background'


@dataclass(frozen=True)
class RawImages:
    """The image files of a tree, in sorted order, with their labels."""

    synsets: tuple[str, ...]  # sorted; synset i has label i + 1
    splits: dict[str, list[ImageFile]]


def convert(
    raw_data_dir: str,
    output_dir: str,
    train_shards: int = 1024,
    validation_shards: int = 128,
    name: str = 'imagenet',
    progress: Progress = print,
    *,
    bounding_box_dir: str | None = None,
    rules: Rules = DEFAULT_RULES,
    num_workers: int = 1,
) -> Converted:
    """Writes the tree `raw_data_dir` into `output_dir`/train and /validation, then dataset.json.

    Everything that can be checked is checked before the first file is written; an interrupted call
    is continued by the next one (`resumable.py`). Raises UsageError for numbers or folders that
    make no sense, DataError for a tree that is not as above or holds a bad file, OutputError for a
    folder that cannot be written or holds another set.
    """
    num_shards = {'train': train_shards, 'validation': validation_shards}
    for split_name, count in num_shards.items():
        if count < 1:
            raise UsageError(f'--{split_name}_shards must be at least 1, not {count}')
    if os.path.realpath(raw_data_dir) == os.path.realpath(output_dir):
        raise UsageError(
            f'The records cannot go into the folder of the images, {raw_data_dir}. '
            'Give another one with --local_scratch_dir.'
        )
    raw = read_tree(raw_data_dir)
    splits = raw.splits
    if bounding_box_dir is not None:
        splits = bounding_boxes.attach(splits, bounding_box_dir)
    # Neighbours in the training files should be of different classes; validation has no order.
    in_order = {
        'train': shuffled(splits['train'], SHUFFLE_SEED),
        'validation': splits['validation'],
    }
    plan = Plan(
        images_dir=raw_data_dir,
        output_dir=output_dir,
        splits={
            split_name: SplitPlan(images, num_shards[split_name], folder=split_name)
            for split_name, images in in_order.items()
        },
        flags={f'{split_name}_shards': count for split_name, count in num_shards.items()},
        describe=functools.partial(describe, name, raw.synsets),
        rules=rules,
    )
    converted = resumable.convert(plan, num_workers, progress)
    report_odd_files(converted, progress)
    return converted


def describe(
    name: str, class_names: Sequence[str], written: Mapping[str, WrittenSplit]
) -> Description:
    """The dataset.json of classes that have labels 1, 2, ..."""
    return Description(
        name=name,
        num_classes=len(class_names) + 1,
        has_background=True,
        splits={key: Split(split.num_samples, split.num_shards) for key, split in written.items()},
        label_names=(_BACKGROUND_NAME, *class_names),
    )


def report_odd_files(converted: Converted, progress: Progress) -> None:
    """Says how many files were encoded anew or left out; the report in the folder lists them."""
    for split_name, split in converted.splits.items():
        if split.reencoded:
            progress(
                f'{split_name}: {len(split.reencoded)} files were not RGB or gray JPEG and were '
                f'encoded anew: {record_files.listed(split.reencoded)}'
            )
        if split.skipped:
            progress(
                f'{split_name}: {len(split.skipped)} files could not be read and were left out: '
                f'{record_files.listed([one.path for one in split.skipped])}'
            )


def read_tree(raw_data_dir: str) -> RawImages:
    """Lists the images of a tree; the files themselves are not opened."""
    train_dir, validation_dir = _find_layout(raw_data_dir)
    synsets = tuple(_folders(train_dir))
    if not synsets:
        raise DataError(
            f'{train_dir} has no class folders; expected one folder of images per class.'
        )
    labels = {synset: label for label, synset in enumerate(synsets, start=1)}
    train = read_class_folders(train_dir, labels)
    if _folders(validation_dir):
        validation = read_class_folders(validation_dir, labels)
    else:
        validation = _read_flat(validation_dir, os.path.join(raw_data_dir, _SYNSETS_FILE), labels)
    return RawImages(synsets, {'train': train, 'validation': validation})


def _find_layout(raw_data_dir: str) -> tuple[str, str]:
    if not os.path.isdir(raw_data_dir):
        raise DataError(f'There is no folder {raw_data_dir!r}. Give it with --raw_data_dir.')
    folders = _folders(raw_data_dir)
    for layout in _LAYOUTS:
        if set(layout) <= set(folders):
            train, validation = layout
            return os.path.join(raw_data_dir, train), os.path.join(raw_data_dir, validation)
    expected = ' or '.join(f'{train}/ and {validation}/' for train, validation in _LAYOUTS)
    raise DataError(
        f'{raw_data_dir} must hold the folders {expected}; found {record_files.listed(folders)}.'
    )


def read_class_folders(folder: str, labels: Mapping[str, int]) -> list[ImageFile]:
    """The images of one folder per class, sorted. `labels` by the name of the class."""
    stray = _files(folder)
    if stray:
        raise DataError(
            f'{folder} has both class folders and files ({record_files.listed(stray)}); '
            'move the files away.'
        )
    images = []
    for synset in _folders(folder):
        _check_synset(synset, labels, folder)
        class_dir = os.path.join(folder, synset)
        names = _files(class_dir)
        if not names:
            raise DataError(f'The class folder {class_dir} has no images.')
        if _folders(class_dir):
            raise DataError(
                f'The class folder {class_dir} has folders in it; expected images only.'
            )
        images += [
            ImageFile(os.path.join(class_dir, name), labels[synset], synset) for name in names
        ]
    return images


def _read_flat(folder: str, synsets_file: str, labels: Mapping[str, int]) -> list[ImageFile]:
    names = _files(folder)
    if not names:
        raise DataError(f'{folder} has no images.')
    if not os.path.isfile(synsets_file):
        raise DataError(
            f'{folder} has images without class folders, and there is no {synsets_file} to name '
            'the synset of each, one per line.'
        )
    synsets = [line.strip() for line in record_files.read_lines(synsets_file)]
    if len(synsets) != len(names):
        raise DataError(
            f'{synsets_file} has {len(synsets)} lines, but {folder} has {len(names)} images.'
        )
    for synset in synsets:
        _check_synset(synset, labels, synsets_file)
    return [
        ImageFile(os.path.join(folder, name), labels[synset], synset)
        for name, synset in zip(names, synsets, strict=True)
    ]


def _check_synset(synset: str, labels: Mapping[str, int], where: str) -> None:
    if synset not in labels:
        raise DataError(
            f'{where} names the class {synset!r}, for which there is no training folder.'
        )


def _folders(folder: str) -> list[str]:
    """Sorted names of the visible folders in `folder`."""
    names = [entry.name for entry in _entries(folder) if entry.is_dir()]
    for name in names:
        if not name.isprintable():  # Nor are names that are not UTF-8.
            raise DataError(f'{folder} has a folder with a name that cannot be used: {name!r}.')
    return names


def _files(folder: str) -> list[str]:
    """Sorted names of the visible files in `folder`; every one has to be an image."""
    return [entry.name for entry in _entries(folder) if entry.is_file()]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What is visible in `folder`, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith('.')]
    except OSError as error:
        raise DataError(f'{folder} cannot be read: {error.strerror}') from error
    return sorted(visible, key=lambda entry: entry.name)
