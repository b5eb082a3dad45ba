"""tf.data pipelines: record files -> examples -> batches of static shape.

Training order is a function of (seed, epoch), and each image's augmentation a function of (seed,
number of the image in the run): a run that stops and resumes sees what an uninterrupted one would
have seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from slim import input_errors, record_order
from slim.record_order import Reading, Shard, as_written

_PREFETCHED_BATCHES = 2
_ALONE, _PLAINLY = Shard(), Reading()


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
    """The form of a batch, and how it is made."""

    batch_size: int
    image_size: int  # pixels, side
    labels_offset: int = 0
    parallel_decodes: int = 4  # images at a time; 0: tf.data chooses
    deterministic: bool = True  # images come in the order of their numbers


def training_batches(
    records: RecordSet,
    preprocess: Callable[..., tf.Tensor],
    batch: BatchFormat,
    seed: int,
    first_step: int = 0,
    batches_per_step: int = 1,
    shard: Shard = _ALONE,
    reading: Reading = _PLAINLY,
) -> tf.data.Dataset:
    """Endless batches (images float32 [b, s, s, c], labels int64 [b], skipped) from a step on.

    `skipped`, int64 scalar, counts the records that were left out so far; where
    `reading.skip_damaged` is false it stays 0, and a record that cannot be used is an error.

    Args:
      records: the split.
      preprocess: `f(image, height, width, seed=int32 [2])`, uint8 [h, w, c] to float32 [s, s, c].
      batch: the form of a batch.
      seed: seed of order and augmentation.
      first_step: the step at which the run (re)starts; earlier images are skipped, not decoded.
      batches_per_step: batches that this worker takes per step, its number of clones.
      shard: the part of each epoch that belongs to this worker.
      reading: how record files are read.
    """
    numbered = training_records(records, batch, seed, first_step, batches_per_step, shard, reading)

    @as_written
    def example(number: tf.Tensor, place: Any, record: tf.Tensor) -> tuple[tf.Tensor, ...]:
        del place
        image_seed = tf.stack([tf.constant(seed, tf.int32), tf.cast(number, tf.int32)])
        return *_example(records, preprocess, batch, record, seed=image_seed), number

    examples = _map(numbered, example, batch, reading)
    batches = examples.batch(batch.batch_size, drop_remainder=True)
    first_image = _first_image(batch, first_step, batches_per_step, shard)

    @as_written
    def count_skipped(
        batches_before: tf.Tensor, content: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, ...]:
        images, labels, numbers = content
        reached = tf.reduce_max(numbers - first_image) // shard.size + 1
        return images, labels, reached - (batches_before + 1) * batch.batch_size

    if reading.skip_damaged:
        counted = batches.enumerate().map(count_skipped)
    else:
        none = tf.constant(0, tf.int64)
        counted = batches.map(as_written(lambda images, labels, numbers: (images, labels, none)))
    return _finish(counted)


def training_records(
    records: RecordSet,
    batch: BatchFormat,
    seed: int,
    first_step: int = 0,
    batches_per_step: int = 1,
    shard: Shard = _ALONE,
    reading: Reading = _PLAINLY,
) -> tf.data.Dataset:
    """What `training_batches` is made of: (number, (file, record), serialized), endless."""
    return record_order.numbered_records(
        records.data_sources,
        records.num_samples,
        batch.batch_size,
        seed,
        _first_image(batch, first_step, batches_per_step, shard),
        shard,
        reading,
    )


def evaluation_batches(
    records: RecordSet,
    preprocess: Callable[..., tf.Tensor],
    batch: BatchFormat,
    skip_damaged: bool = False,
) -> tf.data.Dataset:
    """Every record exactly once: (images [b, s, s, c], labels int64 [b], real bool [b]).

    The last batch is filled up with images for which `real` is false, so that all shapes are
    static. With `skip_damaged` records that cannot be used are left out.
    """
    reading = Reading(skip_damaged=skip_damaged)

    @as_written
    def example(place: Any, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del place
        return _example(records, preprocess, batch, record)

    @as_written
    def fill_up(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        count = tf.shape(labels)[0]
        missing = batch.batch_size - count
        filled = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        filled.set_shape([batch.batch_size, *images.shape[1:]])
        labels = tf.ensure_shape(tf.pad(labels, [[0, missing]]), [batch.batch_size])
        return filled, labels, tf.range(batch.batch_size) < count

    in_order = record_order.all_records(records.data_sources, skip_damaged)
    examples = _map(in_order, example, batch, reading)
    return _finish(examples.batch(batch.batch_size).map(fill_up))


def _first_image(batch: BatchFormat, first_step: int, batches_per_step: int, shard: Shard) -> int:
    return first_step * batch.batch_size * batches_per_step * shard.size


def _map(
    dataset: tf.data.Dataset, function: Any, batch: BatchFormat, reading: Reading
) -> tf.data.Dataset:
    examples = dataset.map(
        function,
        num_parallel_calls=batch.parallel_decodes or tf.data.AUTOTUNE,
        deterministic=batch.deterministic,
    )
    return examples.ignore_errors() if reading.skip_damaged else examples


def _finish(batches: tf.data.Dataset) -> tf.data.Dataset:
    return batches.prefetch(_PREFETCHED_BATCHES)


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
    # The plain operation: tf.debugging.Assert's condition costs as much as a function call.
    in_range = tf.raw_ops.Assert(
        condition=(label >= 0) & (label <= highest),
        data=[tf.constant(input_errors.BAD_LABEL), features['label'], features['filename']],
    )
    with tf.control_dependencies([in_range]):
        label = tf.identity(label)
    image = records.decode(features['encoded'])
    size = batch.image_size
    return preprocess(image, size, size, **preprocess_arguments), label
