"""Which anchor has to find which object: each object gets an anchor of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow.compat.v1 as tf

from detection import boxes as box_forms


@dataclasses.dataclass(frozen=True)
class Targets:
    """What the network should say, for each of A anchors in each of B pictures."""

    matched: Any  # [B, A], 1 where the anchor has an object, else 0
    classes: Any  # [B, A, C], one-hot; zeros where there is no object
    deltas: Any  # [B, A, 4], of the object at this anchor; zeros where there is none
    boxes: Any  # [B, A, 4], the object in corner form, in pixels; zeros where there is none


def match(corners: Any, labels: Any, anchors: Any) -> Any:
    """The anchor of each object.

    Objects choose in their order: the free anchor of the picture with the highest IoU above 0, or,
    where no free anchor meets the object, the free one with the least squared distance over
    (cx, cy, width, height). Of equals, the first. An object beyond the number of anchors gets none.

    It runs where the batch is, as a few operations for each place in the list of objects over the
    whole batch at once: some 0.1 ms an object, without Python.

    Args:
      corners: objects of each picture, [B, M, 4], pixels of the frame.
      labels: int64 [B, M], the class; below 0 where the list is only filled up.
      anchors: centre form [A, 4], of the type of `corners`.

    Returns:
      int64 [B, M]: number of the anchor, -1 for filling.
    """
    corners, labels = tf.convert_to_tensor(corners), tf.convert_to_tensor(labels)
    anchors = tf.convert_to_tensor(anchors)
    batch, places = tf.unstack(tf.shape(labels))
    count = tf.shape(anchors)[0]

    def choose(place: Any, free: Any, chosen: Any) -> tuple[Any, Any, Any]:
        box = corners[:, place, tf.newaxis, :]
        overlap = tf.where(free, _iou(box, anchors), tf.zeros_like(free, box.dtype))
        apart = tf.math.squared_difference(box_forms.to_centres(box), anchors)
        distance = tf.reduce_sum(apart, axis=-1)
        distance = tf.where(free, distance, tf.fill(tf.shape(distance), box.dtype.max))
        anchor = tf.where(
            tf.reduce_max(overlap, axis=-1) > 0,
            tf.argmax(overlap, axis=-1),
            tf.argmin(distance, axis=-1),
        )
        real = (labels[:, place] >= 0) & tf.reduce_any(free, axis=-1)
        taken = tf.one_hot(tf.where(real, anchor, -tf.ones_like(anchor)), count) > 0.5
        result = tf.where(real, anchor, -tf.ones_like(anchor))
        return place + 1, free & ~taken, chosen.write(place, result)

    start = (
        tf.constant(0),
        tf.ones([batch, count], tf.bool),
        tf.TensorArray(tf.int64, places, element_shape=[labels.shape[0]]),
    )
    _, _, chosen = tf.while_loop(lambda place, *_: place < places, choose, start)
    found = tf.reshape(chosen.stack(), [places, batch])
    return tf.ensure_shape(tf.transpose(found), labels.shape)


def _iou(box: Any, anchors: Any) -> Any:
    """`boxes.iou` of corners [B, 1, 4] and anchors [A, 4], the same bits for equals: [B, A].

    A large object holds many anchors of one shape, and has the same IoU with each. Rounding must
    not choose among them, so sizes are those of the anchors, not differences of their corners.
    """
    low, high = tf.split(box_forms.to_corners(anchors), 2, axis=-1)
    size, anchor_size = box[..., 2:] - box[..., :2], anchors[..., 2:]
    whole = tf.minimum(size, anchor_size)
    partly = tf.minimum(box[..., 2:] - low, high - box[..., :2])
    sides = tf.maximum(tf.minimum(whole, partly), tf.zeros_like(partly))
    shared = sides[..., 0] * sides[..., 1]
    union = size[..., 0] * size[..., 1] + anchor_size[..., 0] * anchor_size[..., 1] - shared
    return tf.math.divide_no_nan(shared, union)


def targets(corners: Any, labels: Any, anchors: Any, num_classes: int) -> Targets:
    """The targets of a batch; the arguments are those of `match`, C is `num_classes`."""
    corners, labels = tf.convert_to_tensor(corners), tf.convert_to_tensor(labels)
    anchors = tf.convert_to_tensor(anchors)
    found = match(corners, labels, anchors)
    listed = tf.where(found >= 0)
    places = tf.stack([listed[:, 0], tf.gather_nd(found, listed)], axis=-1)
    own_corners, own_anchors = tf.gather_nd(corners, listed), tf.gather(anchors, places[:, 1])
    deltas = box_forms.encode(box_forms.to_centres(own_corners), own_anchors)
    one_hot = tf.one_hot(tf.gather_nd(labels, listed), num_classes, dtype=corners.dtype)
    rows = tf.concat([tf.ones_like(deltas[:, :1]), one_hot, deltas, own_corners], axis=-1)
    shape = [tf.shape(labels)[0], anchors.shape[0], rows.shape[-1]]
    filled = tf.scatter_nd(places, rows, tf.cast(tf.stack(shape), tf.int64))
    filled = tf.ensure_shape(filled, [labels.shape[0], *shape[1:]])
    matched, classes, deltas, own = tf.split(filled, [1, num_classes, 4, 4], axis=-1)
    return Targets(matched[..., 0], classes, deltas, own)
