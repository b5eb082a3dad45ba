"""Images in class folders as TFRecords: flowers, Imagenette and trees of your own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from datasets import flowers, imagenette
from datasets.conversion import archives, conversion, set_writer, source_files, split_writer
from datasets.conversion.conversion import Conversion, Settings
from datasets.conversion.downloads import RemoteFile
from datasets.conversion.progress_bar import Progress
from datasets.conversion.set_writer import Workplace
from datasets.conversion.source_files import MissingSourceError
from datasets.records import image_files, record_files, record_writer
from datasets.records.description import Description, Split
from datasets.records.image_files import ImageFile
from slim.errors import DataError, UsageError

_SHUFFLE_SEED = 12345
_IMAGES_PER_SHARD, _MAX_SHARDS = 1024, 1024
_VALIDATION_FRACTION = 0.1

# Folder names that are taken for a split. The scripts evaluate 'validation' unless told otherwise.
_SPLIT_FOLDERS = {
    'train': 'train',
    'validation': 'validation',
    'val': 'validation',
    'valid': 'validation',
    'test': 'test',
}


@dataclass(frozen=True)
class _Source:
    path: str  # the folder to read, or the archive of it
    inside: str = ''  # the folder in the archive


# Flowers.

_FLOWERS_FOLDER = 'flower_photos'


def find_flowers(source_dir: str) -> _Source:
    """The folder flower_photos, its archive, or `source_dir` itself with the class folders."""
    if path := source_files.first_existing(source_dir, [_FLOWERS_FOLDER]):
        return _Source(path)
    if source_files.first_existing(source_dir, flowers.LABEL_NAMES):
        return _Source(source_dir)
    names = [f'{_FLOWERS_FOLDER}{suffix}' for suffix in ('.tgz', '.tar.gz', '.tar', '.zip')]
    if path := source_files.first_existing(source_dir, names):
        return _Source(path, _FLOWERS_FOLDER)
    raise MissingSourceError(
        f'The flowers are not in {source_dir}: expected {names[0]} or its folder '
        f'{_FLOWERS_FOLDER}/ with {", ".join(flowers.LABEL_NAMES)}.'
    )


def convert_flowers(
    source: _Source, place: Workplace, settings: Settings, progress: Progress
) -> Description:
    """Writes both splits: as large a part for validation as of the published set, drawn by lot."""
    folder = _unpacked(source, place, progress)
    classes = source_files.read_class_folders(folder)
    source_files.check_classes(folder, classes, flowers.LABEL_NAMES)
    sizes = flowers.SPLITS_TO_SIZES
    in_order = record_writer.shuffled(_image_files(classes, list(classes)), _SHUFFLE_SEED)
    num_validation = round(len(in_order) * sizes['validation'] / sum(sizes.values()))
    parts = {'train': in_order[num_validation:], 'validation': in_order[:num_validation]}
    if not parts['validation']:
        raise DataError(
            f'{folder} has {len(in_order)} images, too few to hold one in '
            f'{sum(sizes.values()) // sizes["validation"]} back for validation.'
        )
    splits = {
        split_name: set_writer.write_shards(
            place.records,
            split_name,
            f'flowers_{split_name}_{{0:05d}}-of-{{1:05d}}.tfrecord',
            flowers.NUM_SHARDS,
            _examples(images, settings, progress),
            len(images),
            progress,
        )
        for split_name, images in parts.items()
    }
    _compare('flowers', splits, sizes, progress)
    return Description(
        flowers.PUBLISHED.name,
        len(classes),
        has_background=False,
        splits=splits,
        label_names=tuple(classes),
    )


# Imagenette.

_IMAGENETTE_FOLDERS = ('imagenette2', 'imagenette2-320', 'imagenette2-160')
_IMAGENETTE_SPLITS = {'train': 'train', 'validation': 'val'}


def find_imagenette(source_dir: str) -> _Source:
    """The folder of one of the sizes, its archive, or `source_dir` itself with train/ and val/."""
    own = [os.path.join('train', synset) for synset in imagenette.SYNSETS_TO_NAMES]
    if source_files.first_existing(source_dir, own):
        return _Source(source_dir)
    found = [
        _Source(os.path.join(source_dir, name + suffix), name if suffix else '')
        for suffix in ('', '.tgz')
        for name in _IMAGENETTE_FOLDERS
        if os.path.exists(os.path.join(source_dir, name + suffix))
    ]
    unpacked = [source for source in found if not source.inside]
    # An archive beside its own folder has been unpacked.
    choices = unpacked or found
    if len(choices) > 1:
        raise DataError(
            f'{source_dir} holds several sizes of Imagenette: '
            f'{record_files.listed([os.path.basename(source.path) for source in choices])}. '
            'Name the folder of one of them with --source_dir.'
        )
    if not choices:
        raise MissingSourceError(
            f'Imagenette is not in {source_dir}: expected the folder or the .tgz of '
            f'{", ".join(_IMAGENETTE_FOLDERS)}.'
        )
    return choices[0]


def convert_imagenette(
    source: _Source, place: Workplace, settings: Settings, progress: Progress
) -> Description:
    """Writes both splits; labels follow the synsets."""
    root = _unpacked(source, place, progress)
    synsets = list(imagenette.SYNSETS_TO_NAMES)
    parts = {}
    for split_name, name in _IMAGENETTE_SPLITS.items():
        folder = os.path.join(root, name)
        if not os.path.isdir(folder):
            raise DataError(f'{root} has no folder {name}/.')
        classes = source_files.read_class_folders(folder)
        source_files.check_classes(folder, classes, synsets)
        parts[split_name] = _image_files(classes, synsets, imagenette.SYNSETS_TO_NAMES)
    splits = _write_splits(parts, place, settings, progress)
    _compare('Imagenette', splits, imagenette.SPLITS_TO_SIZES, progress)
    return Description(
        imagenette.PUBLISHED.name,
        len(synsets),
        has_background=False,
        splits=splits,
        label_names=tuple(imagenette.SYNSETS_TO_NAMES.values()),
    )


# Trees of your own.


def find_folder(source_dir: str) -> _Source:
    """`source_dir` itself."""
    return _Source(source_dir)


def convert_folder(
    source: _Source, place: Workplace, settings: Settings, progress: Progress
) -> Description:
    """Writes a tree with split folders as it is, and holds back a part of one without.

    The part is drawn by lot in each class; a class of one image is for training alone. A folder for
    a split has class folders in it; one of such a name with images is a class.
    """
    has_splits = any(
        source_files.folders(os.path.join(source.path, name))
        for name in source_files.folders(source.path)
        if name in _SPLIT_FOLDERS
    )
    read = _read_split_folders if has_splits else _read_single_tree
    classes, parts = read(source.path, settings, progress)
    return Description(
        source_files.set_name(source.path),
        len(classes),
        has_background=False,
        splits=_write_splits(parts, place, settings, progress),
        label_names=tuple(classes),
    )


def _read_split_folders(
    root: str, settings: Settings, progress: Progress
) -> tuple[list[str], dict[str, list[ImageFile]]]:
    if settings.validation_fraction is not None:
        raise UsageError(
            f'--validation_fraction has no use: {root} has a folder for each split already.'
        )
    folders: dict[str, str] = {}
    names = source_files.folders(root)
    known = next(name for name in _SPLIT_FOLDERS if name in names)
    for name in names:
        split_name = _SPLIT_FOLDERS.get(name)
        if split_name is None or split_name in folders:
            raise DataError(
                f'{root} has {known}/ and {name}/, but only {", ".join(_SPLIT_FOLDERS)} are taken '
                'for splits, and one folder for each. Move the other folders away.'
            )
        folders[split_name] = os.path.join(root, name)
    if list(folders) == ['train']:
        raise DataError(
            f'{root} has train/ but no validation/. Add it, or give {folders["train"]} with '
            '--source_dir to hold back a part of it.'
        )
    trees = {split: source_files.read_class_folders(path) for split, path in folders.items()}
    # Training first, then in the order of the table.
    order = [name for name in dict.fromkeys(_SPLIT_FOLDERS.values()) if name in trees]
    classes = list(trees[order[0]])
    for split_name, tree in trees.items():
        if strange := sorted(set(tree) - set(classes)):
            raise DataError(
                f'{folders[split_name]} has class folders that {folders[order[0]]} has not: '
                f'{record_files.listed(strange)}.'
            )
    if 'train' not in trees:
        progress(f'{root} has no images to train on: the set is for evaluation only')
    return classes, {name: _image_files(trees[name], classes) for name in order}


def _read_single_tree(
    root: str, settings: Settings, progress: Progress
) -> tuple[list[str], dict[str, list[ImageFile]]]:
    fraction = settings.validation_fraction
    fraction = _VALIDATION_FRACTION if fraction is None else fraction
    tree = source_files.read_class_folders(root)
    classes = list(tree)
    parts: dict[str, list[ImageFile]] = {'train': [], 'validation': []}
    for name in classes:
        images = _image_files({name: tree[name]}, classes)
        images = record_writer.shuffled(images, settings.split_seed)
        held_back = min(max(round(len(images) * fraction), 1), len(images) - 1)
        parts['validation'] += images[:held_back]
        parts['train'] += images[held_back:]
    if not parts['validation']:
        raise DataError(f'{root} has one image per class; nothing can be held back of them.')
    if alone := [name for name in classes if len(tree[name]) == 1]:
        progress(
            f'{len(alone)} classes have one image, which is for training, so that validation has '
            f'none of them: {record_files.listed(alone)}'
        )
    return classes, parts


# What they share.


def _unpacked(source: _Source, place: Workplace, progress: Progress) -> str:
    if not source.inside:
        return source.path
    progress(f'unpacking {source.path}')
    archives.extract(source.path, place.unpacked)
    folder = os.path.join(place.unpacked, source.inside)
    if not os.path.isdir(folder):
        raise DataError(f'{source.path} has no folder {source.inside}/ in it.')
    return folder


def _image_files(
    classes: Mapping[str, Sequence[str]],
    order: Sequence[str],
    synsets_to_names: Mapping[str, str] | None = None,
) -> list[ImageFile]:
    """The images of all classes; a label is the place of the class in `order`."""
    labels = {name: label for label, name in enumerate(order)}
    return [
        ImageFile(path, labels[name], text=name)
        if synsets_to_names is None
        else ImageFile(path, labels[name], synset=name, text=synsets_to_names[name])
        for name, paths in classes.items()
        for path in paths
    ]


def _write_splits(
    parts: Mapping[str, list[ImageFile]],
    place: Workplace,
    settings: Settings,
    progress: Progress,
) -> dict[str, Split]:
    """Classic names; neighbours in the training files should be of different classes."""
    splits = {}
    for split_name, images in parts.items():
        in_order = record_writer.shuffled(images, _SHUFFLE_SEED)
        num_shards = min(-(-len(images) // _IMAGES_PER_SHARD), _MAX_SHARDS)
        written = split_writer.write_split(
            in_order, place.records, split_name, num_shards, progress, rules=settings.rules()
        )
        _report_reencoded(written.reencoded, progress)
        splits[split_name] = Split(written.num_samples, written.num_shards)
    return splits


def _examples(
    images: Sequence[ImageFile], settings: Settings, progress: Progress
) -> Iterator[tf.train.Example]:
    reencoded = []
    for image in images:
        example, is_new = image_files.make_record(image, settings.rules())
        if is_new:
            reencoded.append(image.path)
        yield example
    _report_reencoded(reencoded, progress)


def _report_reencoded(paths: Sequence[str], progress: Progress) -> None:
    if paths:
        progress(
            f'{len(paths)} files were not RGB or gray JPEG and were encoded anew: '
            f'{record_files.listed(paths)}'
        )


def _compare(
    name: str, splits: Mapping[str, Split], sizes: dict[str, int], progress: Progress
) -> None:
    counts = {split_name: split.num_samples for split_name, split in splits.items()}
    conversion.compare_with_published(name, counts, sizes, progress)


_PICTURES = ('upright', 'max_megapixels')
_SHARDS = tuple(f'{name}-?????-of-?????' for name in ('train', 'validation', 'test'))

FLOWERS = Conversion(
    'flowers',
    find_flowers,
    convert_flowers,
    file_patterns=(flowers.FILE_PATTERN % '*',),
    settings=_PICTURES,
    remote_files=(
        RemoteFile(
            'http://download.tensorflow.org/example_images/flower_photos.tgz',
            'sha256:4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c',
            228813984,
        ),
    ),
)
IMAGENETTE = Conversion(
    'imagenette',
    find_imagenette,
    convert_imagenette,
    file_patterns=_SHARDS,
    settings=_PICTURES,
    remote_files=(
        RemoteFile(
            'https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz',
            'sha256:64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5',
            99003388,
        ),
    ),
)
FOLDER = Conversion(
    'folder',
    find_folder,
    convert_folder,
    file_patterns=_SHARDS,
    settings=('validation_fraction', 'split_seed', *_PICTURES),
)
