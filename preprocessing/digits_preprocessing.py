"""Preprocessing for small drawn characters, such as the built-in sample of handwritten digits.

Training shifts, turns and scales the picture a little and changes its contrast; it never mirrors,
since a mirrored 2 is no 2, and never crops a stroke away for good. Evaluation only resizes. Strokes
are light on a dark ground: what a shift uncovers is black. Images come as uint8 (0..255) or float32
in 0..1, [h, w, 3] or [h, w, 1]; results are float32 in -1..1 at any output size.
"""

from __future__ import annotations

import math

import tensorflow as tf

from preprocessing.image_steps import (
    scale_to_signed_unit,
    split_seed,
    to_grayscale,
)

# Enough that a small network does not learn the 1,437 training digits by heart, and little enough
# that it still fits them in 2,000 steps.
_MAX_SHIFT = 0.06  # of the side: 2 pixels of 32
_MAX_ANGLE = math.radians(8)
_MAX_LOG_SCALE = math.log(1.1)
_MAX_SHEAR = 0.1
_MIN_CONTRAST = 0.9  # of the full one


def preprocess_for_train(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """A slightly shifted, turned, scaled and slanted copy of the image, float32 in -1..1.

    Returns [output_height, output_width, c]. `seed`: integer [2]; the same seed gives the same
    pixels.
    """
    warp_seed, contrast_seed = split_seed(seed, 2)
    image = _resize(image, output_height, output_width)
    image = _warp(image, output_height, output_width, warp_seed)
    image *= tf.random.stateless_uniform([], contrast_seed, _MIN_CONTRAST, 1.0)
    return _finish(image, use_grayscale)


def preprocess_for_eval(
    image: tf.Tensor, output_height: int, output_width: int, use_grayscale: bool = False
) -> tf.Tensor:
    """The whole image resized, float32 [output_height, output_width, c] in -1..1."""
    return _finish(_resize(image, output_height, output_width), use_grayscale)


def preprocess_image(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """The training form or, by default, the evaluation form, float32 [height, width, c]."""
    if is_training:
        return preprocess_for_train(image, output_height, output_width, use_grayscale, seed)
    return preprocess_for_eval(image, output_height, output_width, use_grayscale)


def _resize(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """float32 [height, width, c] in 0..1; smaller outputs are averaged, not sampled."""
    image = tf.image.convert_image_dtype(image, tf.float32)
    return tf.image.resize(image, [height, width], antialias=True)


def _warp(image: tf.Tensor, height: int, width: int, seed: tf.Tensor) -> tf.Tensor:
    """One bilinear resampling under a random affine map around the centre, black outside."""
    draw = tf.random.stateless_uniform([6], seed, -1.0, 1.0)
    angle = draw[0] * _MAX_ANGLE
    scale_y, scale_x = tf.exp(draw[1] * _MAX_LOG_SCALE), tf.exp(draw[2] * _MAX_LOG_SCALE)
    shear = draw[3] * _MAX_SHEAR
    shift_y, shift_x = draw[4] * _MAX_SHIFT * height, draw[5] * _MAX_SHIFT * width
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2

    # Output (x, y) to input: [a0 a1 a2; b0 b1 b2], the linear part around the centre.
    cos, sin = tf.cos(angle), tf.sin(angle)
    a0, a1 = scale_x * cos, scale_x * (shear * cos - sin)
    b0, b1 = scale_y * sin, scale_y * (shear * sin + cos)
    a2 = centre_x + shift_x - a0 * centre_x - a1 * centre_y
    b2 = centre_y + shift_y - b0 * centre_x - b1 * centre_y
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.stack([a0, a1, a2, b0, b1, b2, 0.0, 0.0])[tf.newaxis],
        output_shape=[height, width],
        fill_value=0.0,
        interpolation='BILINEAR',
        fill_mode='CONSTANT',
    )[0]
    warped.set_shape([height, width, image.shape[-1]])
    return warped


def pixel_scale(channels: int) -> tuple[float, tuple[float, ...]]:
    """Scale and offsets, by channel, from pixels of 0..255 to what networks get."""
    return 2.0 / 255.0, (-1.0,) * channels


def _finish(image: tf.Tensor, use_grayscale: bool) -> tf.Tensor:
    return scale_to_signed_unit(to_grayscale(image) if use_grayscale else image)
