"""Pictures and their boxes go through shift, mirror and resize together."""

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import detection_preprocessing, image_op

HEIGHT, WIDTH = 40, 120
SIZE = (50, 90)  # of the picture
BOXES = np.array([[20.0, 10.0, 40.0, 30.0], [50.0, 20.0, 60.0, 24.0]], np.float32)


def picture(boxes=BOXES):
    """Black, with white boxes."""
    image = np.zeros((*SIZE, 3), np.uint8)
    for left, top, right, bottom in boxes.astype(int):
        image[top:bottom, left:right] = 255
    return image


def function(custom_op, max_shift=detection_preprocessing.MAX_SHIFT):
    @tf.function
    def one(image, boxes, seed):
        return detection_preprocessing.preprocess_for_train(
            image, boxes, HEIGHT, WIDTH, seed, custom_op, max_shift
        )

    return lambda seed, boxes=BOXES: [
        tensor.numpy() for tensor in one(picture(boxes), boxes, tf.constant([7, seed]))
    ]


@pytest.fixture(scope='module')
def views():
    """Twenty views by TensorFlow's operations, and the function."""
    train = function(None)
    return [train(seed) for seed in range(20)], train


def bright(image):
    """Where the white boxes are, whatever the colours have become."""
    gray = image.mean(axis=-1)
    return gray > (gray.min() + gray.max()) / 2


def test_boxes_stay_on_their_objects(views):
    for image, boxes in views[0]:
        assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.float32
        assert image.min() >= -1.0 and image.max() <= 1.0
        assert boxes.min() >= 0 and (boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
        expected = np.zeros((HEIGHT, WIDTH), bool)
        for left, top, right, bottom in boxes:
            expected[round(top) : round(bottom), round(left) : round(right)] = True
        # Edges between two pixels may fall to either side.
        wrong = bright(image) != expected
        assert wrong.sum() <= 0.12 * expected.sum()


def test_what_is_drawn(views):
    sizes = [boxes[:, 2:] - boxes[:, :2] for _, boxes in views[0]]
    for size in sizes:  # No shift cuts a box.
        np.testing.assert_allclose(size, [[20 / 90 * WIDTH, 16], [10 / 90 * WIDTH, 3.2]], rtol=1e-5)
    mirrored = [boxes[0, 0] > boxes[1, 0] for _, boxes in views[0]]
    assert 4 < sum(mirrored) < 16
    assert len({tuple(boxes.ravel().round(3)) for _, boxes in views[0]}) > 15
    assert len({round(float(image.max()), 4) for image, _ in views[0]}) > 3
    again = views[1](3)
    np.testing.assert_array_equal(again[0], views[0][3][0])
    np.testing.assert_array_equal(again[1], views[0][3][1])


def test_an_object_at_the_edge_keeps_the_edge(views):
    boxes = np.array([[0.0, 10.0, 20.0, 30.0], [60.0, 5.0, 90.0, 40.0]], np.float32)
    for seed in range(6):
        found = views[1](seed, boxes)[1]
        assert found[:, 0].min() == 0 and found[:, 2].max() == pytest.approx(WIDTH)
        left = views[1](seed, boxes[:1])[1][0]
        assert left[0] == 0 or left[2] == pytest.approx(WIDTH)
    outside = views[1](1, np.array([[-5.0, 10.0, 95.0, 49.5]], np.float32))[1]
    assert outside[0, [0, 2]] == pytest.approx([0, WIDTH])


def test_no_objects(views):
    image, boxes = views[1](5, np.zeros([0, 4], np.float32))
    assert boxes.shape == (0, 4) and np.isfinite(image).all()


def test_the_compiled_operation_gives_the_same(views):
    custom_op = image_op.load()
    if custom_op is None:
        pytest.skip(f'not built: {image_op.BUILD_COMMAND}')
    compiled = function(custom_op)
    for seed, (image, boxes) in enumerate(views[0][:6]):
        other = compiled(seed)
        np.testing.assert_allclose(other[0], image, atol=2e-5)
        np.testing.assert_array_equal(other[1], boxes)
    whole = [
        detection_preprocessing.preprocess_for_eval(picture(), HEIGHT, WIDTH, op).numpy()
        for op in (custom_op, None)
    ]
    np.testing.assert_allclose(*whole, atol=2e-5)


def test_evaluation_only_resizes_and_has_an_inverse():
    image = detection_preprocessing.preprocess_for_eval(picture(), HEIGHT, WIDTH).numpy()
    boxes = detection_preprocessing.to_frame(BOXES, np.array(SIZE, np.float32), HEIGHT, WIDTH)
    assert boxes[0].numpy() == pytest.approx([20 * 4 / 3, 8, 40 * 4 / 3, 24])
    left, top, right, bottom = np.rint(boxes[0]).astype(int)
    assert image[top + 1 : bottom - 1, left + 1 : right - 1].min() == 1.0
    assert image[:, : left - 1].max() == -1.0
    same = detection_preprocessing.preprocess_for_eval(picture(), *SIZE).numpy()
    np.testing.assert_allclose(same, picture() / 127.5 - 1.0, atol=1e-6)
    back = detection_preprocessing.to_picture(boxes.numpy(), SIZE, HEIGHT, WIDTH)
    np.testing.assert_allclose(back, BOXES, atol=1e-4)
    far = detection_preprocessing.to_picture(np.array([[-9, -9, 999, 999]]), SIZE, HEIGHT, WIDTH)
    np.testing.assert_array_equal(far, [[0, 0, SIZE[1], SIZE[0]]])


def test_mirroring_twice_is_nothing():
    once = detection_preprocessing.mirror(BOXES, 90.0)
    np.testing.assert_array_equal(once[0], [50, 10, 70, 30])
    np.testing.assert_array_equal(detection_preprocessing.mirror(once, 90.0), BOXES)
