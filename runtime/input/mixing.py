"""Mixup and CutMix: pictures and labels of a batch mixed in pairs.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018; Yun et al., "CutMix: Regularization
Strategy to Train Strong Classifiers with Localizable Features", 2019. Image i is mixed with image
b - 1 - i; one draw per batch.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from runtime import options
from slim import errors

Batch = tuple[tf.Tensor, tf.Tensor]


def mixer(
    chosen: options.AugmentationOptions, num_classes: int, seed: int
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Batch] | None:
    """f(number of the batch, images [b, h, w, c], labels int64 [b]) to mixed images and labels.

    The labels become float32 [b, num_classes], the shares of the classes. With both flags each
    batch takes one of the ways, by the toss of a coin. None where neither is asked for.
    """
    if not chosen.mixup_alpha and not chosen.cutmix_alpha:
        return None

    def mix(number: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> Batch:
        draw_seed = tf.stack([tf.constant(seed, tf.int32), tf.cast(number, tf.int32)])
        one_hot = tf.one_hot(labels, num_classes)
        if not chosen.cutmix_alpha:
            return _mixup(images, one_hot, chosen.mixup_alpha, draw_seed)
        if not chosen.mixup_alpha:
            return _cutmix(images, one_hot, chosen.cutmix_alpha, draw_seed)
        coin = tf.random.stateless_uniform([], _apart(draw_seed, _COIN))
        return tf.cond(
            coin < 0.5,
            lambda: _mixup(images, one_hot, chosen.mixup_alpha, draw_seed),
            lambda: _cutmix(images, one_hot, chosen.cutmix_alpha, draw_seed),
        )

    return mix


def check(chosen: options.AugmentationOptions, batch_size: int) -> None:
    """UsageError where there is no pair to mix."""
    if batch_size < 2 and (chosen.mixup_alpha or chosen.cutmix_alpha):
        raise errors.UsageError(
            f'--mixup_alpha and --cutmix_alpha mix pairs of images: --batch_size={batch_size} has '
            'none; raise it'
        )


def _mixup(images: tf.Tensor, one_hot: tf.Tensor, alpha: float, seed: tf.Tensor) -> Batch:
    share = _beta(alpha, seed)
    return _blend(images, share), _blend(one_hot, share)


def _cutmix(images: tf.Tensor, one_hot: tf.Tensor, alpha: float, seed: tf.Tensor) -> Batch:
    """A rectangle of the partner takes the place of 1 - share of the picture, cut off at edges."""
    height, width = images.shape[1], images.shape[2]
    sides = tf.sqrt(1.0 - _beta(alpha, seed)) * tf.constant([height, width], tf.float32)
    place_seed = _apart(seed, _PLACE)
    centre = tf.random.stateless_uniform([2], place_seed) * tf.constant([height, width], tf.float32)
    rows = tf.abs(tf.range(height, dtype=tf.float32) + 0.5 - centre[0]) < sides[0] / 2
    columns = tf.abs(tf.range(width, dtype=tf.float32) + 0.5 - centre[1]) < sides[1] / 2
    cut = rows[:, tf.newaxis] & columns
    share = 1.0 - tf.reduce_mean(tf.cast(cut, tf.float32))
    mixed = tf.where(cut[tf.newaxis, :, :, tf.newaxis], images[::-1], images)
    return tf.ensure_shape(mixed, images.shape), _blend(one_hot, share)


def _blend(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return share * values + (1.0 - share) * values[::-1]


def _beta(alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """A draw of Beta(alpha, alpha), float32 scalar, by way of two Gamma draws."""
    first = tf.random.stateless_gamma([], seed, alpha)
    second = tf.random.stateless_gamma([], _apart(seed, _SECOND_GAMMA), alpha)
    # Of a very small alpha both may be 0.
    return (first + 1e-30) / (first + second + 2e-30)


# The draws of one batch have seeds of their own.
_COIN, _SECOND_GAMMA, _PLACE = 0x2545F491, 0x3C6EF372, 0x1B873593


def _apart(seed: tf.Tensor, which: int) -> tf.Tensor:
    return seed + tf.constant([which, 0])
