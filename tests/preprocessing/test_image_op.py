"""The compiled image operation: TensorFlow's numbers, bad input refused, built and found again."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import image_op, inception_preprocessing, preprocessing_factory
from slim.errors import OutputError

ROOT = pathlib.Path(__file__).parents[2]
SIGNED_UNIT = 2.0 / 255.0
# Height, width of the image and of the result: larger, smaller, not square, single pixels.
SIZES = [
    ((31, 47), (24, 24)),
    ((31, 47), (96, 64)),
    ((224, 224), (224, 224)),
    ((500, 375), (64, 96)),
    ((1, 1), (5, 7)),
    ((1, 90), (17, 33)),
    ((90, 1), (17, 33)),
    ((2, 2), (1, 1)),
    ((13, 700), (3, 299)),
]


@pytest.fixture(scope='module')
def op():
    loaded = image_op.load()
    assert loaded, f'not built here; `make setup` or `{image_op.BUILD_COMMAND}` does it'
    return loaded


def noise(size, number=0):
    return np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)


def resized(image, size):
    floats = tf.cast(image, tf.float32)[tf.newaxis]
    return tf.raw_ops.ResizeBilinear(images=floats, size=list(size))[0].numpy()


@pytest.mark.parametrize(('size', 'wanted'), SIZES)
def test_it_resizes_like_tensorflow(op, size, wanted):
    image = noise(size)
    expected = resized(image, wanted)
    view = op(image, *wanted)
    assert view.dtype == tf.float32
    assert view.shape == (*wanted, 3)
    np.testing.assert_allclose(view, expected, rtol=0, atol=1e-4)
    mirrored = op(image, *wanted, mirrored=True)
    np.testing.assert_array_equal(mirrored, view[:, ::-1])
    scaled = op(image, *wanted, scale=0.5, offset=[-1.0, 2.0, 3.0])
    np.testing.assert_allclose(scaled, 0.5 * expected + [-1.0, 2.0, 3.0], rtol=0, atol=1e-4)


EXTREMES = {
    'black': [0, 0, 0],
    'white': [255, 255, 255],
    'gray': [90, 90, 90],
    'red': [255, 0, 0],
    'dark blue': [0, 0, 1],
    'almost gray': [90, 91, 90],
}


@pytest.mark.parametrize('draws', [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
@pytest.mark.parametrize('image', ['noise', *EXTREMES])
def test_it_changes_colours_like_the_loop_of_xla(op, image, draws):
    pixels = noise((20, 30)) if image == 'noise' else np.uint8([[EXTREMES[image]] * 30] * 20)
    for flip in (0.2, 0.8):
        five = tf.constant([flip, *draws, 0.0, 0.0])
        view = inception_preprocessing._distort_in_one_pass(pixels, 24, 36, five, op)
        expected = inception_preprocessing._distort_fast(resized(pixels, (24, 36)), five)
        np.testing.assert_allclose(view, expected, rtol=0, atol=2e-6)
        assert np.abs(view).max() <= 1


def test_it_changes_colours_like_tensorflows_single_steps(op):
    image = noise((20, 30))
    for brightness, saturation in [(0.1, 1.4), (-0.1, 1.4), (0.12, 0.5), (-0.12, 1.0)]:
        view = op(image, 24, 36, colours=tf.constant([brightness, saturation]))
        step = tf.image.adjust_brightness(resized(image, (24, 36)) / 255, brightness)
        # In HSV a channel below zero has no saturation that means anything.
        expected = tf.image.adjust_saturation(tf.maximum(step, 0.0), saturation)
        difference = np.abs(view / 255 - tf.clip_by_value(expected, 0.0, 1.0))
        below = np.any(np.asarray(step) < 0, axis=-1)
        assert difference[~below].max() < 1e-5
        assert below.any() == (brightness < 0)


def test_colours_that_change_nothing_change_nothing(op):
    image = noise((20, 30))
    changed = op(image, 24, 36, colours=tf.constant([0.0, 1.0]))
    np.testing.assert_allclose(changed, op(image, 24, 36), rtol=0, atol=1e-4)


def test_a_grid_samples_where_it_says_and_the_edge_goes_on_outside(op):
    """Against interpolation by numpy, one axis after the other."""
    image = noise((9, 12))
    for top, left, down, across in [
        (0.0, 0.0, 1.0, 1.0),
        (2.25, 3.5, 0.3, 0.4),
        (-5.0, -7.5, 1.5, 2.0),
        (7.9, 10.9, 0.5, 0.5),
        (1e9, -1e9, 1.0, 1.0),
        (8.0, 11.0, -0.5, -0.25),
    ]:
        rows = np.float32(top) + np.arange(10, dtype=np.float32) * np.float32(down)
        columns = np.float32(left) + np.arange(14, dtype=np.float32) * np.float32(across)
        wide = np.stack(
            [
                [np.interp(columns, np.arange(12), row[:, channel]) for channel in range(3)]
                for row in image.astype(np.float64)
            ]
        )
        expected = np.stack(
            [
                [np.interp(rows, np.arange(9), wide[:, channel, x]) for x in range(14)]
                for channel in range(3)
            ]
        )
        view = op(image, 10, 14, grid=tf.constant([top, left, down, across]))
        np.testing.assert_allclose(view, expected.transpose(2, 1, 0), rtol=0, atol=2e-4)


def test_a_grid_as_large_as_floats_are_stays_on_the_edge(op):
    image = noise((9, 12))
    grid = tf.constant([3e38, -3e38, 3e38, -3e38])
    np.testing.assert_array_equal(op(image, 3, 3, grid=grid), np.tile(image[8, 0], (3, 3, 1)))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'image': np.zeros((4, 4), np.uint8)}, r'image must have the shape \[h, w, 3\]'),
        ({'image': np.zeros((4, 4, 1), np.uint8)}, r'image must have the shape \[h, w, 3\]'),
        ({'image': np.zeros((1, 4, 4, 3), np.uint8)}, r'image must have the shape \[h, w, 3\]'),
        ({'image': np.zeros((0, 4, 3), np.uint8)}, 'a pixel at least'),
        ({'grid': np.float32([0, 0, 1])}, 'grid must have four numbers'),
        ({'grid': np.float32([0, 0, 1, np.nan])}, 'grid has numbers that are not finite'),
        ({'grid': np.float32([np.inf, 0, 1, 1])}, 'grid has numbers that are not finite'),
        ({'colours': np.float32([0.1])}, 'colours must have two numbers'),
        ({'colours': np.float32([0.1, -np.inf])}, 'colours has numbers that are not finite'),
        ({'mirrored': np.array([True, False])}, 'mirrored must be a scalar'),
        ({'offset': [0.0, 0.0]}, 'offset has one number per channel'),
        ({'height': 0}, 'height'),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else next(iter(value)),
)
def test_bad_input_is_refused(op, arguments, message):
    usual = {'image': noise((4, 4)), 'height': 2, 'width': 2}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        op(**{**usual, **arguments})


def test_many_threads_compute_the_same(op):
    images = tf.constant(np.stack([noise((40, 50), number) for number in range(200)]))
    colours = tf.constant([0.1, 1.3])

    def view(image):
        return op(image, 32, 32, colours=colours)

    pipeline = tf.data.Dataset.from_tensor_slices(images).map(view, num_parallel_calls=8)
    for image, found in zip(images, pipeline, strict=True):
        np.testing.assert_array_equal(found, view(image))


@pytest.mark.parametrize(
    ('name', 'fused', 'wanted', 'found'),
    [
        ('mobilenet_v2', True, True, True),
        ('resnet_v1_50', True, True, True),
        ('cifarnet', True, True, False),
        ('mobilenet_v2', False, True, False),
        ('mobilenet_v2', True, False, False),
        ('no such name', True, True, False),
    ],
)
def test_it_is_taken_where_it_has_a_use(op, name, fused, wanted, found):
    custom_op, note = preprocessing_factory.find_custom_op(name, fused, wanted)
    assert (custom_op is not None) == found
    assert note == ('images by the compiled operation' if found else '')


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An environment in which nothing has been built."""
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'env'))
    (tmp_path / 'env').mkdir()
    return tmp_path / 'env'


