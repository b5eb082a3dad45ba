"""tf.data pipelines for detectors: record files -> pictures with boxes -> batches.

Order, sharing out over the workers and the going on of a run that was stopped are those of
`inputs`: the records of a step are a function of (seed, epoch), and the view of a picture one of
(seed, number of the picture in the run).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from runtime.input import feed, input_errors, inputs, record_order
from runtime.input.record_order import RecordSet, as_written

PADDING = -1  # the label of what fills up a list of boxes
_PREFETCHED_BATCHES = 2


class ObjectSet(RecordSet, Protocol):
    """What the pipelines need of a split; `datasets.detection_set.DetectionSet` is one.

    `parse` also gives 'boxes' (float32 [n, 4]: xmin, ymin, xmax, ymax in pixels of the picture) and
    'labels' (int64 [n]).
    """

    @property
    def max_boxes(self) -> int: ...


@dataclasses.dataclass(frozen=True)
class DetectionFormat(inputs.BatchFormat):
    """The form of a batch; `image_size` is the height of the network's frame."""

    image_width: int = 0  # 0: as the height
    max_boxes: int = 0  # of a picture; 0: the most that one of the split has

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image_size, self.image_width or self.image_size


def training_batches(
    records: ObjectSet,
    preprocess: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    batch: DetectionFormat,
    order: inputs.TrainingOrder,
) -> tf.data.Dataset:
    """Endless batches (images [b, h, w, 3], boxes [b, m, 4], labels [b, m], skipped).

    `boxes`: float32, xmin, ymin, xmax, ymax in pixels of the network's frame, the objects of a
    picture in the order of its record, then zeros. `labels`: int64, 0 .. classes - 1, then
    `PADDING`. `skipped`: int64 scalar, the records left out so far, as in `inputs`. A record with
    more objects than `m`, a label out of range or a box without area is an error that names it.

    Args:
      records: the split.
      preprocess: `f(image, boxes, height, width, seed=int32 [2])` to the view and its boxes.
      batch: the form of a batch.
      order: the pictures.
    """
    first_image = order.first_image(batch.batch_size)
    room = batch.max_boxes or records.max_boxes

    @as_written
    def example(number: tf.Tensor, placed: Any) -> tuple[tf.Tensor, ...]:
        features = records.parse(placed[1])
        image = records.decode(features['encoded'])
        seed = tf.stack([tf.constant(order.seed, tf.int32), tf.cast(number, tf.int32)])
        image, boxes = preprocess(image, features['boxes'], *batch.frame, seed=seed)
        with tf.control_dependencies(_checks(records, batch, features, boxes, room)):
            boxes = tf.identity(boxes)
        missing = tf.maximum(room - tf.shape(boxes)[0], 0)
        labels = features['labels'] - batch.labels_offset
        return (
            tf.ensure_shape(image, [*batch.frame, 3]),
            tf.ensure_shape(tf.pad(boxes, [[0, missing], [0, 0]]), [room, 4]),
            tf.ensure_shape(tf.pad(labels, [[0, missing]], constant_values=PADDING), [room]),
            number,
        )

    @as_written
    def finish(batches_before: tf.Tensor, content: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        images, boxes, labels, numbers = content
        # Every number that is missing among those of this worker is a record left out.
        reached = tf.reduce_max(numbers - first_image) // order.shard.size + 1
        skipped = reached - (batches_before + 1) * batch.batch_size
        skipped = skipped if order.reading.skip_damaged else tf.zeros_like(skipped)
        return tf.cast(images, batch.image_type), boxes, labels, skipped

    numbered = inputs.training_records(records, batch, order)
    examples = inputs.mapped(numbered, example, batch, order.reading.skip_damaged)
    batches = examples.batch(batch.batch_size, drop_remainder=True)
    return batches.enumerate().map(finish).prefetch(_PREFETCHED_BATCHES)


def evaluation_batches(
    records: ObjectSet,
    preprocess: Callable[..., tf.Tensor],
    batch: DetectionFormat,
    skip_damaged: bool = False,
) -> tf.data.Dataset:
    """Every record exactly once: (images [b, h, w, 3], names [b], sizes [b, 2], real [b]).

    `names`: string, the file name of the picture; `sizes`: int32, height and width of the picture
    itself, which `detection_preprocessing.to_picture` takes. The last batch is filled up with
    pictures for which `real` (bool) is false. With `skip_damaged` records that cannot be used are
    left out. The objects are read without TensorFlow, by `DetectionSet.pictures`.

    Args:
      records: the split.
      preprocess: `f(image, height, width)` to float32 [h, w, 3].
      batch: the form of a batch.
      skip_damaged: whether to leave them out.
    """

    @as_written
    def example(place: Any, record: tf.Tensor) -> tuple[tf.Tensor, ...]:
        del place
        features = records.parse(record)
        image = records.decode(features['encoded'])
        size = tf.shape(image)[:2]
        image = tf.ensure_shape(preprocess(image, *batch.frame), [*batch.frame, 3])
        return tf.cast(image, batch.image_type), features['filename'], size

    @as_written
    def fill_up(*content: tf.Tensor) -> tuple[tf.Tensor, ...]:
        count = tf.shape(content[0])[0]
        filled = []
        for tensor in content:
            edges = [[0, batch.batch_size - count], *[[0, 0]] * (tensor.shape.rank - 1)]
            empty = '' if tensor.dtype == tf.string else tf.zeros([], tensor.dtype)
            padded = tf.pad(tensor, edges, constant_values=empty)
            filled.append(tf.ensure_shape(padded, [batch.batch_size, *tensor.shape[1:]]))
        return (*filled, tf.range(batch.batch_size) < count)

    in_order = record_order.all_records(records.data_sources, skip_damaged, records.compressions)
    examples = inputs.mapped(in_order, example, batch, skip_damaged)
    return examples.batch(batch.batch_size).map(fill_up).prefetch(_PREFETCHED_BATCHES)


class DetectionFeed(feed.Feed):
    """One worker's training input for a detector; see `feed.Feed`.

    `next_batch` gives images, boxes and labels, as `training_batches` describes them.
    """

    def _pipeline(self, *arguments: Any) -> Any:
        records, preprocess, batch, order, mix = arguments
        if mix is not None:
            raise ValueError('pictures with boxes are not mixed')
        return training_batches(records, preprocess, batch, order)


def _checks(
    records: ObjectSet,
    batch: DetectionFormat,
    features: dict[str, tf.Tensor],
    boxes: tf.Tensor,
    room: int,
) -> list[Any]:
    """Operations that fail, naming the record, for objects that training cannot use."""
    labels, last = features['labels'], records.num_classes - 1
    extremes = lowest, _ = tf.reduce_min(labels), tf.reduce_max(labels)
    empty = tf.reduce_any(boxes[:, 2:] <= boxes[:, :2], axis=1)
    num_empty = tf.reduce_sum(tf.cast(empty, tf.int32))
    count = tf.shape(boxes)[0]
    # The plain operation: tf.debugging.Assert's condition costs as much as a function call.
    return [
        tf.raw_ops.Assert(
            condition=tf.reduce_all((labels >= batch.labels_offset) & (labels <= last)),
            data=[
                tf.constant(input_errors.BAD_LABEL),
                tf.stack(
                    [batch.labels_offset, last, tf.where(lowest < batch.labels_offset, *extremes)]
                ),
                features['filename'],
            ],
        ),
        tf.raw_ops.Assert(
            condition=tf.equal(num_empty, 0) & (count <= room),  # `==` is identity in a v1 graph
            data=[
                tf.constant(input_errors.BAD_BOXES),
                tf.stack([room, count, num_empty]),
                features['filename'],
            ],
        ),
    ]
