"""tf.data pipelines: record files -> examples -> batches of static shape.

Training order is a function of (seed, epoch), and each image's augmentation a function of (seed,
number of the image in the run): a run that stops and resumes sees what an uninterrupted one would
have seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from runtime.input import input_errors, record_order
from runtime.input.record_order import Reading, RecordSet, Shard, as_written

_PREFETCHED_BATCHES = 2
_ALONE, _PLAINLY = Shard(), Reading()


@dataclasses.dataclass(frozen=True)
class BatchFormat:
    """The form of a batch, and how it is made."""

    batch_size: int
    image_size: int  # pixels, side
    labels_offset: int = 0
    parallel_decodes: int = 4  # images at a time; 0: tf.data chooses
    image_type: str = 'float32'  # of the batch; the network's own, so that less travels to a card
    deterministic: bool = True  # images come in the order of their numbers
    device: str = ''  # that computes the step
    device_prefetch: int = 0  # batches that wait in its memory; 0: all wait on the host


@dataclasses.dataclass(frozen=True)
class TrainingOrder:
    """Which images one worker trains on, in which order."""

    seed: int  # of order and augmentation
    first_step: int = 0  # at which the run (re)starts; earlier images are left out, not decoded
    batches_per_step: int = 1  # that this worker takes, its number of clones
    shard: Shard = _ALONE  # the part of each epoch that belongs to this worker
    reading: Reading = _PLAINLY

    def images_per_step(self, batch_size: int) -> int:
        """Images that all workers take together in a step."""
        return batch_size * self.batches_per_step * self.shard.size

    def first_image(self, batch_size: int) -> int:
        """Number of the image at which the run (re)starts."""
        return self.first_step * self.images_per_step(batch_size)


def training_batches(
    records: RecordSet,
    preprocess: Callable[..., tf.Tensor],
    batch: BatchFormat,
    order: TrainingOrder,
    mix: Callable[..., tuple[tf.Tensor, tf.Tensor]] | None = None,
) -> tf.data.Dataset:
    """Endless batches (images [b, s, s, c], labels, skipped).

    `labels`: int64 [b], or what `mix` makes of them. `skipped`, int64 scalar: the records left out
    so far; where `reading.skip_damaged` is false it stays 0, and a record that cannot be used is an
    error.

    Args:
      records: the split.
      preprocess: `f(encoded, height, width, seed=int32 [2])`, string to float32 [s, s, c].
      batch: the form of a batch.
      order: the images.
      mix: `f(number, images, labels)`, changes a batch; `number` differs for every batch.
    """
    first_image = order.first_image(batch.batch_size)

    @as_written
    def example(number: tf.Tensor, placed: Any) -> tuple[tf.Tensor, ...]:
        _, record = placed
        image_seed = tf.stack([tf.constant(order.seed, tf.int32), tf.cast(number, tf.int32)])
        return *_example(records, preprocess, batch, record, seed=image_seed), number

    @as_written
    def finish(batches_before: tf.Tensor, content: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        images, labels, numbers = content
        # Every number that is missing among those of this worker is a record left out.
        reached = tf.reduce_max(numbers - first_image) // order.shard.size + 1
        skipped = reached - (batches_before + 1) * batch.batch_size
        if mix:
            images, labels = mix(numbers[0], images, labels)
        images = tf.cast(images, batch.image_type)
        return images, labels, skipped if order.reading.skip_damaged else tf.zeros_like(skipped)

    numbered = training_records(records, batch, order)
    examples = mapped(numbered, example, batch, order.reading.skip_damaged)
    batches = examples.batch(batch.batch_size, drop_remainder=True)
    return batches.enumerate().map(finish).prefetch(_PREFETCHED_BATCHES)


def training_records(
    records: RecordSet, batch: BatchFormat, order: TrainingOrder
) -> tf.data.Dataset:
    """What `training_batches` is made of: (number, ((file, record), serialized)), endless."""
    return record_order.numbered_records(
        records.data_sources,
        records.num_samples,
        order.images_per_step(batch.batch_size),
        order.seed,
        order.first_image(batch.batch_size),
        order.shard,
        order.reading,
        records.compressions,
    )


def evaluation_batches(
    records: RecordSet,
    preprocess: Callable[..., tf.Tensor],
    batch: BatchFormat,
    skip_damaged: bool = False,
    placed: bool = False,
) -> tf.data.Dataset:
    """Every record exactly once: (images [b, s, s, c], labels int64 [b], real bool [b]).

    The last batch is filled up with images for which `real` is false, so that all shapes are
    static. With `skip_damaged` records that cannot be used are left out. With `placed` the batch
    ends with where its records are, without filling: indices of files and numbers in them, int64
    [n], and the names that the records have for their images, string [n].
    """

    @as_written
    def example(place: Any, record: tf.Tensor) -> tuple[tf.Tensor, ...]:
        made = _example(records, preprocess, batch, record)
        return (*made, *place, records.parse(record)['filename']) if placed else made

    @as_written
    def fill_up(images: tf.Tensor, labels: tf.Tensor, *told: tf.Tensor) -> tuple[tf.Tensor, ...]:
        count = tf.shape(labels)[0]
        missing = batch.batch_size - count
        filled = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        filled.set_shape([batch.batch_size, *images.shape[1:]])
        labels = tf.ensure_shape(tf.pad(labels, [[0, missing]]), [batch.batch_size])
        filled = tf.cast(filled, batch.image_type)
        return filled, labels, tf.range(batch.batch_size) < count, *told

    in_order = record_order.all_records(records.data_sources, skip_damaged, records.compressions)
    examples = mapped(in_order, example, batch, skip_damaged)
    return examples.batch(batch.batch_size).map(fill_up).prefetch(_PREFETCHED_BATCHES)


def iterator(pipeline: tf.data.Dataset, batch: BatchFormat) -> Any:
    """An initializable iterator in the default graph, on the device where its batches wait.

    A copy to a card takes as long as a good part of a step there. With `batch.device_prefetch` it
    is made while the steps before compute. No component may be a string.
    """
    if batch.device_prefetch:
        to_device = tf.data.experimental.prefetch_to_device(batch.device, batch.device_prefetch)
        # Nothing is left to optimize behind the copy, and TensorFlow would say so at every start.
        plain = tf.data.Options()
        plain.experimental_optimization.apply_default_optimizations = False
        plain.autotune.enabled = False
        pipeline = pipeline.apply(to_device).with_options(plain)
    return tf.compat.v1.data.make_initializable_iterator(pipeline)


def explain_evaluation(
    error: Exception, records: RecordSet, batch: BatchFormat, batches: int
) -> str:
    """What to tell about an error of `evaluation_batches` after so many whole batches."""

    def next_records() -> tf.data.Dataset:
        in_order = record_order.all_records(records.data_sources, compressions=records.compressions)
        return in_order.skip(batches * batch.batch_size).take(batch.batch_size)

    return input_errors.explain(error, records, next_records, batch.labels_offset)


def mapped(
    dataset: tf.data.Dataset, function: Any, batch: BatchFormat, skip_damaged: bool
) -> tf.data.Dataset:
    """`function` over the records, as many at a time as `batch` says."""
    examples = dataset.map(
        function,
        num_parallel_calls=batch.parallel_decodes or tf.data.AUTOTUNE,
        deterministic=batch.deterministic,
    )
    return examples.ignore_errors() if skip_damaged else examples


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
        data=[
            tf.constant(input_errors.BAD_LABEL),
            tf.stack([batch.labels_offset, records.num_classes - 1, features['label']]),
            features['filename'],
        ],
    )
    with tf.control_dependencies([in_range]):
        label = tf.identity(label)
    size = batch.image_size
    return preprocess(features['encoded'], size, size, **preprocess_arguments), label
