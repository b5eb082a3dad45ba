"""COCO 2014's images and annotations as the TFRecords of Visual Wake Words."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from datasets import visualwakewords
from datasets.conversion import archives, conversion, set_writer, source_files
from datasets.conversion.conversion import Conversion, Settings
from datasets.conversion.downloads import RemoteFile
from datasets.conversion.progress_bar import Progress
from datasets.conversion.set_writer import Workplace
from datasets.conversion.source_files import MissingSourceError
from datasets.records import example_format, image_files, record_files, record_writer
from datasets.records.description import Description
from datasets.records.image_files import ImageFile
from slim.errors import DataError, did_you_mean, shortened

_SHUFFLE_SEED = 12345
_SPLIT_TO_FOLDER = {'train': 'train2014', 'val': 'val2014'}
_ANNOTATIONS_ARCHIVE = 'annotations_trainval2014.zip'

_Box = tuple[float, float, float, float]  # ymin, xmin, ymax, xmax, 0..1


@dataclass(frozen=True)
class _Labelled:
    """An image and the boxes of the objects that made it positive."""

    image: ImageFile
    boxes: tuple[_Box, ...]


@dataclass(frozen=True)
class _Source:
    """Paths, each a folder or file as it is wanted or the archive that holds it."""

    images: Mapping[str, str]  # by split
    annotations: Mapping[str, str]  # by split


def find(source_dir: str) -> _Source:
    """Images and annotations of both splits, unpacked or as the published archives."""
    images: dict[str, str] = {}
    annotations: dict[str, str] = {}
    missing = []
    for split_name, folder in _SPLIT_TO_FOLDER.items():
        name = _annotations_name(split_name)
        for found, choices in (
            (images, [folder, f'{folder}.zip']),
            (annotations, [os.path.join('annotations', name), name, _ANNOTATIONS_ARCHIVE]),
        ):
            path = source_files.first_existing(source_dir, choices)
            if path is None:
                missing.append(choices[-1])
            else:
                found[split_name] = path
    if missing:
        raise MissingSourceError(
            f'COCO 2014 is not complete in {source_dir}: expected '
            f'{", ".join(dict.fromkeys(missing))}, or unpacked: '
            f'{", ".join(f"{folder}/" for folder in _SPLIT_TO_FOLDER.values())} and annotations/.'
        )
    return _Source(images, annotations)


def convert(
    source: _Source, place: Workplace, settings: Settings, progress: Progress
) -> Description:
    """Writes both splits; class 1 are images with an object of interest that is large enough."""
    parts = {
        split_name: _read_split(source, split_name, place, settings, progress)
        for split_name in _SPLIT_TO_FOLDER
    }
    parts['train'] = _shuffled(parts['train'])
    splits = {
        split_name: set_writer.write_shards(
            place.records,
            split_name,
            f'{split_name}.record-{{0:05d}}-of-{{1:05d}}',
            visualwakewords.NUM_SHARDS[split_name],
            _examples(images),
            len(images),
            progress,
        )
        for split_name, images in parts.items()
    }
    conversion.compare_with_published(
        'COCO 2014',
        {name: split.num_samples for name, split in splits.items()},
        visualwakewords.SPLITS_TO_SIZES,
        progress,
    )
    return Description(
        visualwakewords.PUBLISHED.name,
        visualwakewords.PUBLISHED.num_classes,
        has_background=False,
        splits=splits,
        label_names=(visualwakewords.BACKGROUND_NAME, settings.foreground_class_of_interest),
    )


def _read_split(
    source: _Source, split_name: str, place: Workplace, settings: Settings, progress: Progress
) -> list[_Labelled]:
    path = source.annotations[split_name]
    progress(f'{split_name}: reading the annotations in {path}')
    name = _annotations_name(split_name)
    if path.endswith('.zip'):
        path, text = os.path.join(path, name), archives.read_files(path, [name])[name]
    else:
        with open(path, 'rb') as file:
            text = file.read()
    boxes = _foreground_boxes(_parse(text, path), path, settings)

    folder = source.images[split_name]
    if folder.endswith('.zip'):
        progress(f'{split_name}: unpacking {folder}')
        archives.extract(folder, place.unpacked)
        folder = os.path.join(place.unpacked, _SPLIT_TO_FOLDER[split_name])
    missing = [name for name in boxes if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        raise DataError(
            f'{source.images[split_name]} lacks {len(missing)} of the {len(boxes)} images that '
            f'{path} lists: {record_files.listed(missing)}.'
        )
    names = (visualwakewords.BACKGROUND_NAME, settings.foreground_class_of_interest)
    images = [
        _Labelled(
            ImageFile(os.path.join(folder, name), label=int(bool(found)), text=names[bool(found)]),
            tuple(found),
        )
        for name, found in sorted(boxes.items())
    ]
    positive = sum(labelled.image.label for labelled in images)
    progress(f'{split_name}: {positive} of {len(images)} images with a {names[1]}')
    return images


def _parse(text: bytes, path: str) -> dict[str, Any]:
    def without_outlines(value: dict[str, Any]) -> dict[str, Any]:
        # Nine tenths of the file, and not used here.
        value.pop('segmentation', None)
        return value

    try:
        content = json.loads(text, object_hook=without_outlines)
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError; too deep
        raise DataError(f'{path} is no JSON file: it is cut off or damaged ({error}).') from error
    keys = ('images', 'annotations', 'categories')
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in keys):
        raise DataError(f'{path} is no annotation file of COCO: expected lists {", ".join(keys)}.')
    return content


def _foreground_boxes(
    content: dict[str, Any], path: str, settings: Settings
) -> dict[str, list[_Box]]:
    """File name of every image to the boxes of the objects of interest that are large enough."""
    wanted = settings.foreground_class_of_interest
    try:
        categories = {entry['name']: entry['id'] for entry in content['categories']}
        images = {entry['id']: entry for entry in content['images']}
        boxes: dict[str, list[_Box]] = {entry['file_name']: [] for entry in content['images']}
        if wanted not in categories:
            raise DataError(
                f'{path} has no class {wanted!r} (--foreground_class_of_interest). '
                f'{did_you_mean(wanted, categories)}'
            )
        for entry in content['annotations']:
            if entry['category_id'] != categories[wanted]:
                continue
            image = images[entry['image_id']]
            width, height = image['width'], image['height']
            if entry['area'] / (width * height) > settings.small_object_area_threshold:
                x, y, w, h = entry['bbox']  # pixels
                boxes[image['file_name']].append(
                    (y / height, x / width, (y + h) / height, (x + w) / width)
                )
    except (KeyError, TypeError, ArithmeticError, ValueError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        reason = f'{type(error).__name__}: {shortened(error)}'
        raise DataError(f'{path} is no sound annotation file of COCO ({reason}).') from error
    if not boxes:
        raise DataError(f'{path} lists no images.')
    if strange := [name for name in boxes if not _is_file_name(name)]:
        raise DataError(f'{path} names an image in another folder: {shortened(strange[0])!r}.')
    return boxes


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and os.path.basename(name) == name and name not in ('', '.', '..')


def _shuffled(images: list[_Labelled]) -> list[_Labelled]:
    by_path = {labelled.image.path: labelled for labelled in images}
    in_order = record_writer.shuffled([labelled.image for labelled in images], _SHUFFLE_SEED)
    return [by_path[image.path] for image in in_order]


def _examples(images: list[_Labelled]) -> Iterator[tf.train.Example]:
    for labelled in images:
        example, _ = image_files.make_record(labelled.image)
        features = example.features.feature
        for key, column in zip(
            example_format.BBOX_SIDES, zip(*labelled.boxes, strict=True), strict=False
        ):
            features[key].float_list.value[:] = column
        features[example_format.BBOX_LABEL].int64_list.value[:] = [1] * len(labelled.boxes)
        yield example


def _annotations_name(split_name: str) -> str:
    return f'instances_{_SPLIT_TO_FOLDER[split_name]}.json'


_SERVER = 'http://images.cocodataset.org/'

CONVERSION = Conversion(
    'visualwakewords',
    find,
    convert,
    file_patterns=tuple(visualwakewords.FILE_PATTERN % name for name in _SPLIT_TO_FOLDER),
    remote_files=(
        RemoteFile(
            f'{_SERVER}zips/train2014.zip',
            'sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775',
            13510573713,
        ),
        RemoteFile(
            f'{_SERVER}zips/val2014.zip',
            'sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0',
            6645013297,
        ),
        RemoteFile(
            f'{_SERVER}annotations/annotations_trainval2014.zip',
            'sha256:031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009',
            252872794,
        ),
    ),
    settings=('small_object_area_threshold', 'foreground_class_of_interest'),
)
