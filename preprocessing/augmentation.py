"""Augmentations of today's recipes: RandAugment and random erasing.

Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space",
2019; Zhong et al., "Random Erasing Data Augmentation", 2017. Every draw is a function of the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from preprocessing.image_steps import split_seed
from slim.errors import UsageError

# An image float32 [h, w, 3] in 0..255 and a strength -1..1, to the same.
Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

MAX_MAGNITUDE = 10
_FILL = 128.0  # what shows behind the image where it was moved
_LUMINANCE = (0.2989, 0.5870, 0.1140)


def rand_augment(
    layers: int, magnitude: float
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    """f(image uint8 [h, w, 3], seed integer [2]) that applies `layers` operations drawn at random.

    `magnitude`, 0..10, is the strength of all of them; the sign of those that have one is drawn.
    None for no layers.
    """
    if not layers:
        return None

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if image.shape[-1] != 3:
            raise UsageError('--randaugment_layers: RandAugment needs images of three channels')
        floats = tf.cast(image, tf.float32)
        for layer_seed in split_seed(seed, layers):
            which_seed, sign_seed = split_seed(layer_seed, 2)
            which = tf.random.stateless_uniform(
                [], which_seed, maxval=len(OPERATIONS), dtype=tf.int32
            )
            sign = tf.sign(tf.random.stateless_uniform([], sign_seed) - 0.5)
            strength = sign * magnitude / MAX_MAGNITUDE
            floats = tf.switch_case(
                which,
                [
                    lambda change=change, x=floats, s=strength: tf.ensure_shape(
                        change(x, s), x.shape
                    )
                    for change in OPERATIONS.values()
                ],
            )
            floats = tf.clip_by_value(tf.round(floats), 0.0, 255.0)
        return tf.cast(floats, tf.uint8)

    return augment


def with_erasing(
    preprocess: Callable[..., tf.Tensor], probability: float
) -> Callable[..., tf.Tensor]:
    """A preprocessing with `random_erasing` behind it; the same one for a probability of 0."""
    if not probability:
        return preprocess

    def preprocess_and_erase(*arguments: Any, seed: tf.Tensor, **named: Any) -> tf.Tensor:
        erase_seed, seed = split_seed(seed, 2)
        return random_erasing(preprocess(*arguments, seed=seed, **named), probability, erase_seed)

    return preprocess_and_erase


def random_erasing(image: tf.Tensor, probability: float, seed: tf.Tensor) -> tf.Tensor:
    """float32 [h, w, c] with a random rectangle set to 0, in `probability` of the cases.

    The rectangle covers 2 % to a third of the image and is up to 3.3 times as long as it is wide. 0
    is the mean colour, or the middle of the range, in what the preprocessings return.
    """
    height, width = image.shape[0], image.shape[1]
    draws = tf.unstack(tf.random.stateless_uniform([5], split_seed(seed, 1)[0]))
    area = (0.02 + draws[1] * (1 / 3 - 0.02)) * height * width
    ratio = tf.exp((2.0 * draws[2] - 1.0) * tf.math.log(3.3))
    inside = []
    for side, length, draw in (
        (height, tf.sqrt(area * ratio), draws[3]),
        (width, tf.sqrt(area / ratio), draws[4]),
    ):
        length = tf.minimum(tf.round(length), float(side))
        first = tf.floor(draw * (side - length + 1.0))
        places = tf.range(side, dtype=tf.float32)
        inside.append((places >= first) & (places < first + length))
    erased = inside[0][:, tf.newaxis] & inside[1] & (draws[0] < probability)
    return tf.where(erased[..., tf.newaxis], 0.0, image)


def _blend(first: tf.Tensor, second: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`first` at factor 0, `second` at 1, beyond it above."""
    return first + factor * (second - first)


