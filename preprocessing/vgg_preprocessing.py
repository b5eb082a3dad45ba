"""VGG's preprocessing: a crop of the image at a given smaller side, mean colour subtracted.

Simonyan and Zisserman, "Very Deep Convolutional Networks", 2014, section 3. Images come as uint8 or
float32 in 0..255, [h, w, 3] or [h, w, 1]; results are float32 in about -124..151.

The published sides (256 in evaluation, 256 to 512 in training) belong to an output of 224 pixels.
Above 224 the default sides grow in proportion, so that the network sees the same part of the
picture; sides that a caller chose are taken as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from preprocessing import encoded_images
from preprocessing.image_op import ImageOp
from preprocessing.image_steps import flip_left_right, split_seed, to_grayscale
from slim.errors import UsageError

_MEAN_RGB = (123.68, 116.78, 103.94)  # of ImageNet's training set, 0..255
_GRAY_WEIGHTS = (0.2989, 0.5870, 0.1140)  # those of tf.image.rgb_to_grayscale
_MEAN_GRAY = sum(mean * weight for mean, weight in zip(_MEAN_RGB, _GRAY_WEIGHTS, strict=True))

_RESIZE_SIDE_MIN = 256
_RESIZE_SIDE_MAX = 512
_PUBLISHED_OUTPUT = 224
_DRAWS = 4  # for a training image, uniform in 0..1: side, place of the crop (two), flip


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
    sides = _training_sides(resize_side_min, resize_side_max, output_height, output_width)
    (draw_seed,) = split_seed(seed, 1)
    draws = tf.random.stateless_uniform([_DRAWS], draw_seed)
    image = _resize_smaller_side(image, _drawn_side(sides, draws[0]))
    room = tf.shape(image)[:2] - [output_height, output_width]
    image = _crop(image, _drawn_offset(room, draws[1:3]), output_height, output_width)
    image = flip_left_right(image, draws[3])
    image.set_shape([output_height, output_width, image.shape[-1]])
    return _subtract_mean(image, use_grayscale)


def _training_sides(side_min: int, side_max: int, height: int, width: int) -> tuple[int, int]:
    low = _side_for_output(side_min, _RESIZE_SIDE_MIN, height, width)
    high = _side_for_output(side_max, _RESIZE_SIDE_MAX, height, width)
    if low > high:
        raise UsageError(f'resize_side_min {low} is above resize_side_max {high}')
    return low, high


def _drawn_side(sides: tuple[int, int], draw: tf.Tensor) -> tf.Tensor:
    """int32 scalar, uniform over both ends and what is between; float rounding may reach beyond."""
    low, high = sides
    return tf.minimum(low + tf.cast(draw * float(high + 1 - low), tf.int32), high)


def _drawn_offset(room: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """int32 [2], uniform over the room + 1 places; float rounding may reach the place behind."""
    return tf.minimum(tf.cast(draw * tf.cast(room + 1, tf.float32), tf.int32), room)


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
    new_size = _size_for_side(tf.shape(image)[:2], side)
    # TF 1's pixel grid, on which the published weights were trained.
    resized = tf.compat.v1.image.resize_images(image, new_size)
    return tf.cast(resized, tf.float32)


def _size_for_side(size: tf.Tensor, side: int | tf.Tensor) -> tf.Tensor:
    """`size`, int32 [2], in proportion to a smaller side of `side`."""
    sides = tf.cast(size, tf.float32)
    scale = tf.cast(side, tf.float32) / tf.reduce_min(sides)
    return tf.cast(tf.math.rint(sides * scale), tf.int32)


def preprocess_encoded(
    encoded: tf.Tensor,
    height: int,
    width: int,
    decode: Callable[[tf.Tensor], tf.Tensor],
    is_training: bool = False,
    use_grayscale: bool = False,
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    custom_op: ImageOp | None = None,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """`preprocess_image` from an image file: only what the crop needs is decoded and resized.

    For the same seed the same view, apart from the roundings of the JPEG decoder at the edges of
    the crop, and from large training images, which the decoder shrinks first. Arguments as in
    `inception_preprocessing.preprocess_encoded`. Returns float32 [height, width, c].
    """
    output = tf.constant([height, width])
    draws = None
    if is_training:
        draw_seed, augment_seed = split_seed(seed, 2)
        draws = tf.random.stateless_uniform([_DRAWS], draw_seed)
        sides = _training_sides(_RESIZE_SIDE_MIN, _RESIZE_SIDE_MAX, height, width)
        side: int | tf.Tensor = _drawn_side(sides, draws[0])
    else:
        side = _side_for_output(_RESIZE_SIDE_MIN, _RESIZE_SIDE_MIN, height, width)

    def grid(size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Where the crop's first pixel lies in the image and how far its pixels are apart."""
        new_size = _size_for_side(size, side)
        room = new_size - output
        offset = room // 2 if draws is None else _drawn_offset(room, draws[1:3])
        step = tf.cast(size, tf.float32) / tf.cast(new_size, tf.float32)
        return tf.cast(offset, tf.float32) * step, step

    def window(size: tf.Tensor) -> tf.Tensor:
        first, step = grid(size)
        last = first + tf.cast(output - 1, tf.float32) * step
        begin = tf.cast(first, tf.int32)
        # Between the last pixel and its neighbour is interpolated.
        end = tf.minimum(tf.cast(last, tf.int32) + 2, size)
        return tf.concat([begin, end - begin], axis=0)

    region = encoded_images.read_region(
        encoded, window, decode, (height, width) if is_training else None
    )
    first, step = grid(region.image_size)
    # 1, or less where the decoder has shrunk the region.
    scale = tf.cast(tf.shape(region.pixels)[:2], tf.float32) / tf.cast(
        region.window[2:], tf.float32
    )
    first = (first - tf.cast(region.window[:2], tf.float32)) * scale
    step *= scale
    flipped = tf.constant(False) if draws is None else draws[3] < 0.5
    if custom_op:
        # The mean as well, where nothing comes before it: TensorFlow's subtraction of three numbers
        # takes as long as the rest.
        is_last = not use_grayscale and not (augment and is_training)
        image = custom_op(
            region.pixels,
            height,
            width,
            offset=[-mean if is_last else 0.0 for mean in _MEAN_RGB],
            grid=tf.concat([first, step], axis=0),
            mirrored=flipped,
        )
        if is_last:
            return image
    else:
        image = _sample(region.pixels, first, step, height, width, flipped)
    if augment and is_training:
        image = tf.cast(tf.round(image), tf.uint8)
        image = tf.cast(augment(image, augment_seed), tf.float32)
        image.set_shape([height, width, 3])
    return _subtract_mean(image, use_grayscale)


