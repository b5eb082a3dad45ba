"""Pictures with objects as records: the label files are read before anything is written.

What writes them, goes on after an interruption and leaves bad files out is `resumable`.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from datasets.conversion import resumable
from datasets.conversion.progress_bar import Progress, tell
from datasets.conversion.resumable import Converted, Plan, SplitPlan
from datasets.records import (
    description,
    detection_format,
    image_ends,
    image_files,
    kitti_labels,
    picture_modes,
    record_writer,
    voc_annotations,
)
from datasets.records.description import Description, Split
from datasets.records.image_files import ImageFile, Rules
from datasets.records.kitti_labels import PictureObject
from datasets.records.record_writer import DEFAULT_RULES, WrittenSplit
from slim.errors import DataError, OutputError, UsageError

SHUFFLE_SEED = 4242
PICTURES_PER_FILE = 200

# Formats that stay as they are, with a test that the file is whole. Others become PNG files.
_KEPT: dict[str, Callable[[bytes], bool]] = {
    'PNG': image_ends.png_is_whole,
    'JPEG': image_ends.jpeg_is_whole,
}
_KEPT_MODES = ('RGB', 'L')


@dataclass(frozen=True)
class LabelForm:
    """How the label files of a set are read, and its boxes written."""

    labels: Mapping[str, int]  # by the type of an object, of those that are to be found
    is_voc: bool = False  # XML files, and boxes as parts of the picture's sides

    def parse(self, path: str) -> list[PictureObject]:
        """The objects of a label file. DataError with file and line where they are not right."""
        content = read(path)
        if self.is_voc:
            return voc_annotations.parse(content, path)
        return kitti_labels.parse(content, path, tuple(self.labels))

    def encode(self, image: ImageFile, rules: Rules) -> tuple[bytes, bool]:
        """The record of a picture and its label file, and whether the picture is encoded anew."""
        objects = self.parse(image.annotation)
        with image_files.reading(image.path, rules.max_megapixels):
            with open(image.path, 'rb') as file:
                encoded = file.read()
            with Image.open(io.BytesIO(encoded)) as opened:
                width, height = opened.size
                image_format = opened.format or ''
                if width * height >= image_files.MAX_PIXELS:
                    raise ValueError(f'{width}x{height} pixels are more than training decodes')
                as_it_is = (
                    opened.mode in _KEPT_MODES
                    and image_format in _KEPT
                    and _KEPT[image_format](encoded)
                )
                channels = len(opened.getbands()) if as_it_is else 3
                if not as_it_is:
                    anew = io.BytesIO()
                    picture_modes.as_rgb(opened).save(anew, 'PNG')
                    encoded, image_format = anew.getvalue(), 'PNG'
        counted = 'object' if self.is_voc else 'line'
        kitti_labels.check_inside(objects, width, height, image.annotation, counted)
        record = detection_format.encode(
            encoded,
            image_format,
            height,
            width,
            channels,
            os.path.basename(image.path),
            objects,
            self.labels,
            relative=self.is_voc,
        )
        return record, not as_it_is


@dataclass(frozen=True)
class Survey:
    """What the label files of a split hold."""

    images: list[ImageFile]  # with a digest of their label files
    counts: collections.Counter[str]  # of objects, by type
    max_boxes: int


def convert(
    name: str,
    images_dir: str,
    output_dir: str,
    splits: Mapping[str, Sequence[ImageFile]],
    form: LabelForm,
    label_names: Sequence[str],
    *,
    skip_bad: bool = False,
    num_workers: int = 1,
    progress: Progress = tell,
) -> Converted:
    """Writes SPLIT_000.tfrecord and its sisters, of 200 pictures each, and dataset.json.

    Args:
      name: of the set.
      images_dir: the pictures' folder; names below it stand in the report.
      output_dir: of the records.
      splits: pictures with their label files, by split.
      form: of the label files.
      label_names: of all outputs of a network, the background included if there is one.
      skip_bad: leaves pictures out that cannot be read, or whose label file is not right.
      num_workers: processes.
      progress: receives lines of text.

    Raises DataError with file and line for what is wrong with a label file, OutputError for a
    folder that cannot be written or holds another set.
    """
    _check_splits(output_dir, splits)
    surveys = {split: survey(images, form, skip_bad) for split, images in splits.items()}
    _check_classes(surveys, form)
    for split, found in surveys.items():
        counts = ', '.join(f'{kind} {found.counts[kind]:,}' for kind in sorted(found.counts))
        progress(f'{split}: {len(found.images)} pictures; objects: {counts or "none"}')
    plan = Plan(
        images_dir=images_dir,
        output_dir=output_dir,
        splits={
            split: SplitPlan(
                record_writer.shuffled(found.images, SHUFFLE_SEED),
                -(-len(found.images) // PICTURES_PER_FILE),
            )
            for split, found in surveys.items()
        },
        flags={'dataset_name': name, 'classes': ','.join(form.labels)},
        describe=functools.partial(
            _describe,
            name,
            tuple(label_names),
            form.is_voc,
            {s: f.max_boxes for s, f in surveys.items()},
        ),
        rules=replace(DEFAULT_RULES, skip_bad=skip_bad),
        encode=form.encode,
        shard_name=lambda split, index, total: f'{split}_{index:03d}.tfrecord',
    )
    return resumable.convert(plan, num_workers, progress)


def survey(images: Sequence[ImageFile], form: LabelForm, skip_bad: bool = False) -> Survey:
    """Reads the label files. DataError with file and line, unless bad ones may be skipped."""
    counts: collections.Counter[str] = collections.Counter()
    marked, max_boxes = [], 0
    for image in images:
        digest = ''
        try:
            digest = hashlib.blake2b(read(image.annotation), digest_size=8).hexdigest()
            objects = form.parse(image.annotation)
        except DataError:
            if not skip_bad:
                raise
            objects = []
        # The journal compares names and sizes of files; of the labels, all that is in them counts.
        marked.append(replace(image, text=digest))
        counts.update(one.type for one in objects)
        max_boxes = max(max_boxes, sum(one.type in form.labels for one in objects))
    return Survey(marked, counts, max_boxes)


def read(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}') from error


def label_map(classes: Sequence[str], first: int = 0) -> dict[str, int]:
    """Class to label. UsageError for a class that is named twice, or a name that does not do."""
    for name in classes:
        if not name or not name.isprintable() or len(name.split()) != 1:
            raise UsageError(f'--classes: {name!r} is no type of an object')
        if name == kitti_labels.DONT_CARE:
            raise UsageError(f'--classes: {name} marks regions without labels')
        if list(classes).count(name) > 1:
            raise UsageError(f'--classes names {name} twice')
    return {name: label for label, name in enumerate(classes, first)}


def _check_splits(output_dir: str, splits: Mapping[str, object]) -> None:
    """OutputError for a folder that has other splits than are to be written."""
    path = os.path.join(output_dir, description.FILE_NAME)
    try:
        with open(path, encoding='utf-8') as file:
            there = list(json.load(file)['splits'])
    except (OSError, ValueError, LookupError, TypeError):
        return  # What is wrong with it, `resumable` says.
    if set(there) != set(splits):
        raise OutputError(
            f'{path} says that this set is finished, with the splits {", ".join(there)}. All '
            'splits of a set are written together (--split=train,val): give an empty folder.'
        )


def _check_classes(surveys: Mapping[str, Survey], form: LabelForm) -> None:
    counts = sum((found.counts for found in surveys.values()), collections.Counter())
    missing = [kind for kind in form.labels if not counts[kind]]
    strange = [kind for kind in missing if kind not in kitti_labels.TYPES and not form.is_voc]
    if strange or len(missing) == len(form.labels):
        there = ', '.join(f'{kind} {counts[kind]:,}' for kind in sorted(counts)) or 'none'
        raise DataError(
            f'The label files have no object of the classes {", ".join(strange or missing)}. '
            f'Objects there: {there}. Choose from these with --classes.'
        )


def _describe(
    name: str,
    label_names: tuple[str, ...],
    has_background: bool,
    max_boxes: Mapping[str, int],
    written: Mapping[str, WrittenSplit],
) -> Description:
    return Description(
        name=name,
        num_classes=len(label_names),
        has_background=has_background,
        splits={
            key: Split(split.num_samples, split.num_shards, max_boxes[key])
            for key, split in written.items()
        },
        label_names=label_names,
    )
