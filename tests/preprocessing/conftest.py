from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import preprocessing_factory


@pytest.fixture
def photo():
    """uint8 [60, 80, 3]: every pixel of another colour, no symmetry."""
    y, x = np.mgrid[0:60, 0:80]
    return np.stack([x * 3, y * 4, (x * y) % 256], axis=-1).astype(np.uint8)


@pytest.fixture
def run():
    """run(build, *arrays): builds on placeholders of unknown height and width, in its own graph.

    Returns the static shape and the value.
    """

    def run(build, *arrays):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            feeds = {
                tf.compat.v1.placeholder(a.dtype, [None, None, a.shape[-1]]): a for a in arrays
            }
            result = build(*feeds)
            return result.shape.as_list(), session.run(result, feeds)

    return run


@pytest.fixture
def run_seeds():
    """run_seeds(build, image, count): build(image, seed) for `count` seeds, stacked; built once."""

    def run_seeds(build, image, count):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            pixels = tf.compat.v1.placeholder(image.dtype, [None, None, image.shape[-1]])
            seed = tf.compat.v1.placeholder(tf.int32, [2])
            result = build(pixels, seed)
            return np.stack(
                [session.run(result, {pixels: image, seed: [n, 0]}) for n in range(count)]
            )

    return run_seeds


@pytest.fixture
def preprocess(run):
    """preprocess(name, image, height, width, ...): static shape and value of a factory row."""

    def preprocess(name, image, height, width, is_training=False, use_grayscale=False, **kwargs):
        fn = preprocessing_factory.get_preprocessing(name, is_training, use_grayscale)
        return run(lambda tensor: fn(tensor, height, width, **kwargs), image)

    return preprocess
