"""Mixup and CutMix by numbers: the labels are the shares of the pictures."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from runtime import options
from runtime.input import mixing
from slim import errors

CLASSES = 4


def chosen(**values):
    defaults = {
        field.name: field.default for field in dataclasses.fields(options.AugmentationOptions)
    }
    return options.AugmentationOptions(**{**defaults, **values})


def mixed(number, **values):
    """A batch of two: zeros of class 0, ones of class 3."""
    mix = mixing.mixer(chosen(**values), CLASSES, seed=7)
    images = tf.stack([tf.zeros([20, 30, 3]), tf.ones([20, 30, 3])])
    mixed_images, labels = mix(tf.constant(number, tf.int64), images, tf.constant([0, 3], tf.int64))
    return mixed_images.numpy(), labels.numpy()


@pytest.mark.parametrize('way', ['mixup_alpha', 'cutmix_alpha'])
def test_labels_are_the_shares_of_the_pictures(way):
    shares = []
    for number in range(40):
        images, labels = mixed(number, **{way: 1.0})
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)
        np.testing.assert_allclose(labels[:, 3], images.mean((1, 2, 3)), atol=1e-5)
        np.testing.assert_allclose(labels[0, 3], labels[1, 0], atol=1e-5)
        values = np.unique(images)
        assert way == 'mixup_alpha' or set(values) <= {0.0, 1.0}
        shares.append(labels[0, 0])
    assert 0.3 < np.mean(shares) < 0.8
    assert np.ptp(shares) > 0.6


def test_a_batch_is_mixed_as_its_number_says():
    first, again, other = (mixed(number, mixup_alpha=0.4)[1] for number in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_with_both_ways_each_is_taken():
    cut = [
        set(np.unique(mixed(n, mixup_alpha=1.0, cutmix_alpha=1.0)[0])) <= {0.0, 1.0}
        for n in range(30)
    ]
    assert 5 < sum(cut) < 25


def test_neither_is_no_mixing():
    assert mixing.mixer(chosen(), CLASSES, 1) is None


def test_one_image_has_no_partner():
    mixing.check(chosen(mixup_alpha=0.2), 2)
    mixing.check(chosen(), 1)
    with pytest.raises(errors.UsageError, match='--batch_size=1'):
        mixing.check(chosen(cutmix_alpha=0.2), 1)