def _gray(image: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(image, tf.constant(_LUMINANCE), 1)[..., tf.newaxis]


def _auto_contrast(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    del strength
    low = tf.reduce_min(image, [0, 1])
    high = tf.reduce_max(image, [0, 1])
    return tf.where(high > low, (image - low) * 255.0 / tf.maximum(high - low, 1.0), image)


def _equalize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Each channel's values spread so that all are equally frequent."""
    del strength
    channels = []
    for channel in tf.unstack(tf.cast(image, tf.int32), axis=-1):
        counts = tf.math.bincount(tf.reshape(channel, [-1]), minlength=256, maxlength=256)
        below = tf.cumsum(counts)
        pixels = below[-1]
        lowest = tf.gather(counts, tf.reduce_min(channel))
        share = (below - lowest) / tf.maximum(pixels - lowest, 1)
        levels = tf.cast(share * 255.0, tf.float32)
        channels.append(
            tf.where(pixels > lowest, tf.gather(levels, channel), tf.cast(channel, tf.float32))
        )
    return tf.stack(channels, axis=-1)


def _color(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _blend(tf.broadcast_to(_gray(image), tf.shape(image)), image, 1.0 + 0.9 * strength)


def _contrast(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _blend(tf.reduce_mean(_gray(image)), image, 1.0 + 0.9 * strength)


def _brightness(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return image * (1.0 + 0.9 * strength)


def _sharpness(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    kernel = tf.constant([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13.0
    weights = tf.tile(kernel[:, :, tf.newaxis, tf.newaxis], [1, 1, 3, 1])
    padded = tf.pad(image, [[1, 1], [1, 1], [0, 0]], 'SYMMETRIC')[tf.newaxis]
    smooth = tf.nn.depthwise_conv2d(padded, weights, [1, 1, 1, 1], 'VALID')[0]
    return _blend(smooth, image, 1.0 + 0.9 * strength)


def _posterize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """8 bits per channel at strength 0, 4 at 1."""
    levels = tf.pow(2.0, tf.round(4.0 * tf.abs(strength)))
    return tf.floor(image / levels) * levels


def _solarize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Values above a threshold, which falls from 256 to 0, are inverted."""
    return tf.where(image < 256.0 * (1.0 - tf.abs(strength)), image, 255.0 - image)


def _affine(image: tf.Tensor, matrix: list) -> tf.Tensor:
    """Nearest pixel of the place that [a0, a1, a2, b0, b1, b2] gives, counted from the centre."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    y, x = (size[0] - 1.0) / 2.0, (size[1] - 1.0) / 2.0
    a0, a1, a2, b0, b1, b2 = (tf.cast(value, tf.float32) for value in matrix)
    transform = [a0, a1, a2 + x - a0 * x - a1 * y, b0, b1, b2 + y - b0 * x - b1 * y, 0.0, 0.0]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.stack(transform)[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=_FILL,
        interpolation='NEAREST',
        fill_mode='CONSTANT',
    )[0]


def _rotate(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    angle = strength * 0.5236  # 30 degrees
    cos, sin = tf.cos(angle), tf.sin(angle)
    return _affine(image, [cos, -sin, 0.0, sin, cos, 0.0])


def _shift(part: tf.Tensor, image: tf.Tensor, axis: int) -> tf.Tensor:
    return part * 0.45 * tf.cast(tf.shape(image)[axis], tf.float32)


# By the names of the paper; each takes the strength -1..1 in its own measure.
OPERATIONS: dict[str, Operation] = {
    'identity': lambda x, s: x,
    'auto_contrast': _auto_contrast,
    'equalize': _equalize,
    'rotate': _rotate,
    'solarize': _solarize,
    'color': _color,
    'posterize': _posterize,
    'contrast': _contrast,
    'brightness': _brightness,
    'sharpness': _sharpness,
    'shear_x': lambda x, s: _affine(x, [1.0, 0.3 * s, 0.0, 0.0, 1.0, 0.0]),
    'shear_y': lambda x, s: _affine(x, [1.0, 0.0, 0.0, 0.3 * s, 1.0, 0.0]),
    'translate_x': lambda x, s: _affine(x, [1.0, 0.0, _shift(s, x, 1), 0.0, 1.0, 0.0]),
    'translate_y': lambda x, s: _affine(x, [1.0, 0.0, 0.0, 0.0, 1.0, _shift(s, x, 0)]),
}
