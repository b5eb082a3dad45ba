r"""ILSVRC-2012 as TFRecords, with the flags and names of the classic suite's script.

python3 -m datasets.build_imagenet_data --train_directory=RAW/train \
    --validation_directory=RAW/validation --output_directory=OUT --labels_file=synsets.txt \
    --imagenet_metadata_file=metadata.txt --bounding_box_file=boxes.csv

Both folders hold one folder of images per synset. `labels_file` names the synsets, one per line:
the first has label 1. `imagenet_metadata_file` has lines of synset, tab, name;
`bounding_box_file` those of `datasets/process_bounding_boxes.py`. The writing is that of
preprocess_imagenet.py, flat in OUT: after an interruption the same command goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from absl import flags

from datasets.conversion import imagenet_writer, resumable
from datasets.conversion.progress_bar import tell
from datasets.conversion.resumable import Plan, SplitPlan
from datasets.records import image_files, object_boxes, record_files, record_writer
from datasets.records.image_files import ImageFile
from datasets.records.object_boxes import Box
from slim.errors import DataError, SuiteError, UsageError, printable, shortened

# Flags of their own, not the program's: importing this module must not change what it accepts.
FLAGS = flags.FlagValues()
_string = functools.partial(flags.DEFINE_string, flag_values=FLAGS)
_count = functools.partial(flags.DEFINE_integer, lower_bound=1, flag_values=FLAGS)
_string('train_directory', '/tmp/', 'Folder of training images.')
_string('validation_directory', '/tmp/', 'Folder of validation images.')
_string('output_directory', '/tmp/', 'Folder for the TFRecords.')
_count('train_shards', 1024, 'Files to write for training.')
_count('validation_shards', 128, 'Files to write for validation.')
_count('num_threads', 8, 'Processes.')
_string('labels_file', 'imagenet_lsvrc_2015_synsets.txt', 'File with one synset per line.')
_string('imagenet_metadata_file', 'imagenet_metadata.txt', 'File of lines synset, tab, name.')
_string(
    'bounding_box_file',
    './imagenet_2012_bounding_boxes.csv',
    'CSV of boxes: file name, xmin, ymin, xmax, ymax; empty for none.',
)


class ImageCoder:
    """Decodes and encodes anew what the files of ILSVRC-2012 ask for."""

    def png_to_jpeg(self, image_data: bytes) -> bytes:
        """An image file of any format as an RGB JPEG file."""
        return image_files.as_rgb_jpeg(image_data)

    def cmyk_to_rgb(self, image_data: bytes) -> bytes:
        """A CMYK JPEG file as an RGB one."""
        return image_files.as_rgb_jpeg(image_data)

    def decode_jpeg(self, image_data: bytes) -> np.ndarray:
        """The pixels, uint8 [height, width, 3]."""
        return image_files.rgb_pixels(image_data)


def main(unused_argv: Sequence[str]) -> None:
    """Converts as FLAGS say; parses them from `unused_argv` if that has not been done."""
    if not FLAGS.is_parsed():
        try:
            FLAGS(list(unused_argv))
        except flags.Error as error:
            raise UsageError(str(error)) from error
    labels = {
        synset: label
        for label, synset in enumerate(record_files.read_lines(FLAGS.labels_file), start=1)
    }
    texts = _read_texts(FLAGS.imagenet_metadata_file, labels)
    boxes = _read_boxes(FLAGS.bounding_box_file) if FLAGS.bounding_box_file else {}
    splits = {
        split_name: [
            dataclasses.replace(
                image,
                text=texts[image.synset],
                boxes=tuple(boxes.pop(os.path.basename(image.path), ())),
            )
            for image in imagenet_writer.read_class_folders(folder, labels)
        ]
        for split_name, folder in (
            ('train', FLAGS.train_directory),
            ('validation', FLAGS.validation_directory),
        )
    }
    if boxes:
        raise DataError(
            f'{FLAGS.bounding_box_file} has boxes for {len(boxes)} images that are not there: '
            f'{record_files.listed(list(boxes))}.'
        )
    _convert(splits, {synset: texts[synset] for synset in labels})


def _convert(splits: dict[str, list[ImageFile]], synsets_to_names: Mapping[str, str]) -> None:
    in_order = {
        split_name: record_writer.shuffled(images, imagenet_writer.SHUFFLE_SEED)
        for split_name, images in splits.items()
    }
    num_shards = {'train': FLAGS.train_shards, 'validation': FLAGS.validation_shards}
    images_dir = os.path.commonpath([FLAGS.train_directory, FLAGS.validation_directory])
    name = imagenet_writer.set_name(synsets_to_names, images_dir)
    plan = Plan(
        images_dir=images_dir,
        output_dir=FLAGS.output_directory,
        splits={name: SplitPlan(in_order[name], num_shards[name]) for name in in_order},
        flags={f'{name}_shards': count for name, count in num_shards.items()},
        describe=functools.partial(imagenet_writer.describe, name, [*synsets_to_names.values()]),
    )
    converted = resumable.convert(plan, FLAGS.num_threads)
    imagenet_writer.report_odd_files(converted, tell)


def _read_texts(path: str, synsets: dict[str, int]) -> dict[str, str]:
    texts = dict(line.split('\t', 1) for line in record_files.read_lines(path) if '\t' in line)
    missing = [synset for synset in synsets if synset not in texts]
    if missing:
        raise DataError(f'{path} has no name for {record_files.listed(missing)}.')
    return texts


def _read_boxes(path: str) -> dict[str, list[Box]]:
    """Boxes by the name of the image file."""
    boxes: dict[str, list[Box]] = {}
    for number, line in enumerate(record_files.read_lines(path), start=1):
        name, *sides = line.split(',')
        try:
            xmin, ymin, xmax, ymax = map(_part, sides)
        except ValueError as error:
            raise DataError(
                f'{path}, line {number}: expected file name, xmin, ymin, xmax, ymax, '
                f'not {shortened(line)!r}.'
            ) from error
        boxes.setdefault(name, []).append(object_boxes.box(xmin, ymin, xmax, ymax))
    return boxes


def _part(text: str) -> float:
    part = float(text)
    if not math.isfinite(part):
        raise ValueError(f'{text} is no part of a side')
    return part


if __name__ == '__main__':
    if {'-h', '-help', '--help', '--helpfull'} & set(sys.argv):
        print(__doc__, FLAGS.get_help(), sep='\n')
        sys.exit(0)
    try:
        main(sys.argv)
    except SuiteError as error:
        print(f'build_imagenet_data: error: {printable(str(error))}', file=sys.stderr)
        sys.exit(error.exit_code)
