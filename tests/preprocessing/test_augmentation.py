from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import augmentation, preprocessing_factory
from slim.errors import UsageError


def decode(encoded):
    return tf.io.decode_png(encoded, channels=3)


@pytest.mark.parametrize('strength', [-1.0, -0.4, 0.7, 1.0])
@pytest.mark.parametrize('name', augmentation.OPERATIONS)
def test_every_operation_keeps_the_shape_and_changes_what_it_should(run, photo, name, strength):
    def build(image):
        return augmentation.OPERATIONS[name](tf.cast(image, tf.float32), tf.constant(strength))

    _, changed = run(build, photo)
    assert changed.shape == photo.shape
    assert np.isfinite(changed).all()
    assert (np.abs(changed - photo).max() < 2) == (name == 'identity')


@pytest.mark.parametrize(
    'name',
    sorted({*augmentation.OPERATIONS} - {'auto_contrast', 'equalize'}),
)
def test_strength_0_changes_nothing(run, photo, name):
    def build(image):
        return augmentation.OPERATIONS[name](tf.cast(image, tf.float32), tf.constant(0.0))

    _, changed = run(build, photo)
    np.testing.assert_allclose(changed, photo, atol=1e-3)


def test_translation_and_rotation_move_the_image(run):
    image = np.zeros([40, 40, 3], np.uint8)
    image[20, 20] = 255

    def place(name, strength):
        def build(pixels):
            return augmentation.OPERATIONS[name](tf.cast(pixels, tf.float32), strength)

        _, changed = run(build, image)
        return np.argwhere(changed[..., 0] == 255)[0].tolist()

    assert place('translate_x', 0.5) == [20, 11]  # 0.5 * 0.45 * 40 pixels
    assert place('translate_y', -0.5) == [29, 20]
    assert place('rotate', 0.5) == [20, 20]


def test_equalize_makes_values_equally_frequent(run):
    image = np.repeat(np.arange(100, 110, dtype=np.uint8), 30).reshape(20, 15, 1).repeat(3, 2)
    _, changed = run(
        lambda x: augmentation.OPERATIONS['equalize'](tf.cast(x, tf.float32), tf.constant(1.0)),
        image,
    )
    values = np.unique(changed)
    np.testing.assert_allclose(values, np.linspace(0, 255, 10), atol=1)


def test_rand_augment_is_a_function_of_the_seed(run_seeds, photo):
    augment = augmentation.rand_augment(2, 9)
    views = run_seeds(lambda image, seed: augment(image, seed), photo, 24)
    again = run_seeds(lambda image, seed: augment(image, seed), photo, 24)
    assert views.dtype == np.uint8
    np.testing.assert_array_equal(views, again)
    assert len({view.tobytes() for view in views}) > 15


def test_images_of_one_channel_are_refused(photo):
    with pytest.raises(UsageError, match='three channels'):
        augmentation.rand_augment(1, 5)(tf.constant(photo[..., :1]), tf.constant([1, 2]))


def test_no_layers_are_no_augmentation():
    assert augmentation.rand_augment(0, 9) is None


@pytest.mark.parametrize(
    'name', [pytest.param('inception', marks=pytest.mark.slow), 'vgg', 'cifarnet']
)
def test_rand_augment_inside_the_preprocessings(photo, name):
    encoded = tf.io.encode_png(photo)
    plain, augmented = (
        preprocessing_factory.get_encoded_preprocessing(
            name, decode, is_training=True, augment=augment
        )
        for augment in (None, augmentation.rand_augment(1, 10))
    )
    first, second = (
        list(
            tf.data.Dataset.range(6)
            .map(lambda n, fn=fn: fn(encoded, 48, 48, seed=tf.stack([3, n])))
            .as_numpy_iterator()
        )
        for fn in (plain, augmented)
    )
    assert [view.shape for view in second] == 6 * [(48, 48, 3)]
    assert max(np.abs(a - b).mean() for a, b in zip(first, second, strict=True)) > 0.1


def test_erasing_takes_a_rectangle_of_2_to_33_percent(run_seeds):
    image = np.ones([60, 80, 3], np.float32)

    def build(x, seed):
        return augmentation.random_erasing(tf.ensure_shape(x, [60, 80, 3]), 0.5, seed)

    views = run_seeds(build, image, 200)
    shares = 1 - views.mean((1, 2, 3))
    erased = shares[shares > 0]
    assert 70 < len(erased) < 130
    assert erased.min() > 0.01 and erased.max() < 0.36
    for view in views[shares > 0]:
        rows = np.flatnonzero((view[..., 0] == 0).any(1))
        columns = np.flatnonzero((view[..., 0] == 0).any(0))
        block = view[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (block == 0).all()


def test_erasing_with_probability_0_is_no_wrapper():
    def preprocess():
        raise AssertionError

    assert augmentation.with_erasing(preprocess, 0.0) is preprocess
