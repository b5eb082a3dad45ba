"""Writes image files as shards of TFRecords, never leaving a file that looks finished and is not.

A shard is written under a hidden name, synced to the disk and renamed. The pixels are not decoded:
size and colours come from the file's header. Only files that training could not read as RGB or gray
JPEG (PNG under a .JPEG name, CMYK) are encoded anew, and listed in the result. No TensorFlow: each
of the processes that write would need seconds and 600 MB for it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from datasets import (
    atomic_files,
    bounding_boxes,
    description,
    example_format,
    framing,
    record_files,
    worker_pool,
)
from datasets.bounding_boxes import Box
from datasets.description import Description
from slim.errors import DataError, OutputError

if TYPE_CHECKING:
    import tensorflow as tf

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_COLORSPACES = {'RGB': ('RGB', 3), 'L': ('Grayscale', 1)}  # Pillow's mode: name, channels
_REENCODED_QUALITY = 95
_MESSAGES_PER_SPLIT = 10
_WRITE_BUFFER = 1 << 20

Progress = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image to be written, its class, and its boxes or the XML file that has them."""

    path: str
    label: int
    synset: str = ''
    text: str = ''
    boxes: tuple[Box, ...] = ()
    annotation: str = ''  # path, read when the image is written


@dataclass(frozen=True)
class Skipped:
    """An image file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class WrittenSplit:
    """What `write_split` wrote."""

    num_samples: int
    num_shards: int
    reencoded: tuple[str, ...]  # paths of the image files that were not RGB or gray JPEG
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What is done with image files that are not as they should be."""

    skip_bad: bool = False  # leave unreadable files out rather than raise
    rgb_only: bool = False  # encode gray images anew as RGB


DEFAULT_RULES = Rules()


@dataclass(frozen=True)
class Shard:
    """A file to be written."""

    path: str
    images: Sequence[ImageFile]
    rules: Rules = DEFAULT_RULES


@dataclass(frozen=True)
class WrittenShard:
    num_samples: int
    num_bytes: int  # the size of the file
    reencoded: tuple[str, ...]
    skipped: tuple[Skipped, ...]


def shuffled(images: Sequence[ImageFile], seed: int) -> list[ImageFile]:
    """`images` in an order that depends on `seed` and their own order alone."""
    # Python promises the same numbers in every version for random() only, not for shuffle().
    draw = random.Random(seed)
    keys = [draw.random() for _ in images]
    return [images[position] for position in sorted(range(len(images)), key=keys.__getitem__)]


