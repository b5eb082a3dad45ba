"""The order in which training reads records, a function of (seed, epoch); all workers agree."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf

from slim import errors

# Enough to mix classes that lie in order, little enough to hold: 2,048 ImageNet images are 230 MB.
_MIN_SHUFFLE_BUFFER, _SHUFFLE_STEPS, _MAX_SHUFFLE_BYTES = 2048, 20, 256e6
_MEASURED_FILES = 16

# The functions given to tf.data hold no Python branches on tensors; converting them, and all that
# they call, costs seconds at each start.
as_written = tf.autograph.experimental.do_not_convert


class RecordSet(Protocol):
    """What the pipelines need of a split; `datasets.dataset.Dataset` is one."""

    @property
    def data_sources(self) -> tuple[str, ...]: ...
    @property
    def compressions(self) -> Sequence[str]: ...
    @property
    def num_samples(self) -> int: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def image_kind(self) -> Callable[[bytes], str]: ...
    @property
    def parse(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]: ...
    @property
    def decode(self) -> Callable[[tf.Tensor], tf.Tensor]: ...


@dataclasses.dataclass(frozen=True)
class Shard:
    """One worker's part: examples number rank, rank + size, ... of the shuffled epoch."""

    rank: int = 0
    size: int = 1


@dataclasses.dataclass(frozen=True)
class Reading:
    """How record files are read."""

    num_readers: int = 4  # files at a time
    cache: bool = False  # every record stays in memory
    skip_damaged: bool = False  # the rest of a file behind a damaged place is left out


def numbered_records(
    files: Sequence[str],
    num_samples: int,
    images_per_step: int,
    seed: int,
    first_image: int,
    shard: Shard,
    reading: Reading,
    compressions: Sequence[str] = (),
) -> tf.data.Dataset:
    """Endless (number int64, ((file int64, record int64), serialized)) of one worker.

    Epoch e has the numbers e * num_samples and up. `file` is an index into `files`, `record` counts
    from 0 in it. `first_image`: number of the image at which the run (re)starts. `compressions`:
    '', 'GZIP' or 'ZLIB' for each file.
    """
    first_epoch, offset = divmod(first_image, num_samples)
    read_all = _from_memory if reading.cache else _from_files
    epoch_dataset = read_all(files, reading, compressions)
    buffer_size = _buffer_size(files, num_samples, images_per_step)

    @as_written
    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        epoch_seed = epoch * 1_000_003 + seed
        in_order = epoch_dataset(epoch_seed, buffer_size)
        first = tf.equal(epoch, first_epoch)  # `==` is identity in a v1 graph.
        left_out = tf.where(first, tf.cast(offset, tf.int64), 0)
        return in_order.enumerate(start=epoch * num_samples).skip(left_out)

    numbered = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch_records)
    return numbered.shard(shard.size, shard.rank) if shard.size > 1 else numbered


def all_records(
    files: Sequence[str], skip_damaged: bool = False, compressions: Sequence[str] = ()
) -> tf.data.Dataset:
    """((file, record), serialized) of every record in the order of the files."""
    return _indexed(files, compressions).flat_map(_reader(skip_damaged))


def _indexed(files: Sequence[str], compressions: Sequence[str]) -> tf.data.Dataset:
    kinds = list(compressions) or [''] * len(files)
    return tf.data.Dataset.from_tensor_slices(
        (tf.range(len(files), dtype=tf.int64), tf.constant(list(files)), tf.constant(kinds))
    )


def _reader(skip_damaged: bool) -> Any:
    @as_written
    def read(index: tf.Tensor, path: tf.Tensor, compression: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(path, compression)
        if skip_damaged:
            records = records.ignore_errors()
        places = (tf.data.Dataset.from_tensors(index).repeat(), tf.data.Dataset.range(2**62))
        return tf.data.Dataset.zip((places, records))

    return read


def _from_files(files: Sequence[str], reading: Reading, compressions: Sequence[str]) -> Any:
    cycle = min(reading.num_readers, len(files))

    def epoch_dataset(epoch_seed: tf.Tensor, buffer_size: int) -> tf.data.Dataset:
        serialized = (
            _indexed(files, compressions)
            .shuffle(len(files), seed=epoch_seed)
            .interleave(
                _reader(reading.skip_damaged),
                cycle_length=cycle,
                num_parallel_calls=cycle,
                deterministic=True,
            )
        )
        return serialized.shuffle(buffer_size, seed=epoch_seed + 1)

    return epoch_dataset


def _from_memory(files: Sequence[str], reading: Reading, compressions: Sequence[str]) -> Any:
    """The records are read once, when the iterator is initialized, and shuffled as a whole."""
    _check_memory(files)
    held = tf.data.experimental.get_single_element(
        all_records(files, reading.skip_damaged, compressions).batch(2**31 - 1)
    )
    count = tf.shape(held[1], out_type=tf.int64)[0]

    @as_written
    def record(number: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda values: tf.gather(values, number), held)

    def epoch_dataset(epoch_seed: tf.Tensor, buffer_size: int) -> tf.data.Dataset:
        del buffer_size
        return tf.data.Dataset.range(count).shuffle(count, seed=epoch_seed).map(record)

    return epoch_dataset


def _buffer_size(files: Sequence[str], num_samples: int, images_per_step: int) -> int:
    wanted = max(_MIN_SHUFFLE_BUFFER, _SHUFFLE_STEPS * images_per_step)
    some = files[:: -(-len(files) // _MEASURED_FILES)]
    record_bytes = max(1.0, _bytes(some) * len(files) / len(some) / num_samples)
    return max(1, int(min(num_samples, wanted, _MAX_SHUFFLE_BYTES / record_bytes)))


def _bytes(files: Sequence[str]) -> int:
    return sum(tf.io.gfile.stat(path).length for path in files)


def _check_memory(files: Sequence[str]) -> None:
    needed = _bytes(files)
    there = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    if needed > there / 2:
        raise errors.UsageError(
            f'--cache would hold {needed / 1e9:.1f} GB of records, more than half of the '
            f'{there / 1e9:.1f} GB of memory; leave it out'
        )
