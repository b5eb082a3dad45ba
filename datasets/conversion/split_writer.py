"""Writes the image files of a split as shards, in several processes, from the beginning."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from datasets.conversion import worker_pool
from datasets.conversion.progress_bar import Progress, tell
from datasets.records import atomic_files, record_writer
from datasets.records.image_files import DEFAULT_RULES, ImageFile, Rules
from datasets.records.record_writer import WrittenShard, WrittenSplit

_MESSAGES_PER_SPLIT = 10


def write_split(
    images: Sequence[ImageFile],
    folder: str,
    split_name: str,
    num_shards: int,
    progress: Progress = tell,
    *,
    num_workers: int = 1,
    rules: Rules = DEFAULT_RULES,
) -> WrittenSplit:
    """Writes `images`, in their order, as `folder`/SPLIT-00000-of-N and its sisters.

    The files do not depend on `num_workers`, the number of processes. Raises DataError for a file
    that is no image (naming it) or no images at all, OutputError where the folder cannot be
    written. Shards that were finished before the error stay. `resumable.py` goes on from
    there; this starts anew.
    """
    shards = record_writer.make_shards(images, folder, split_name, num_shards, rules)
    if len(shards) < num_shards:
        progress(f'{split_name}: {len(images)} images fill {len(shards)} shards, not {num_shards}')
    with atomic_files.writing(folder):
        os.makedirs(folder, exist_ok=True)
    written: dict[int, WrittenShard] = {}
    finished_images = 0
    with contextlib.closing(
        worker_pool.run(record_writer.write_shard, shards, num_workers)
    ) as results:
        for before, (index, shard) in enumerate(results):
            written[index] = shard
            finished_images += shard.num_samples
            tenth_before = before * _MESSAGES_PER_SPLIT // len(shards)
            if len(written) * _MESSAGES_PER_SPLIT // len(shards) > tenth_before:
                progress(
                    f'{split_name}: {finished_images}/{len(images)} images, '
                    f'{len(written)}/{len(shards)} shards'
                )
    return record_writer.joined([written[index] for index in range(len(shards))], len(images))
