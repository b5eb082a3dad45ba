"""Writes image files as shards of TFRecords, never leaving a file that looks finished and is not.

A shard is written under a hidden name, synced to the disk and renamed. What makes a record of an
image is `image_files.py`; files that it encoded anew or could not read are listed in the result.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datasets.records import atomic_files, framing, image_files, record_files
from datasets.records.image_files import DEFAULT_RULES, ImageFile, Rules
from slim.errors import DataError, OutputError

_WRITE_BUFFER = 1 << 20


@dataclass(frozen=True)
class Skipped:
    """An image file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class WrittenSplit:
    """What the shards of a split hold."""

    num_samples: int
    num_shards: int
    reencoded: tuple[str, ...]  # paths of the image files that were not RGB or gray JPEG
    skipped: tuple[Skipped, ...] = ()


# Makes a record of an image file; a function or object that other processes can import.
Encode = Callable[[ImageFile, Rules], tuple[bytes, bool]]


def encode_image(image: ImageFile, rules: Rules) -> tuple[bytes, bool]:
    """Of an image with a class."""
    return image_files.encode_record(image, rules)


@dataclass(frozen=True)
class Shard:
    """A file to be written."""

    path: str
    images: Sequence[ImageFile]
    rules: Rules = DEFAULT_RULES
    encode: Encode = encode_image


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
    encode: Encode = encode_image,
    shard_name: Callable[[str, int, int], str] = record_files.shard_name,
) -> list[Shard]:
    """The shards of a split, in order. DataError without images."""
    if not images:
        raise DataError(f'There are no images for the split {split_name!r}.')
    ranges = shard_ranges(len(images), num_shards)
    return [
        Shard(
            os.path.join(folder, shard_name(split_name, index, len(ranges))),
            images[positions.start : positions.stop],
            rules,
            encode,
        )
        for index, positions in enumerate(ranges)
    ]


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
                    record, is_new = shard.encode(image, shard.rules)
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
