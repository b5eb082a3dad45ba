"""What holds for every preprocessing, and what each one is for."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import (
    cifarnet_preprocessing,
    inception_preprocessing,
    lenet_preprocessing,
    preprocessing_factory,
    vgg_preprocessing,
)
from slim.errors import UsageError

_NAMES = ('inception', 'vgg', 'cifarnet', 'lenet', 'digits')
_RANDOM = ('inception', 'vgg', 'cifarnet', 'digits')
_GRAY_WEIGHTS = np.float32([0.2989, 0.5870, 0.1140])


@pytest.mark.parametrize('is_training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('name', _NAMES)
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('use_grayscale', [False, True], ids=['as_is', 'gray'])
def test_shape_is_static_and_not_square(
    preprocess, photo, name, is_training, channels, use_grayscale
):
    shape, result = preprocess(
        name, photo[:, :, :channels], 24, 40, is_training, use_grayscale=use_grayscale
    )
    assert shape == [24, 40, 1 if use_grayscale else channels]
    assert result.shape == tuple(shape)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert result.std() > 0.05


@pytest.mark.parametrize('name', _RANDOM)
def test_seed_determines_the_pixels(preprocess, photo, name):
    view = functools.partial(preprocess, name, photo, 32, 32, True)
    _, first = view(seed=[3, 4])
    _, again = view(seed=[3, 4])
    _, other = view(seed=[4, 4])
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05


@pytest.mark.parametrize('name', _RANDOM)
def test_without_a_seed_views_differ(photo, name):
    fn = preprocessing_factory.get_preprocessing(name, is_training=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        view = fn(tf.constant(photo), 32, 32)
        first, second = session.run(view), session.run(view)
    assert np.abs(first - second).max() > 0.05


@pytest.mark.parametrize('name', _RANDOM)
def test_views_inside_tf_data_depend_on_the_seed_alone(photo, name):
    """In parallel calls and from any place in the stream: what an exact resume needs."""
    fn = preprocessing_factory.get_preprocessing(name, is_training=True)

    def views(start, parallel_calls):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            numbers = tf.data.Dataset.range(start, 6)
            batch = numbers.map(
                lambda number: fn(tf.constant(photo), 16, 16, seed=tf.stack([7, number])),
                num_parallel_calls=parallel_calls,
            ).batch(6)
            return session.run(tf.compat.v1.data.make_one_shot_iterator(batch).get_next())

    whole = views(0, 4)
    np.testing.assert_array_equal(views(2, 1), whole[2:])
    assert len({view.tobytes() for view in whole}) == 6


@pytest.mark.parametrize('name', ['inception', 'digits'])
@pytest.mark.parametrize('is_training', [False, True], ids=['eval', 'train'])
def test_float_images_from_0_to_1_do_as_well(preprocess, photo, name, is_training):
    """The same pixels as from bytes."""
    _, from_bytes = preprocess(name, photo, 32, 32, is_training, seed=[1, 2])
    floats = (photo / 255).astype(np.float32)
    _, from_floats = preprocess(name, floats, 32, 32, is_training, seed=[1, 2])
    np.testing.assert_allclose(from_bytes, from_floats, atol=1e-5)


@pytest.mark.parametrize('name', ['inception', 'cifarnet'])
def test_no_summaries_inside_tf_data_but_in_a_plain_graph(photo, name, monkeypatch):
    made = []
    image_summary = tf.compat.v1.summary.image

    def spy(*args, **kwargs):
        made.append(image_summary(*args, **kwargs))

    monkeypatch.setattr(tf.compat.v1.summary, 'image', spy)
    fn = preprocessing_factory.get_preprocessing(name, is_training=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.data.Dataset.from_tensors(photo).map(lambda image: fn(image, 32, 32))
        assert made == []
        fn(tf.constant(photo), 32, 32, add_image_summaries=False)
        assert made == []
        fn(tf.constant(photo), 32, 32)
        assert len(made) >= 2
        session.run(made)


# Inception.


def test_inception_grayscale_is_the_luminance(preprocess, photo):
    _, colour = preprocess('inception', photo, 30, 50)
    _, gray = preprocess('inception', photo, 30, 50, use_grayscale=True)
    luminance = ((colour / 2 + 0.5) @ _GRAY_WEIGHTS)[..., np.newaxis]
    np.testing.assert_allclose(gray, luminance * 2 - 1, atol=1e-5)


@pytest.mark.parametrize('fast_mode', [True, False], ids=['fast', 'slow'])
@pytest.mark.parametrize('channels', [1, 3])
def test_inception_training_stays_in_range_and_varies(run_seeds, photo, fast_mode, channels):
    def build(image, seed):
        return inception_preprocessing.preprocess_for_train(
            image, 16, 16, None, fast_mode, seed=seed
        )

    views = run_seeds(build, photo[:, :, :channels], 12)
    assert views.min() >= -1 and views.max() <= 1
    assert len({view.tobytes() for view in views}) == 12


def test_inception_fast_training_is_a_bilinear_view_flipped_or_brighter(run, run_seeds):
    """Without crop and colours, what is left of the distortions is a flip and one brightness."""
    image = np.random.RandomState(0).randint(100, 150, [30, 44, 1]).astype(np.uint8)

    def build(image, seed):
        return inception_preprocessing.preprocess_for_train(
            image, 16, 20, None, random_crop=False, seed=seed
        )

    _, plain = run(
        lambda x: inception_preprocessing.preprocess_for_eval(x, 16, 20, central_crop=False), image
    )
    flips = set()
    for view in run_seeds(build, image, 12):
        flip = np.ptp(view - plain) > np.ptp(view - plain[:, ::-1])
        difference = view - (plain[:, ::-1] if flip else plain)
        assert np.ptp(difference) < 1e-5
        assert abs(difference.mean()) <= 2 * 32 / 255
        flips.add(bool(flip))
    assert flips == {True, False}


def test_inception_evaluation_can_keep_size_and_border(run, photo):
    def build(image):
        return inception_preprocessing.preprocess_for_eval(image, None, None, central_crop=False)

    _, result = run(build, photo)
    np.testing.assert_allclose(result, photo / 127.5 - 1, atol=1e-5)


def test_crop_lies_in_the_image_and_covers_the_box(run_seeds, photo):
    box = np.float32([[[0.5, 0.25, 0.9, 0.75]]])

    def build(image, seed):
        crop, crop_box = inception_preprocessing.distorted_bounding_box_crop(
            image, tf.constant(box), min_object_covered=0.5, seed=seed
        )
        return tf.concat([crop_box[0, 0], tf.cast(tf.shape(crop), tf.float32)], axis=0)

    top, left, bottom, right, height, width, channels = run_seeds(build, photo, 20).T
    assert (channels == 3).all()
    assert top.min() >= 0 and left.min() >= 0 and bottom.max() <= 1 and right.max() <= 1
    np.testing.assert_allclose((bottom - top) * 60, height, atol=1e-3)
    np.testing.assert_allclose((right - left) * 80, width, atol=1e-3)
    # A side is a whole number of pixels, so the ratio may miss 0.75 .. 1.33 by one.
    assert (width + 1 >= 0.75 * height).all() and (width - 1 <= 1.33 * height).all()
    covered_y = np.minimum(bottom, 0.9) - np.maximum(top, 0.5)
    covered_x = np.minimum(right, 0.75) - np.maximum(left, 0.25)
    covered = covered_y.clip(0) * covered_x.clip(0) / (0.4 * 0.5)
    assert covered.min() > 0.45  # whole pixels
    assert len(np.unique(top)) > 5


def test_records_without_boxes_use_the_whole_image(run, photo):
    """float32 [1, 0, 4], what a record without boxes parses to."""

    def build(image, bbox):
        return inception_preprocessing.preprocess_for_train(image, 16, 16, bbox, seed=[1, 1])

    _, whole = run(functools.partial(build, bbox=None), photo)
    _, none = run(lambda image: build(image, tf.zeros([1, 0, 4])), photo)
    np.testing.assert_array_equal(whole, none)


@pytest.mark.parametrize('ordering', range(4))
def test_colour_orderings_differ(run, photo, ordering):
    def build(image):
        return tf.stack(
            [
                inception_preprocessing.distort_color(image, order, False, seed=[1, 4])
                for order in range(4)
            ]
        )

    _, results = run(build, (photo / 255).astype(np.float32))
    assert results.min() >= 0 and results.max() <= 1
    others = [other for number, other in enumerate(results) if number != ordering]
    assert all(np.abs(results[ordering] - other).max() > 1e-3 for other in others)


def test_colour_ordering_out_of_range_is_an_error():
    with pytest.raises(UsageError, match='color_ordering must be 0 to 3: 4'):
        inception_preprocessing.distort_color(tf.zeros([2, 2, 3]), 4, fast_mode=False)


def test_selector_computes_the_drawn_case_only(run_seeds):
    computed = []

    def count(x, case):
        return tf.numpy_function(lambda x: (computed.append(case), x)[1], [x], x.dtype)

    def build(image, seed):
        return inception_preprocessing.apply_with_random_selector(image, count, 3, seed=seed)

    run_seeds(build, np.ones([1, 1, 1], np.float32), 30)
    assert len(computed) == 30
    assert set(computed) == {0, 1, 2}


# VGG.


@pytest.mark.parametrize(
    ('size', 'side'), [(64, 256), (224, 256), (256, 293), (299, 342), (448, 512)]
)
def test_vgg_side_follows_the_output(run, size, side):
    """256 up to the published output, in proportion above."""
    image = np.random.RandomState(0).randint(0, 256, [100, 130, 3], np.uint8)
    _, found = run(lambda x: vgg_preprocessing.preprocess_image(x, size, size), image)
    _, given = run(lambda x: vgg_preprocessing.preprocess_for_eval(x, size, size, side), image)
    np.testing.assert_array_equal(found, given)


def test_vgg_takes_a_given_side_as_it_is(run, photo):
    _, result = run(
        lambda x: vgg_preprocessing.preprocess_image(x, 60, 60, resize_side_min=60), photo
    )
    np.testing.assert_allclose(
        result, photo[:, 10:70] - np.float32([123.68, 116.78, 103.94]), atol=1e-4
    )


@pytest.mark.parametrize('size', [224, 320])
def test_vgg_training_fits_any_output(preprocess, photo, size):
    shape, result = preprocess('vgg_16', photo, size, size, True, seed=[1, 1])
    assert result.shape == (size, size, 3)
    assert shape == [size, size, 3]


def test_vgg_training_crops_reach_every_corner(run_seeds, photo):
    def build(image, seed):
        return vgg_preprocessing.preprocess_for_train(image, 58, 78, 60, 60, seed=seed)[0, 0]

    corners = run_seeds(build, photo, 200) + np.float32([123.68, 116.78, 103.94])
    columns, rows = np.rint(corners[:, 0] / 3).astype(int), np.rint(corners[:, 1] / 4).astype(int)
    assert set(rows) == {0, 1, 2}
    assert set(columns) == {0, 1, 2, 77, 78, 79}  # the latter flipped


def test_vgg_grayscale_is_the_luminance_of_the_colour_result(preprocess, photo):
    _, colour = preprocess('vgg', photo, 32, 48)
    _, gray = preprocess('vgg', photo, 32, 48, use_grayscale=True)
    np.testing.assert_allclose(gray[..., 0], colour @ _GRAY_WEIGHTS, atol=1e-2)


@pytest.mark.parametrize('is_training', [False, True], ids=['eval', 'train'])
def test_vgg_side_below_the_output_is_an_error(preprocess, photo, is_training):
    with pytest.raises(UsageError, match=r'side of 20 pixels .* at least 32'):
        preprocess('vgg', photo, 32, 32, is_training, resize_side_min=20)


def test_vgg_crop_outside_the_image_fails(run, photo):
    """A side that would do for a wide image does not for a tall one; no silent padding."""
    tall = photo.transpose(1, 0, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match='smaller than the crop'):
        run(lambda x: vgg_preprocessing.preprocess_for_eval(x, 30, 50, 40), tall)


def test_vgg_sides_in_the_wrong_order_are_an_error(preprocess, photo):
    with pytest.raises(UsageError, match='resize_side_min 300 is above resize_side_max 280'):
        preprocess('vgg', photo, 32, 32, True, resize_side_min=300, resize_side_max=280)


# CIFAR and LeNet.


@pytest.mark.parametrize('name', ['cifarnet', 'lenet'])
def test_height_and_width_are_not_swapped(preprocess, photo, name):
    """The centre of the image, as high and as wide as asked for."""
    shape, result = preprocess(name, photo, 20, 40)
    assert shape == [20, 40, 3]
    centre = photo[20:40, 20:60].astype(np.float32)
    expected = (centre - 128) / 128 if name == 'lenet' else (centre - centre.mean()) / centre.std()
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_cifarnet_results_are_standardized(preprocess, photo):
    for is_training in (False, True):
        _, result = preprocess('cifarnet', photo, 32, 32, is_training)
        assert abs(result.mean()) < 1e-4
        assert abs(result.std() - 1) < 1e-3


def test_cifarnet_pads_small_images_up_to_the_output(run):
    image = np.full([10, 12, 3], 200, np.uint8)
    _, view = run(
        lambda x: cifarnet_preprocessing.preprocess_for_train(x, 32, 32, padding=0, seed=[1, 1]),
        image,
    )
    assert (view > 0).sum() == 10 * 12 * 3


def test_cifarnet_moves_by_the_padding_at_most(run_seeds):
    image = np.zeros([16, 16, 1], np.uint8)
    image[8, 8] = 255

    def build(x, seed):
        return cifarnet_preprocessing.preprocess_for_train(x, 16, 16, padding=2, seed=seed)

    places = {np.unravel_index(view.argmax(), (16, 16)) for view in run_seeds(build, image, 60)}
    # Shifted by -2 .. 2; flipped, column 8 is column 7.
    assert {row for row, _ in places} == {6, 7, 8, 9, 10}
    assert {column for _, column in places} == {5, 6, 7, 8, 9, 10}


def test_lenet_is_the_same_in_training(run, photo):
    _, trained = run(lambda x: lenet_preprocessing.preprocess_image(x, 28, 28, True), photo)
    _, evaluated = run(lambda x: lenet_preprocessing.preprocess_image(x, 28, 28, False), photo)
    np.testing.assert_array_equal(trained, evaluated)


# Digits.


def test_digits_evaluation_is_a_plain_resize(preprocess, photo):
    _, result = preprocess('digits', photo, 60, 80)
    np.testing.assert_allclose(result, photo / 127.5 - 1, atol=1e-5)


def test_digits_training_moves_a_little_and_never_mirrors(run_seeds):
    """The heavier half of a lopsided figure stays on its side, most of its ink in the picture."""
    image = np.zeros([32, 32, 1], np.uint8)
    image[8:24, 6:14] = 255
    image[18:24, 14:22] = 255

    def build(x, seed):
        fn = preprocessing_factory.get_preprocessing('digits', is_training=True)
        return fn(x, 32, 32, seed=seed)

    views = run_seeds(build, image, 40)
    assert views.min() >= -1 and views.max() <= 1
    ink = (views[..., 0] + 1) / 2
    assert (ink[:, :, :16].sum((1, 2)) > ink[:, :, 16:].sum((1, 2))).all()
    amounts = ink.sum((1, 2)) / (image.sum() / 255)
    assert amounts.min() > 0.5 and amounts.max() < 1.4
    for axis in (1, 2):
        places = (ink.sum(axis) * np.arange(32)).sum(1) / ink.sum((1, 2))
        assert 2 < np.ptp(places) < 5  # pixels; 0.06 of the side to and fro, and the scale


def test_vgg_draws_both_ends_of_the_range_of_sides():
    """32 leaves an image of that side as it is, 33 does not."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        image = tf.constant(np.arange(32.0 * 32 * 3, dtype=np.float32).reshape(32, 32, 3))

        def view(seed):
            return vgg_preprocessing.preprocess_for_train(image, 32, 32, 32, 33, seed=seed)

        seeds = tf.stack([tf.range(40), tf.zeros(40, tf.int32)], axis=1)
        views = session.run(tf.map_fn(view, seeds, fn_output_signature=tf.float32))
        expected = session.run(vgg_preprocessing.preprocess_for_eval(image, 32, 32, 32))
    same = [
        any(np.allclose(got, whole, atol=1e-3) for whole in (expected, expected[:, ::-1]))
        for got in views
    ]
    assert 10 < sum(same) < 30
