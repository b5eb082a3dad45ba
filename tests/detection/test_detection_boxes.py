"""Anchors and the forms of boxes."""

from __future__ import annotations

import detector_facts
import numpy as np
import pytest

from detection import anchors, boxes, overlaps

FACTS = detector_facts.FACTS


@pytest.mark.once
def test_anchors_are_the_published_ones():
    known, ours = FACTS['anchors'], anchors.anchors()
    assert list(ours.shape) == known['shape']
    for place, anchor in ((slice(2), 'first'), (1000, 'index_1000'), (-1, 'last')):
        np.testing.assert_allclose(ours[place], known[anchor], rtol=1e-12)
    np.testing.assert_allclose(ours.sum(axis=0), known['sum'], rtol=1e-12)


@pytest.mark.once
def test_anchors_of_another_frame_are_the_same_in_its_shares():
    small, large = anchors.anchors(128, 416, cells=(12, 39)), anchors.anchors()
    np.testing.assert_allclose(small / [416, 128, 416, 128], large / [1242, 375, 1242, 375])
    assert anchors.grid(128, 416) == (4, 13)
    assert anchors.grid(129, 417) == (5, 14)
    assert anchors.anchors(129, 417).shape == (5 * 14 * 9, 4)


def test_a_box_of_any_size_comes_back():
    random, every = np.random.RandomState(1), anchors.anchors()
    corners = np.sort(random.uniform(0, 1, [100_000, 2, 2]), axis=1).reshape(-1, 4)
    corners *= [1242, 375, 1242, 375]
    corners[::10] += np.random.RandomState(2).uniform(0, 3000, [10_000, 1]) * [-1, -1, 1, 1]
    corners[:, 2:] += 0.5  # Every box has an area.
    own = every[random.randint(0, len(every), len(corners))]
    ratios = (corners[:, 2:] - corners[:, :2]) / own[:, 2:]
    assert (ratios > np.e).mean() > 0.1  # Beyond e the logarithm alone would not do.
    deltas = boxes.encode(boxes.to_centres(corners), own)
    again = boxes.to_corners(boxes.decode(deltas, own)).numpy()
    np.testing.assert_allclose(again, corners, rtol=0, atol=1e-4)


def test_sizes_grow_linearly_from_e_on():
    for x, y in FACTS['safe_exp']:
        np.testing.assert_allclose(boxes.safe_exp(np.float64(x)), y, rtol=1e-12)
        np.testing.assert_allclose(boxes.safe_log(np.float64(y)), x, rtol=1e-12, atol=1e-12)
    assert np.isfinite(boxes.safe_exp(np.float32(1e30)))


def test_clipping_keeps_zero_based_pixels():
    clipped = boxes.clip([[-5.0, -5.0, 2000.0, 2000.0], [3.0, 400.0, 9.0, 500.0]], 375, 1242)
    assert clipped.numpy().tolist() == [[0, 0, 1241, 374], [3, 374, 9, 374]]


def test_overlaps_in_and_outside_of_the_graph_agree():
    random = np.random.RandomState(3)
    first, second = random.uniform(0, 10, [2, 50, 4])
    outside = overlaps.ious(first, second)
    inside = boxes.iou(first[:, np.newaxis], second[np.newaxis]).numpy()
    # Boxes with corners in wrong order are among them: no area, nothing shared.
    np.testing.assert_allclose(outside, inside, rtol=1e-12)
    assert (outside[(first[:, 2:] < first[:, :2]).any(axis=1)] == 0).all()
    assert 0 < outside.max() < 1


@pytest.mark.once
def test_overlaps_by_hand():
    boxes_ = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 20, 30], [9, 9, 5, 5]])
    assert overlaps.ious(boxes_, boxes_)[0].tolist() == [1, 50 / 150, 0, 0]
    assert overlaps.ious(boxes_, boxes_)[2, 2] == 0
    assert overlaps.areas(boxes_, inclusive=True).tolist() == [121, 121, 11, 0]
    assert overlaps.ious(boxes_[:1], boxes_[1:2], inclusive=True).tolist() == [[66 / 176]]
