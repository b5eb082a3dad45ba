"""VGG's preprocessing: a crop of the image at a given smaller side, mean colour subtracted.

Simonyan and Zisserman, "Very Deep Convolutional Networks", 2014, section 3. Images come as uint8 or
float32 in 0..255, [h, w, 3] or [h, w, 1]; results are float32 in about -124..151.

The published sides (256 in evaluation, 256 to 512 in training) belong to an output of 224 pixels.
Above 224 the default sides grow in proportion, so that the network sees the same part of the
picture; sides that a caller chose are taken as they are.
"""

from __future__ import annotations

import tensorflow as tf

from preprocessing.image_steps import split_seed, to_grayscale
from slim.errors import UsageError

_MEAN_RGB = (123.68, 116.78, 103.94)  # of ImageNet's training set, 0..255
_GRAY_WEIGHTS = (0.2989, 0.5870, 0.1140)  # those of tf.image.rgb_to_grayscale
_MEAN_GRAY = sum(mean * weight for mean, weight in zip(_MEAN_RGB, _GRAY_WEIGHTS, strict=True))

_RESIZE_SIDE_MIN = 256
_RESIZE_SIDE_MAX = 512
_PUBLISHED_OUTPUT = 224


def preprocess_for_train(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    resize_side_min: int = _RESIZE_SIDE_MIN,
    resize_side_max: int = _RESIZE_SIDE_MAX,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """A random crop, half of them flipped, of `image` at a smaller side drawn from the range given.

    Returns float32 [output_height, output_width, c]. Both ends of the range count. `seed`: integer
    [2].
    """
    sides = [
        _side_for_output(resize_side_min, _RESIZE_SIDE_MIN, output_height, output_width),
        _side_for_output(resize_side_max, _RESIZE_SIDE_MAX, output_height, output_width),
    ]
    if sides[0] > sides[1]:
        raise UsageError(f'resize_side_min {sides[0]} is above resize_side_max {sides[1]}')
    side_seed, crop_seed, flip_seed = split_seed(seed, 3)
    side = tf.random.stateless_uniform(
        [], side_seed, minval=sides[0], maxval=sides[1] + 1, dtype=tf.int32
    )
    image = _resize_smaller_side(image, side)
    room = tf.shape(image)[:2] - [output_height, output_width]
    draw = tf.random.stateless_uniform([2], crop_seed)
    # Uniform over the room + 1 places; float rounding may reach the place behind the last.
    offset = tf.minimum(tf.cast(draw * tf.cast(room + 1, tf.float32), tf.int32), room)
    image = _crop(image, offset, output_height, output_width)
    image = tf.image.stateless_random_flip_left_right(image, flip_seed)
    return _subtract_mean(image, use_grayscale)


def preprocess_for_eval(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    resize_side: int,
    use_grayscale: bool = False,
) -> tf.Tensor:
    """The central crop, float32 [output_height, output_width, c], of `image` at `resize_side`."""
    _check_side(resize_side, output_height, output_width)
    image = _resize_smaller_side(image, resize_side)
    room = tf.shape(image)[:2] - [output_height, output_width]
    image = _crop(image, room // 2, output_height, output_width)
    return _subtract_mean(image, use_grayscale)


def preprocess_image(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    resize_side_min: int = _RESIZE_SIDE_MIN,
    resize_side_max: int = _RESIZE_SIDE_MAX,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """The training form or, by default, the evaluation form at `resize_side_min`.

    Returns float32 [output_height, output_width, c].
    """
    if is_training:
        return preprocess_for_train(
            image,
            output_height,
            output_width,
            resize_side_min,
            resize_side_max,
            use_grayscale,
            seed,
        )
    side = _side_for_output(resize_side_min, _RESIZE_SIDE_MIN, output_height, output_width)
    return preprocess_for_eval(image, output_height, output_width, side, use_grayscale)


def _side_for_output(side: int, default: int, output_height: int, output_width: int) -> int:
    """`side` in pixels, or the default in proportion to an output above the published one."""
    if side == default:
        largest = max(output_height, output_width, _PUBLISHED_OUTPUT)
        side = round(default * largest / _PUBLISHED_OUTPUT)
    _check_side(side, output_height, output_width)
    return side


def _check_side(side: int, output_height: int, output_width: int) -> None:
    if side < min(output_height, output_width):
        raise UsageError(
            f'A resize side of {side} pixels is too small for an output of '
            f'{output_height}x{output_width}; give at least {max(output_height, output_width)}.'
        )


def _resize_smaller_side(image: tf.Tensor, side: int | tf.Tensor) -> tf.Tensor:
    """float32 [h, w, c] whose smaller side is `side`, aspect ratio kept."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.cast(side, tf.float32) / tf.reduce_min(size)
    new_size = tf.cast(tf.math.rint(size * scale), tf.int32)
    # TF 1's pixel grid, on which the published weights were trained.
    resized = tf.compat.v1.image.resize_images(image, new_size)
    return tf.cast(resized, tf.float32)


def _crop(image: tf.Tensor, offset: tf.Tensor, height: int, width: int) -> tf.Tensor:
    fits = tf.debugging.Assert(
        tf.reduce_all(offset >= 0),
        ['The resized image is smaller than the crop:', tf.shape(image), [height, width]],
    )
    with tf.control_dependencies([fits] if fits is not None else []):
        crop = tf.slice(image, tf.concat([offset, [0]], axis=0), [height, width, -1])
    crop.set_shape([height, width, image.shape[-1]])
    return crop


def _subtract_mean(image: tf.Tensor, use_grayscale: bool) -> tf.Tensor:
    if use_grayscale:
        image = to_grayscale(image)
    return image - (_MEAN_GRAY if image.shape[-1] == 1 else tf.constant(_MEAN_RGB))
