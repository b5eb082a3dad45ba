"""tf.data pipelines: record files -> examples -> batches of static shape.

Training order is a function of (seed, epoch), and each image's augmentation a function of (seed,
number of the image in the run): a run that stops and resumes sees what an uninterrupted one would
have seen.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

# Enough to mix classes that lie in order, little enough to hold: 2,048 ImageNet images are 230 MB.
_MIN_SHUFFLE_BUFFER, _SHUFFLE_BATCHES = 2048, 20

# The functions given to tf.data hold no Python branches on tensors; converting them, and all that
# they call, costs seconds at each start.
_as_written = tf.autograph.experimental.do_not_convert


class RecordSet(Protocol):
    """What the pipelines need of a split; `datasets.dataset.Dataset` is one."""

    @property
    def data_sources(self) -> tuple[str, ...]: ...
    @property
    def num_samples(self) -> int: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def parse(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]: ...
    @property
    def decode(self) -> Callable[[tf.Tensor], tf.Tensor]: ...


@dataclasses.dataclass(frozen=True)
class BatchFormat:
    """The form of a batch."""

    batch_size: int
    image_size: int  # pixels, side
    labels_offset: int = 0
    parallel_decodes: int = 4


@dataclasses.dataclass(frozen=True)
class Shard:
    """One worker's part: examples number rank, rank + size, ... of the shuffled epoch."""

    rank: int = 0
    size: int = 1


def training_batches(
    records: RecordSet,
    preprocess: Callable[..., tf.Tensor],
    batch: BatchFormat,
    seed: int,
    first_step: int = 0,
    batches_per_step: int = 1,
    shard: Shard = Shard(),
    num_readers: int = 4,
) -> tf.data.Dataset:
    """Endless batches (images float32 [b, s, s, c], labels int64 [b]) from step `first_step` on.

    Args:
      records: the split.
      preprocess: `f(image, height, width, seed=int32 [2])`, uint8 [h, w, c] to float32 [s, s, c].
      batch: the form of a batch.
      seed: seed of order and augmentation.
      first_step: the step at which the run (re)starts; earlier images are skipped, not decoded.
      batches_per_step: batches that this worker takes per step, its number of clones.
      shard: the part of each epoch that belongs to this worker.
      num_readers: record files read in parallel.
    """
    images_per_step = batch.batch_size * batches_per_step * shard.size
    first_image = first_step * images_per_step
    first_epoch, offset = divmod(first_image, records.num_samples)

    @_as_written
    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        in_order = _shuffled_records(records, batch.batch_size, seed, epoch, num_readers)
        first = tf.equal(epoch, first_epoch)  # `==` is identity in a v1 graph.
        return in_order.skip(tf.where(first, tf.cast(offset, tf.int64), 0))

    @_as_written
    def example(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image_seed = tf.stack([tf.constant(seed, tf.int32), tf.cast(number, tf.int32)])
        return _example(records, preprocess, batch, record, seed=image_seed)

    serialized = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch_records)
    numbered = serialized.enumerate(start=first_image).shard(shard.size, shard.rank)
    examples = numbered.map(example, num_parallel_calls=batch.parallel_decodes, deterministic=True)
    return examples.batch(batch.batch_size, drop_remainder=True).prefetch(2)