def shard_ranges(num_images: int, num_shards: int) -> list[range]:
    """Consecutive ranges of 0 .. num_images - 1, their sizes equal to within one, none empty.

    With fewer images than shards there are as many shards as images.
    """
    num_shards = min(num_shards, num_images)
    bounds = [shard * num_images // num_shards for shard in range(num_shards + 1)]
    return [range(*pair) for pair in itertools.pairwise(bounds)]


def make_shards(
    images: Sequence[ImageFile],
    folder: str,
    split_name: str,
    num_shards: int,
    rules: Rules = DEFAULT_RULES,
) -> list[Shard]:
    """The shards of a split, in order. DataError without images."""
    if not images:
        raise DataError(f'There are no images for the split {split_name!r}.')
    ranges = shard_ranges(len(images), num_shards)
    return [
        Shard(
            os.path.join(folder, record_files.shard_name(split_name, index, len(ranges))),
            images[positions.start : positions.stop],
            rules,
        )
        for index, positions in enumerate(ranges)
    ]


def write_split(
    images: Sequence[ImageFile],
    folder: str,
    split_name: str,
    num_shards: int,
    progress: Progress = print,
    *,
    num_workers: int = 1,
) -> WrittenSplit:
    """Writes `images`, in their order, as `folder`/SPLIT-00000-of-N and its sisters.

    The files do not depend on `num_workers`, the number of processes. Raises DataError for a file
    that is no image (naming it) or no images at all, OutputError where the folder cannot be
    written. Shards that were finished before the error stay. `datasets/resumable.py` goes on from
    there; this starts anew.
    """
    shards = make_shards(images, folder, split_name, num_shards)
    if len(shards) < num_shards:
        progress(f'{split_name}: {len(images)} images fill {len(shards)} shards, not {num_shards}')
    with atomic_files.writing(folder):
        os.makedirs(folder, exist_ok=True)
    written: dict[int, WrittenShard] = {}
    finished_images = 0
    with contextlib.closing(worker_pool.run(write_shard, shards, num_workers)) as results:
        for before, (index, shard) in enumerate(results):
            written[index] = shard
            finished_images += shard.num_samples
            tenth_before = before * _MESSAGES_PER_SPLIT // len(shards)
            if len(written) * _MESSAGES_PER_SPLIT // len(shards) > tenth_before:
                progress(
                    f'{split_name}: {finished_images}/{len(images)} images, '
                    f'{len(written)}/{len(shards)} shards'
                )
    return joined([written[index] for index in range(len(shards))], len(images))


def joined(shards: Sequence[WrittenShard], num_images: int) -> WrittenSplit:
    """The split that `shards` make up; `num_images` had to be written."""
    split = WrittenSplit(
        num_samples=sum(shard.num_samples for shard in shards),
        num_shards=len(shards),
        reencoded=tuple(path for shard in shards for path in shard.reencoded),
        skipped=tuple(skipped for shard in shards for skipped in shard.skipped),
    )
    assert split.num_samples + len(split.skipped) == num_images
    return split


def write_shard(
    shard: Shard, advance: Callable[[int], object] = lambda count: None
) -> WrittenShard:
    """Writes one shard; `advance` is called with the number of images done since the last call."""
    reencoded, skipped = [], []
    num_samples = num_bytes = 0
    with atomic_files.new_file(shard.path) as temporary, atomic_files.writing(shard.path):
        with open(temporary, 'wb', buffering=_WRITE_BUFFER) as file:
            for image in shard.images:
                advance(1)
                try:
                    record, is_new = encode_record(image, shard.rules.rgb_only)
                except DataError as error:
                    if not shard.rules.skip_bad:
                        raise
                    reason = str(error).removeprefix(f'{image.path} ')
                    skipped.append(Skipped(image.path, reason))
                    continue
                num_bytes += framing.write_record(file, record)
                num_samples += 1
                if is_new:
                    reencoded.append(image.path)
        if not num_samples:
            raise DataError(
                f'None of the {len(skipped)} images for {shard.path} can be read, and a file '
                f'without records would stop training. {skipped[0].path} {skipped[0].reason}'
            )
        size = os.path.getsize(temporary)
        if size != num_bytes:
            raise OutputError(
                f'{shard.path} has {size} bytes on the disk, {num_bytes} were written'
            )
    return WrittenShard(num_samples, num_bytes, tuple(reencoded), tuple(skipped))


def write_description(dataset_dir: str, about: Description) -> None:
    """Writes dataset.json, the last file of a set: with it the set is complete."""
    atomic_files.write_text(os.path.join(dataset_dir, description.FILE_NAME), about.to_json())


def make_record(image: ImageFile) -> tuple[tf.train.Example, bool]:
    """The record of an image file, and whether it had to be encoded anew. DataError if no image."""
    import tensorflow as tf

    record, is_new = encode_record(image)
    return tf.train.Example.FromString(record), is_new


def encode_record(image: ImageFile, rgb_only: bool = False) -> tuple[bytes, bool]:
    """The serialized record of an image file, and whether the image had to be encoded anew.

    DataError, which names the file, for one that is no image or not whole, and for boxes that
    cannot be read.
    """
    with _reading(image.path):
        with open(image.path, 'rb') as file:
            encoded = file.read()
        with Image.open(io.BytesIO(encoded)) as opened:
            width, height = opened.size
            mode = opened.mode
            kept = {'RGB'} if rgb_only else _COLORSPACES
            as_it_is = encoded.startswith(_JPEG_START) and mode in kept
            if not as_it_is:
                encoded, mode = _rgb_jpeg(opened), 'RGB'
            elif not encoded.endswith(_JPEG_END):
                opened.load()  # bytes after the end are harmless, an end that is missing is not
    colorspace, channels = _COLORSPACES[mode]
    boxes = bounding_boxes.read(image.annotation) if image.annotation else image.boxes
    record = example_format.encode_example(
        encoded,
        image.label,
        height,
        width,
        colorspace=colorspace,
        channels=channels,
        filename=os.path.basename(image.path),
        synset=image.synset,
        text=image.text,
        bboxes=boxes,
    )
    return record, not as_it_is


def serialize(example: tf.train.Example) -> bytes:
    """The same bytes for the same record in every process and with every TensorFlow."""
    return example.SerializeToString(deterministic=True)


def as_rgb_jpeg(encoded: bytes) -> bytes:
    """Any image file as an RGB JPEG. DataError if it is no image."""
    with _reading('The image'), Image.open(io.BytesIO(encoded)) as opened:
        return _rgb_jpeg(opened)


def rgb_pixels(encoded: bytes) -> np.ndarray:
    """Any image file as uint8 [height, width, 3]. DataError if it is no image."""
    with _reading('The image'), Image.open(io.BytesIO(encoded)) as opened:
        return np.asarray(opened.convert('RGB'))


def _rgb_jpeg(opened: Image.Image) -> bytes:
    encoded = io.BytesIO()
    opened.convert('RGB').save(encoded, 'JPEG', quality=_REENCODED_QUALITY, subsampling=0)
    return encoded.getvalue()


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turns what Pillow and the file system say into a DataError that names `path`."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise DataError(f'{path} cannot be read as an image: of no known format') from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise DataError(f'{path} cannot be read as an image: {reason}') from error
