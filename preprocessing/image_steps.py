"""Steps that the preprocessings share: seeds, grayscale, pixel range, summaries."""

from __future__ import annotations

import tensorflow as tf

# Knuth's multiplier. TensorFlow's stateless generators scramble a seed before they use it, so that
# seeds need only be different, also those that are split off a split one.
_SPLIT_FACTOR = 1_812_433_253


def split_seed(seed: tf.Tensor | None, count: int) -> list[tf.Tensor]:
    """`count` independent seeds, int32 [2] each, that are functions of `seed` (integer [2]) alone.

    None draws a seed from TensorFlow's stateful generator (which tf.random.set_seed makes
    repeatable). Every random step uses stateless operations on one of these: the same seed gives
    the same pixels whatever the number of parallel calls, so that a resumed run sees what it would
    have seen. Two operations; TensorFlow's own splitting takes a twentieth of the time of an image.
    """
    if seed is None:
        seed = tf.random.uniform([2], minval=0, maxval=tf.int32.max, dtype=tf.int32)
    first, second = tf.unstack(tf.cast(seed, tf.int32), num=2)
    multiplied = first * _SPLIT_FACTOR
    return [tf.stack([multiplied + number, second]) for number in range(1, count + 1)]


def flip_left_right(image: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """The image [h, w, c] mirrored where `draw` (float32 scalar) is below one half."""
    return tf.cond(draw < 0.5, lambda: tf.reverse(image, [1]), lambda: image)


def to_grayscale(image: tf.Tensor) -> tf.Tensor:
    """One luminance channel [h, w, 1] of an RGB image; an image of one channel is handed back."""
    return image if image.shape[-1] == 1 else tf.image.rgb_to_grayscale(image)


def scale_to_signed_unit(image: tf.Tensor) -> tf.Tensor:
    """0..1 to -1..1."""
    return (image - 0.5) * 2.0


def add_image_summary(name: str, image: tf.Tensor) -> None:
    """A TensorBoard image of `image` [h, w, c], where the session loop can collect it.

    That is a plain graph only: inside a function, as in tf.data's map, a summary would never be
    written.
    """
    if not tf.executing_eagerly() and not tf.inside_function():
        tf.compat.v1.summary.image(name, image[tf.newaxis])