def evaluation_batches(
    records: RecordSet, preprocess: Callable[..., tf.Tensor], batch: BatchFormat
) -> tf.data.Dataset:
    """Every record exactly once: (images [b, s, s, c], labels int64 [b], real bool [b]).

    The last batch is filled up with images for which `real` is false, so that all shapes are
    static.
    """

    @_as_written
    def example(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _example(records, preprocess, batch, record)

    @_as_written
    def fill_up(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        count = tf.shape(labels)[0]
        missing = batch.batch_size - count
        filled = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        filled.set_shape([batch.batch_size, *images.shape[1:]])
        labels = tf.ensure_shape(tf.pad(labels, [[0, missing]]), [batch.batch_size])
        return filled, labels, tf.range(batch.batch_size) < count

    serialized = tf.data.TFRecordDataset(list(records.data_sources))
    examples = serialized.map(
        example, num_parallel_calls=batch.parallel_decodes, deterministic=True
    )
    return examples.batch(batch.batch_size).map(fill_up).prefetch(2)


def _shuffled_records(
    records: RecordSet, batch_size: int, seed: int, epoch: tf.Tensor, num_readers: int
) -> tf.data.Dataset:
    """The serialized records of one epoch, each once, in the order of (seed, epoch)."""
    file_count = len(records.data_sources)
    buffer_size = min(records.num_samples, max(_MIN_SHUFFLE_BUFFER, _SHUFFLE_BATCHES * batch_size))
    epoch_seed = epoch * 1_000_003 + seed
    files = tf.data.Dataset.from_tensor_slices(list(records.data_sources))
    files = files.shuffle(file_count, seed=epoch_seed)
    serialized = files.interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(num_readers, file_count),
        num_parallel_calls=min(num_readers, file_count),
        deterministic=True,
    )
    return serialized.shuffle(max(1, buffer_size), seed=epoch_seed + 1)


def _example(
    records: RecordSet,
    preprocess: Callable[..., tf.Tensor],
    batch: BatchFormat,
    record: tf.Tensor,
    **preprocess_arguments: Any,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A serialized record as (image float32 [s, s, c], label int64 scalar)."""
    features = records.parse(record)
    label = features['label'] - batch.labels_offset
    highest = records.num_classes - batch.labels_offset - 1
    in_range = tf.debugging.Assert(
        (label >= 0) & (label <= highest),
        [
            tf.strings.format(
                f'{BAD_RECORD}record {{}} has label {{}}, but the classes of this set are '
                f'{batch.labels_offset} to {records.num_classes - 1}{BAD_RECORD}',
                (features['filename'], features['label']),
            )
        ],
    )
    with tf.control_dependencies([in_range]):
        label = tf.identity(label)
    image = records.decode(features['encoded'])
    size = batch.image_size
    return preprocess(image, size, size, **preprocess_arguments), label


# Marks the part of a failed assertion's message that is meant for the user.
BAD_RECORD = '@@'
# What TensorFlow puts around a message: where the operation was built, and its name.
_AROUND = re.compile(
    r"Graph execution error:|Detected at node.*?\nNode: '[^']*'|Original stack trace.*|\[\[.*?\]\]",
    re.DOTALL,
)


def readable_error(error: Exception, records: RecordSet | None = None) -> str:
    """What to tell the user about an error that the pipeline raised, in one line.

    With `records` it names file and record, for which they are read once more.
    """
    text = str(error)
    if text.count(BAD_RECORD) >= 2:
        message = text.split(BAD_RECORD)[1].replace('\\"', '"')
    else:
        message = f'A record cannot be used: {" ".join(_AROUND.sub("", text).split())[:300]}'
    if records is None:
        return message
    print('looking for the record that cannot be used', file=sys.stderr, flush=True)
    place = first_bad_record(records)
    return f'{place}: {message}' if place else message


def first_bad_record(records: RecordSet) -> str | None:
    """`FILE, record NUMBER (counted from 0)` of the first that cannot be read, decoded or used.

    Reads and decodes until there; None if there is none.
    """

    @_as_written
    def used(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = records.parse(record)
        return features['label'], tf.shape(records.decode(features['encoded']))

    for path in records.data_sources:
        number = 0
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            examples = tf.data.TFRecordDataset(path).map(used, tf.data.AUTOTUNE)
            example = tf.compat.v1.data.make_one_shot_iterator(examples).get_next()
            try:
                while 0 <= session.run(example)[0] < records.num_classes:
                    number += 1
            except tf.errors.OutOfRangeError:
                continue
            except (tf.errors.InvalidArgumentError, tf.errors.DataLossError):
                pass
        return f'{path}, record {number} (counted from 0)'
    return None