def _sample(
    image: tf.Tensor,
    first: tf.Tensor,
    step: tf.Tensor,
    height: int,
    width: int,
    flipped: tf.Tensor,
) -> tf.Tensor:
    """float32 [height, width, 3]: bilinear samples of `image` at first + i * step, float32 [2]."""
    last = first + step * tf.constant([height - 1.0, width - 1.0])
    last_index = tf.cast(tf.shape(image)[:2] - 1, tf.float32)
    # Samples behind the last row or column are like it; a margin for float rounding.
    behind = tf.reduce_any(last > last_index - 0.01)
    inside, short = encoded_images.either(image, behind)
    padded = tf.pad(short, [[0, 1], [0, 1], [0, 0]], 'SYMMETRIC')
    image = encoded_images.whichever([inside, padded])
    # The operation takes the first and the last sample as parts of the image's last index, and the
    # last column first in order to mirror.
    last_index = tf.cast(tf.maximum(tf.shape(image)[:2] - 1, 1), tf.float32)
    top, left = tf.unstack(first / last_index)
    bottom, right = tf.unstack(last / last_index)
    left, right = tf.where(flipped, right, left), tf.where(flipped, left, right)
    box = tf.stack([[top, left, bottom, right]])
    return tf.image.crop_and_resize(image[tf.newaxis], box, [0], [height, width])[0]


def _crop(image: tf.Tensor, offset: tf.Tensor, height: int, width: int) -> tf.Tensor:
    fits = tf.debugging.Assert(
        tf.reduce_all(offset >= 0),
        ['The resized image is smaller than the crop:', tf.shape(image), [height, width]],
    )
    with tf.control_dependencies([fits] if fits is not None else []):
        crop = tf.slice(image, tf.concat([offset, [0]], axis=0), [height, width, -1])
    crop.set_shape([height, width, image.shape[-1]])
    return crop


def pixel_scale(channels: int) -> tuple[float, tuple[float, ...]]:
    """Scale and offsets, by channel, from pixels of 0..255 to what networks get."""
    means = (_MEAN_GRAY,) if channels == 1 else _MEAN_RGB
    return 1.0, tuple(-mean for mean in means)


def _subtract_mean(image: tf.Tensor, use_grayscale: bool) -> tf.Tensor:
    if use_grayscale:
        image = to_grayscale(image)
    return image - (_MEAN_GRAY if image.shape[-1] == 1 else tf.constant(_MEAN_RGB))
