"""Suppression in the graph beside that of numpy, and the comparison that allows for rounding."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from detection import comparison, graph_suppression, suppression

FRAME = (200, 300)
# A box beside all others, and what its classes score: less than 64 others do.
_APART, _LOW = (250, 150, 290, 190), (0.25, 0.125, 0.0)


def _random(rng, count, ties):
    """Boxes in a small room, so that whole chains of them overlap; scores of few values for ties,
    and some boxes without area."""
    low = rng.uniform(0, 60, [count, 2])
    boxes = np.concatenate([low, low + rng.uniform(5, 60, [count, 2])], axis=1)
    boxes[::9, 2] = boxes[::9, 0]
    scores = rng.randint(0, 9, count) / 8 if ties else rng.uniform(0, 1, count)
    return boxes.astype(np.float32), scores.astype(np.float32), rng.randint(0, 3, count)


@pytest.mark.parametrize('count', [54, 64, 65, 200])
def test_the_graph_says_what_numpy_says(count):
    with tf.Graph().as_default(), tf.Session() as session:
        given = [
            tf.placeholder(kind, shape)
            for kind, shape in (
                (tf.float32, [count, 4]),
                (tf.float32, [count]),
                (tf.int64, [count]),
            )
        ]
        found = graph_suppression.detections(*given)
        assert [tensor.shape.as_list() for tensor in found] == [[64, 4], [64], [64]]
        rng, dropped = np.random.RandomState(count), 0
        for turn in range(20):
            boxes, scores, classes = values = _random(rng, count, ties=turn % 2)
            kept = suppression.detections(*values)
            kept = kept[scores[kept] > 0]
            dropped += min(count, 64) - len(kept)
            got = session.run(found, dict(zip(given, values, strict=True)))
            assert got[2].dtype == np.int32
            for values_found, expected in zip(got, (boxes, scores, classes), strict=True):
                np.testing.assert_array_equal(values_found[: len(kept)], expected[kept])
                assert not values_found[len(kept) :].any()
    assert dropped > 30


def test_what_was_dropped_drops_nothing():
    boxes = [[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10], [4, 0, 14, 10]]
    with tf.Graph().as_default(), tf.Session() as session:
        given = [tf.constant(values) for values in (boxes, [0.9, 0.8, 0.7, 0.6], [1, 1, 1, 2])]
        _, scores, classes = session.run(graph_suppression.detections(*given))
    np.testing.assert_array_equal(scores[:4], np.float32([0.9, 0.7, 0.6, 0]))
    np.testing.assert_array_equal(classes[:4], [1, 1, 2, 0])


@pytest.fixture
def detector():
    """Boxes and class scores of a detector's anchors, and its detections as rows."""
    rng = np.random.RandomState(7)
    boxes, _, _ = _random(rng, 150, ties=False)
    class_scores = rng.uniform(0, 1, [150, 3]).astype(np.float32)
    boxes[-1], class_scores[-1] = _APART, _LOW
    scores, classes = class_scores.max(axis=1), class_scores.argmax(axis=1)
    kept = suppression.detections(boxes, scores, classes)
    rows = np.column_stack([boxes, scores, classes])[kept]
    return boxes, class_scores, np.concatenate([rows, np.zeros([64 - len(kept), 6])])


@pytest.mark.once
def test_rounding_is_a_small_difference_and_anything_else_a_large_one(detector):
    boxes, class_scores, rows = detector
    count = int((rows[:, 4] > 0).sum())
    assert 10 < count < 60

    def difference(changed, scores=class_scores):
        return comparison.of_detections(changed, boxes, scores, FRAME)

    def changed(row, column, value):
        copy = rows.copy()
        copy[row, column] = value
        return copy

    assert difference(rows) == 0
    assert difference(np.delete(rows, slice(count, None), axis=0)) == 0
    moved = changed(3, 0, rows[3, 0] + 1.5)
    assert difference(moved) == pytest.approx(1.5 / FRAME[1], rel=1e-3)
    assert difference(changed(count - 1, 4, rows[count - 1, 4] - 0.01)) == pytest.approx(0.01, 1e-3)
    # Two of the same score in the other order.
    tied = class_scores.copy()
    places = [np.flatnonzero((boxes == rows[row, :4]).all(axis=1))[0] for row in (4, 5)]
    tied[places[1], int(rows[5, 5])] = rows[4, 4]
    swapped = rows.copy()
    swapped[[4, 5]] = rows[[5, 4]]
    swapped[4, 4] = rows[4, 4]
    assert difference(swapped, tied) == 0
    swapped[[4, 5], 4] = rows[[5, 4], 4]
    assert difference(swapped) == pytest.approx(rows[4, 4] - rows[5, 4])
    for broken in (
        np.zeros_like(rows),
        np.delete(rows, 0, axis=0),
        changed(2, 5, (rows[2, 5] + 1) % 3),
        changed(2, 5, 3),
        changed(2, 1, np.nan),
        changed(2, 4, np.nan),
        np.insert(rows, 1, rows[0], axis=0),
        np.column_stack([boxes, class_scores.max(axis=1), class_scores.argmax(axis=1)]),
    ):
        assert difference(broken) > 0.01
    assert comparison.share_found(rows, boxes, class_scores, FRAME) == 1
    one_more = rows.copy()
    one_more[count] = *_APART, _LOW[0], 0
    assert 0.1 < difference(one_more) < rows[count - 1, 4] - 0.2
    half = comparison.share_found(rows[: count // 2], boxes, class_scores, FRAME)
    assert half == pytest.approx(count // 2 / count)


@pytest.mark.once
def test_all_boxes_are_compared_place_by_place(detector):
    boxes, class_scores, _ = detector
    scores, classes = class_scores.max(axis=1), class_scores.argmax(axis=1)
    rows = np.column_stack([boxes, scores, classes])

    def difference(changed):
        return comparison.of_all_boxes(changed, boxes, class_scores, FRAME)

    assert difference(rows) == 0
    moved = rows.copy()
    moved[5, 3] += 2
    assert difference(moved) == pytest.approx(2 / FRAME[0], rel=1e-3)
    moved[5, 4] -= 0.5
    assert difference(moved) == pytest.approx(0.5)
    for broken in (rows[:-1], np.full_like(rows, np.nan), rows + 3):
        assert difference(broken) == np.inf
    assert difference(rows[::-1]) > 0.1
