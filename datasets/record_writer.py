"""Writes image files as shards of TFRecords, never leaving a file that looks finished and is not.

A shard is written under a hidden name, synced to the disk and renamed. The pixels are not decoded:
size and colours come from the file's header. Only files that training could not read as RGB or gray
JPEG (PNG under a .JPEG name, CMYK) are encoded anew, and listed in the result.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import tensorflow as tf
from PIL import Image

from datasets import description, example_format, record_files
from datasets.description import Description
from slim.errors import DataError, OutputError

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_COLORSPACES = {'RGB': ('RGB', 3), 'L': ('Grayscale', 1)}  # Pillow's mode: name, channels
_REENCODED_QUALITY = 95
_MESSAGES_PER_SPLIT = 10

Progress = Callable[[str], object]


@dataclass(frozen=True)
class ImageFile:
    """An image to be written, and its class."""

    path: str
    label: int
    synset: str = ''
    text: str = ''


@dataclass(frozen=True)
class WrittenSplit:
    """What `write_split` wrote."""

    num_samples: int
    num_shards: int
    reencoded: tuple[str, ...]  # paths of the image files that were not RGB or gray JPEG


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


def write_split(
    images: Sequence[ImageFile],
    folder: str,
    split_name: str,
    num_shards: int,
    progress: Progress = print,
) -> WrittenSplit:
    """Writes `images`, in their order, as `folder`/SPLIT-00000-of-N and its sisters.

    Raises DataError for a file that is no image (naming it) or no images at all, OutputError where
    the folder cannot be written. Shards that were finished before the error stay.
    """
    if not images:
        raise DataError(f'There are no images for the split {split_name!r}.')
    ranges = shard_ranges(len(images), num_shards)
    if len(ranges) < num_shards:
        progress(f'{split_name}: {len(images)} images fill {len(ranges)} shards, not {num_shards}')
    with _writing(folder):
        os.makedirs(folder, exist_ok=True)
    reencoded: list[str] = []
    for index, positions in enumerate(ranges):
        path = os.path.join(folder, record_files.shard_name(split_name, index, len(ranges)))
        reencoded += _write_shard([images[position] for position in positions], path)
        if (index + 1) * _MESSAGES_PER_SPLIT // len(ranges) > (
            index * _MESSAGES_PER_SPLIT // len(ranges)
        ):
            progress(
                f'{split_name}: {positions.stop}/{len(images)} images, '
                f'{index + 1}/{len(ranges)} shards'
            )
    return WrittenSplit(len(images), len(ranges), tuple(reencoded))


def write_description(dataset_dir: str, about: Description) -> None:
    """Writes dataset.json, the last file of a set: with it the set is complete."""
    path = os.path.join(dataset_dir, description.FILE_NAME)
    with _new_file(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        file.write(about.to_json())


def make_record(image: ImageFile) -> tuple[tf.train.Example, bool]:
    """The record of an image file, and whether it had to be encoded anew. DataError if no image."""
    try:
        with open(image.path, 'rb') as file:
            encoded = file.read()
        with Image.open(io.BytesIO(encoded)) as opened:
            width, height = opened.size
            mode = opened.mode
            as_it_is = encoded.startswith(_JPEG_START) and mode in _COLORSPACES
            if not as_it_is:
                encoded, mode = _as_jpeg(opened), 'RGB'
            elif not encoded.endswith(_JPEG_END):
                opened.load()  # bytes after the end are harmless, an end that is missing is not
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f'{image.path} cannot be read as an image: {error}') from error
    colorspace, channels = _COLORSPACES[mode]
    example = example_format.make_example(
        encoded,
        image.label,
        height,
        width,
        colorspace=colorspace,
        channels=channels,
        filename=os.path.basename(image.path),
        synset=image.synset,
        text=image.text,
    )
    return example, not as_it_is


def serialize(example: tf.train.Example) -> bytes:
    """The same bytes for the same record in every process and with every TensorFlow."""
    return example.SerializeToString(deterministic=True)


def _as_jpeg(opened: Image.Image) -> bytes:
    encoded = io.BytesIO()
    opened.convert('RGB').save(encoded, 'JPEG', quality=_REENCODED_QUALITY, subsampling=0)
    return encoded.getvalue()


def _write_shard(images: Sequence[ImageFile], path: str) -> list[str]:
    """Writes one shard; the paths of the files that were encoded anew."""
    reencoded = []
    with _new_file(path) as temporary, tf.io.TFRecordWriter(temporary) as writer:
        for image in images:
            example, is_new = make_record(image)
            writer.write(serialize(example))
            if is_new:
                reencoded.append(image.path)
    return reencoded


@contextlib.contextmanager
def _new_file(path: str) -> Iterator[str]:
    """Gives a hidden name to write to, which becomes `path` when the block ends well."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f'.{name}.{os.getpid()}.tmp')
    try:
        with _writing(path):
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(folder)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    """Turns what the file system says into an OutputError that names `path`."""
    try:
        yield
    except (DataError, OutputError):
        raise
    except OSError as error:
        raise OutputError(f'{path} cannot be written: {error.strerror or error}') from error
    except tf.errors.OpError as error:
        raise OutputError(f'{path} cannot be written: {error.message}') from error


def _sync(path: str) -> None:
    descriptor = os.open(path or '.', os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