def test_where_it_is_not_built_the_note_has_the_command(elsewhere):
    assert preprocessing_factory.find_custom_op('mobilenet_v2', True, True) == (
        None,
        "images by TensorFlow's operations; python3 -m preprocessing.image_op builds a faster one",
    )


@pytest.mark.slow
def test_it_is_built_into_the_environment_and_found_there(elsewhere):
    library = image_op.build()
    assert list(elsewhere.rglob('*.so')) == [library]
    assert [path.name for path in library.parent.iterdir()] == [library.name]
    loading = (
        'import sys; sys.prefix = sys.argv[1]\n'
        'from preprocessing import image_op; import numpy as np\n'
        'print(image_op.load()(np.full([3, 3, 3], 7, np.uint8), 1, 2).numpy().tolist())'
    )
    done = subprocess.run(
        [sys.executable, '-c', loading, str(elsewhere)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == '[[[7.0, 7.0, 7.0], [7.0, 7.0, 7.0]]]\n', done.stderr


def test_a_changed_source_is_not_served_by_an_old_library(elsewhere, monkeypatch, tmp_path):
    image_op.build()
    changed = tmp_path / 'image_op.cc'
    changed.write_bytes(image_op.SOURCE.read_bytes() + b'\n')
    monkeypatch.setattr(image_op, 'SOURCE', changed)
    assert image_op.load() is None


def test_a_library_that_does_not_load_is_named(elsewhere):
    library = image_op.build()
    library.write_bytes(b'nothing')
    with pytest.raises(image_op.BuildError, match=r'does not load.*--nocustom_image_op') as failure:
        image_op.load()
    assert str(library) in str(failure.value)


@pytest.mark.parametrize(
    ('environ', 'message'),
    [
        ({'PATH': '/nowhere'}, r'no C\+\+ compiler \(c\+\+, g\+\+, clang\+\+\) found'),
        ({'CXX': 'no-such-compiler'}, r'no C\+\+ compiler \(no-such-compiler\) found.*CXX='),
        ({'CXX': 'false --flag'}, 'false --flag -std=.* failed'),
    ],
    ids=['none', 'unknown', 'fails'],
)
def test_a_compiler_that_is_missing_or_fails_is_named(elsewhere, environ, message):
    with pytest.raises(image_op.BuildError, match=message):
        image_op.build({'PATH': os.environ['PATH'], **environ})
    assert not list(elsewhere.rglob('*.so'))


def test_an_environment_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'file'))
    with pytest.raises(OutputError, match=r'cannot write into .*file/lib'):
        image_op.build()


def test_without_an_environment_the_users_folder_serves(monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'file'))
    monkeypatch.setattr(sys, 'base_prefix', str(tmp_path / 'file'))
    monkeypatch.setattr('site.getuserbase', lambda: str(tmp_path / 'user'))
    assert image_op.build().is_relative_to(tmp_path / 'user')
