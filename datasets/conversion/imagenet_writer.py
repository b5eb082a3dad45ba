"""ILSVRC-2012's extracted archives, or any tree of class folders, as TFRecords.

Two published layouts are read, `train/` with `validation/` (or `val/`) and `img_train/` with
`img_val/`; of a set to evaluate on, the latter alone.

    RAW/train/n01440764/*.JPEG ...        one folder per class, named by its synset
    RAW/validation/n01440764/*.JPEG ...   the same, or flat: RAW/validation/*.JPEG with
    RAW/synset_labels.txt                 one synset per line, for the sorted validation files

Labels are 1, 2, ... in the order of the sorted synsets of the training folder; 0 is the background
class. Boxes come from a folder of XML files (`datasets/conversion/bounding_boxes.py`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from datasets.conversion import bounding_boxes, resumable, source_files
from datasets.conversion.progress_bar import Progress, tell
from datasets.conversion.resumable import Converted, Plan, SplitPlan
from datasets.records import record_files
from datasets.records.description import Description, Split
from datasets.records.image_files import ImageFile
from datasets.records.record_writer import DEFAULT_RULES, Rules, WrittenSplit, shuffled
from datasets.records.synsets import synsets_to_names
from slim.errors import DataError, UsageError

_SPLIT_FOLDERS = {
    'train': ('train', 'img_train'),
    'validation': ('validation', 'val', 'img_val'),
}
_SYNSETS_FILE = 'synset_labels.txt'
SHUFFLE_SEED = 12345

_BACKGROUND_NAME = 'background'
_IMAGENET = 'imagenet'


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
    name: str | None = None,
    progress: Progress = tell,
    *,
    bounding_box_dir: str | None = None,
    rules: Rules = DEFAULT_RULES,
    num_workers: int = 1,
) -> Converted:
    """Writes the tree `raw_data_dir` into `output_dir`/train and /validation, then dataset.json.

    `name` is None for 'imagenet', if the classes are its 1,000 synsets, or else that of the folder.
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
    if 'train' not in splits:
        progress(f'{raw_data_dir} has no images to train on: the set is for evaluation only')
    if name is None:
        name = set_name(raw.synsets, raw_data_dir)
    if bounding_box_dir is not None:
        splits = bounding_boxes.attach(splits, bounding_box_dir)
    # Neighbours in the training files should be of different classes; validation has no order.
    in_order = {
        split_name: shuffled(images, SHUFFLE_SEED) if split_name == 'train' else images
        for split_name, images in splits.items()
    }
    plan = Plan(
        images_dir=raw_data_dir,
        output_dir=output_dir,
        splits={
            split_name: SplitPlan(images, num_shards[split_name], folder=split_name)
            for split_name, images in in_order.items()
        },
        flags={f'{split_name}_shards': num_shards[split_name] for split_name in in_order},
        describe=functools.partial(describe, name, raw.synsets),
        rules=rules,
    )
    converted = resumable.convert(plan, num_workers, progress)
    report_odd_files(converted, progress)
    return converted


def set_name(synsets: Collection[str], folder: str) -> str:
    """'imagenet' for its 1,000 synsets, else the name of the folder of the images."""
    return _IMAGENET if set(synsets) == set(synsets_to_names()) else source_files.set_name(folder)


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
    found = _find_splits(raw_data_dir)
    train_dir, validation_dir = found.get('train'), found['validation']
    synsets_file = os.path.join(raw_data_dir, _SYNSETS_FILE)
    is_flat = not source_files.folders(validation_dir)
    if train_dir is not None or not is_flat:
        classes_dir = train_dir or validation_dir
        synsets = tuple(source_files.class_folders(classes_dir))
        if not synsets:
            raise DataError(
                f'{classes_dir} has no class folders; expected one folder of images per class.'
            )
    else:
        synsets = tuple(sorted(set(_read_synsets(synsets_file, validation_dir))))
    labels = {synset: label for label, synset in enumerate(synsets, start=1)}
    splits = {}
    if train_dir is not None:
        splits['train'] = read_class_folders(train_dir, labels)
    if is_flat:
        splits['validation'] = _read_flat(validation_dir, synsets_file, labels)
    else:
        splits['validation'] = read_class_folders(validation_dir, labels)
    return RawImages(synsets, splits)


def _find_splits(raw_data_dir: str) -> dict[str, str]:
    """Split to its folder. Validation may be alone, but not beside a folder of another name."""
    if not os.path.isdir(raw_data_dir):
        raise DataError(f'There is no folder {raw_data_dir!r}. Give it with --raw_data_dir.')
    folders = source_files.folders(raw_data_dir)
    found = {
        split_name: [name for name in names if name in folders]
        for split_name, names in _SPLIT_FOLDERS.items()
    }
    for names in found.values():
        if len(names) > 1:
            raise DataError(
                f'{raw_data_dir} holds both {names[0]}/ and {names[1]}/. Move one of them away.'
            )
    if not found['validation'] or (not found['train'] and len(folders) > 1):
        raise DataError(
            f'{raw_data_dir} must hold the folders train/ and validation/ (or val/; or img_train/ '
            'and img_val/), or validation/ alone for a set to evaluate on; found '
            f'{record_files.listed(folders)}.'
        )
    return {
        split_name: os.path.join(raw_data_dir, names[0])
        for split_name, names in found.items()
        if names
    }


def read_class_folders(folder: str, labels: Mapping[str, int]) -> list[ImageFile]:
    """The images of one folder per class, sorted. `labels` by the name of the class."""
    stray = source_files.files(folder)
    if stray:
        raise DataError(
            f'{folder} has both class folders and files ({record_files.listed(stray)}); '
            'move the files away.'
        )
    images = []
    for synset, class_dir in source_files.class_folders(folder).items():
        _check_synset(synset, labels, folder)
        names = source_files.files(class_dir)
        if not names:
            raise DataError(f'The class folder {class_dir} has no images.')
        if source_files.folders(class_dir):
            raise DataError(
                f'The class folder {class_dir} has folders in it; expected images only.'
            )
        images += [
            ImageFile(os.path.join(class_dir, name), labels[synset], synset) for name in names
        ]
    return images


def _read_flat(folder: str, synsets_file: str, labels: Mapping[str, int]) -> list[ImageFile]:
    names = source_files.files(folder)
    if not names:
        raise DataError(f'{folder} has no images.')
    synsets = _read_synsets(synsets_file, folder)
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


def _read_synsets(path: str, folder: str) -> list[str]:
    """The class of each image of `folder`."""
    if not os.path.isfile(path):
        raise DataError(
            f'{folder} has images without class folders, and there is no {path} to name '
            'the synset of each, one per line.'
        )
    return [source_files.normal(line.strip()) for line in record_files.read_lines(path)]


def _check_synset(synset: str, labels: Mapping[str, int], where: str) -> None:
    if synset not in labels:
        raise DataError(
            f'{where} names the class {synset!r}, for which there is no training folder.'
        )
