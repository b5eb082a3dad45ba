"""AutoAugment: policies that were searched for on ImageNet, for pictures of 0..255.

Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data", 2018; policy v0 as published
with EfficientNet, 2019. Every draw is a function of the seed. A picture must not be normalised yet:
of one around 0 nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from preprocessing.augmentation import OPERATIONS
from preprocessing.image_steps import split_seed
from slim.errors import UsageError

# (image float32 [h, w, 3], level 0..1, sign -1 or 1, pixels of the highest level) to the image.
Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, float], tf.Tensor]

_MAX_LEVEL = 10.0
_TRANSLATED = 250.0  # pixels at the highest level
_ADDED, _BELOW = 110.0, 128.0  # of solarize_add, at the highest level


class Step(NamedTuple):
    """One of the two steps of a sub-policy."""

    operation: str
    probability: float
    level: int  # 0..10


# Policy v0: one of the sub-policies is drawn for each picture.
POLICY_V0 = tuple(
    (Step(*first), Step(*second))
    for first, second in (
        (('equalize', 0.8, 1), ('shear_y', 0.8, 4)),
        (('color', 0.4, 9), ('equalize', 0.6, 3)),
        (('color', 0.4, 1), ('rotate', 0.6, 8)),
        (('solarize', 0.8, 3), ('equalize', 0.4, 7)),
        (('solarize', 0.4, 2), ('solarize', 0.6, 2)),
        (('color', 0.2, 0), ('equalize', 0.8, 8)),
        (('equalize', 0.4, 8), ('solarize_add', 0.8, 3)),
        (('shear_x', 0.2, 9), ('rotate', 0.6, 8)),
        (('color', 0.6, 1), ('equalize', 1.0, 2)),
        (('invert', 0.4, 9), ('rotate', 0.6, 0)),
        (('equalize', 1.0, 9), ('shear_y', 0.6, 3)),
        (('color', 0.4, 7), ('equalize', 0.6, 0)),
        (('posterize', 0.4, 6), ('auto_contrast', 0.4, 7)),
        (('solarize', 0.6, 8), ('color', 0.6, 9)),
        (('solarize', 0.2, 4), ('rotate', 0.8, 9)),
        (('rotate', 1.0, 7), ('translate_y', 0.8, 9)),
        (('shear_x', 0.0, 0), ('solarize', 0.8, 4)),
        (('shear_y', 0.8, 0), ('color', 0.6, 4)),
        (('color', 1.0, 0), ('rotate', 0.6, 2)),
        (('equalize', 0.8, 4), ('equalize', 0.0, 8)),
        (('equalize', 1.0, 4), ('auto_contrast', 0.6, 2)),
        (('shear_y', 0.4, 7), ('solarize_add', 0.6, 7)),
        (('posterize', 0.8, 2), ('solarize', 0.6, 10)),
        (('solarize', 0.6, 8), ('equalize', 0.6, 1)),
        (('color', 0.8, 6), ('rotate', 0.4, 5)),
    )
)


def auto_augment(
    translate_const: float = _TRANSLATED,
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """f(image uint8 [h, w, 3], seed integer [2]) to the same: a sub-policy of v0 drawn at random.

    `translate_const`: pixels by which the highest level moves a picture.
    """

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if image.shape[-1] != 3:
            raise UsageError('AutoAugment needs images of three channels')
        if image.dtype != tf.uint8:
            raise UsageError(f'AutoAugment needs pixels of 0..255 as uint8, not {image.dtype.name}')
        which_seed, *step_seeds = split_seed(seed, 3)
        policy = tf.random.stateless_uniform([], which_seed, maxval=len(POLICY_V0), dtype=tf.int32)
        floats = tf.cast(image, tf.float32)
        for place, step_seed in enumerate(step_seeds):
            steps = [steps[place] for steps in POLICY_V0]
            floats = _step(steps, policy, floats, step_seed, translate_const)
        return tf.cast(floats, tf.uint8)

    return augment


def _step(
    steps: list[Step], which: tf.Tensor, image: tf.Tensor, seed: tf.Tensor, translate_const: float
) -> tf.Tensor:
    """The image, float32 [h, w, 3] of whole numbers, after one of the steps, or unchanged."""
    names = list(_OPERATIONS)
    operation = tf.gather([names.index(step.operation) for step in steps], which)
    level = tf.gather([step.level / _MAX_LEVEL for step in steps], which)
    probability = tf.gather([step.probability for step in steps], which)
    draws = tf.random.stateless_uniform([2], split_seed(seed, 1)[0])
    sign = tf.sign(draws[1] - 0.5)

    def branch(change: Operation) -> Callable[[], tf.Tensor]:
        return lambda: tf.ensure_shape(change(image, level, sign, translate_const), image.shape)

    # Each operation is built once, not once for each of the sub-policies.
    changed = tf.switch_case(operation, [branch(change) for change in _OPERATIONS.values()])
    changed = tf.clip_by_value(tf.round(changed), 0.0, 255.0)
    return tf.where(draws[0] < probability, changed, image)


def _solarize_add(image: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    return tf.where(image < _BELOW, tf.minimum(image + level * _ADDED, 255.0), image)


def _moved(image: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Up or down; `translate_y` counts in parts of the side."""
    whole = 0.45 * tf.cast(tf.shape(image)[0], tf.float32)
    return OPERATIONS['translate_y'](image, pixels / whole)


# With the measures of EfficientNet: colours by factors of .1 to 1.9, 30 degrees, .3 of shear,
# thresholds of 0 to 256. `posterize` keeps 8 to 4 bits, as in the paper; there it kept 0 to 4, so
# that level 2 was black.
_OPERATIONS: dict[str, Operation] = {
    'auto_contrast': lambda x, level, sign, most: OPERATIONS['auto_contrast'](x, level),
    'color': lambda x, level, sign, most: OPERATIONS['color'](x, 2.0 * level - 1.0),
    'equalize': lambda x, level, sign, most: OPERATIONS['equalize'](x, level),
    'invert': lambda x, level, sign, most: 255.0 - x,
    'posterize': lambda x, level, sign, most: OPERATIONS['posterize'](x, level),
    'rotate': lambda x, level, sign, most: OPERATIONS['rotate'](x, sign * level),
    'shear_x': lambda x, level, sign, most: OPERATIONS['shear_x'](x, sign * level),
    'shear_y': lambda x, level, sign, most: OPERATIONS['shear_y'](x, sign * level),
    'solarize': lambda x, level, sign, most: OPERATIONS['solarize'](x, 1.0 - level),
    'solarize_add': lambda x, level, sign, most: _solarize_add(x, level),
    'translate_y': lambda x, level, sign, most: _moved(x, sign * level * most),
}
