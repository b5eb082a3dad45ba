"""Matching, losses, scores and suppression on the contract's three pictures and by hand."""

from __future__ import annotations

import detector_facts
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from detection import anchors, losses, matching, outputs, suppression

FACTS = detector_facts.FACTS
HEIGHT, WIDTH, CLASSES = detector_facts.HEIGHT, detector_facts.WIDTH, detector_facts.CLASSES


def split(prediction):
    return outputs.split(prediction, CLASSES, detector_facts.SHAPES)


def targets_of(kind):
    corners, labels = detector_facts.objects()
    every = anchors.anchors().astype(kind)
    return matching.targets(corners.astype(kind), labels, every, CLASSES), every


def all_losses(prediction, kind):
    targets, every = targets_of(kind)
    predicted = split(prediction.astype(kind))
    found = losses.losses(predicted, targets, every, HEIGHT, WIDTH)
    return {name: float(loss) for name, loss in found.items()}


def test_targets_are_the_contracts():
    corners, labels = detector_facts.objects()
    targets, every = targets_of(np.float64)
    anchor = matching.match(corners, labels, every).numpy()
    assert targets.matched.numpy().sum() == FACTS['num_objects']
    for picture, known in enumerate(FACTS['targets']):
        rows = known['objects']
        numbers = [row['anchor_index'] for row in rows]
        assert anchor[picture].tolist() == numbers + [-1] * (4 - len(numbers))
        assert np.flatnonzero(targets.matched[picture]).tolist() == sorted(numbers)
        for row in rows:
            at = picture, row['anchor_index']
            np.testing.assert_allclose(targets.deltas[at], row['delta'], rtol=0, atol=1e-5)
            np.testing.assert_allclose(targets.boxes[at], row['box_in_375x1242'], atol=1e-5)
            assert targets.classes[at].numpy().tolist() == np.eye(3)[row['class']].tolist()


@pytest.mark.parametrize(('kind', 'tolerance'), [(np.float64, 1e-8), (np.float32, 1e-6)])
def test_losses_are_the_contracts(kind, tolerance):
    ours = all_losses(detector_facts.prediction(), kind)
    assert ours == pytest.approx(FACTS['losses'], rel=tolerance)


def test_decoded_boxes_and_detections_are_the_contracts():
    predicted, every = split(detector_facts.prediction()), anchors.anchors().astype(np.float32)
    boxes = outputs.decoded(predicted, every, HEIGHT, WIDTH).numpy()
    scores, classes = (part.numpy() for part in outputs.scores(predicted))
    np.testing.assert_allclose(boxes[0, :3], FACTS['decoded_first_3_of_image_0'], atol=1e-4)
    for picture, known in enumerate(FACTS['detections_top64_nms_0.4']):
        ours = suppression.detections(boxes[picture], scores[picture], classes[picture])
        assert len(ours) == known['kept']
        per_class = np.bincount(classes[picture][ours], minlength=CLASSES)
        assert per_class.tolist() == known['per_class']
        for number, row in zip(ours, known['first'], strict=False):
            assert (number, classes[picture][number]) == (row['anchor_index'], row['class'])
            assert scores[picture][number] == pytest.approx(row['score'], abs=1e-6)
            np.testing.assert_allclose(boxes[picture][number], row['box'], atol=1e-3)


def test_an_untrained_head_starts_where_it_must():
    ours = all_losses(np.zeros([3, 12, 39, 72]), np.float64)
    targets, _ = targets_of(np.float64)
    overlap = np.array([row['iou'] for known in FACTS['targets'] for row in known['objects']])
    assert ours['class'] == pytest.approx(np.log(3) + 2 * np.log(1.5), rel=1e-9)
    # Of 3 x 4212 anchors 4 have an object; each of the others weighs 100 / (4212 - 4).
    background = 25 * (4212 - 4 / 3) / (4212 - 4)
    confidence = background + 75 / 3 * np.mean((overlap - 0.5) ** 2)
    assert ours['confidence'] == pytest.approx(confidence, abs=1e-6)
    assert ours['box'] == pytest.approx(5 * np.sum(targets.deltas.numpy() ** 2) / 4, rel=1e-9)


def test_a_batch_without_objects_costs_background_alone():
    every = anchors.anchors(64, 64).astype(np.float32)
    nothing = np.zeros([2, 3, 4], np.float32), -np.ones([2, 3], np.int64)
    targets = matching.targets(*nothing, every, CLASSES)
    predicted = split(np.zeros([2, 2, 2, 72], np.float32))
    found = losses.losses(predicted, targets, every, 64, 64)
    assert {name: float(loss) for name, loss in found.items()} == {
        'class': 0,
        'confidence': 25,  # All anchors say 1/2: 100 / A for each.
        'box': 0,
    }


@pytest.mark.parametrize('classes', [1, 3])
def test_losses_and_gradients_are_finite_for_wild_predictions(classes):
    every = anchors.anchors(64, 64).astype(np.float32)
    corners = np.array([[[5.0, 5, 30, 40]]], np.float32)
    targets = matching.targets(corners, np.zeros([1, 1], np.int64), every, classes)
    random = np.random.RandomState(4)
    layer = tf.constant(1e4 * random.normal(size=[1, 2, 2, 9 * (classes + 5)]), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(layer)
        found = losses.losses(outputs.split(layer, classes, 9), targets, every, 64, 64)
        total = tf.add_n(list(found.values()))
    assert np.isfinite(total)
    assert np.isfinite(tape.gradient(total, layer)).all()


def test_the_boxs_gradient_is_that_of_the_box_loss_alone():
    targets, every = targets_of(np.float32)
    layer = tf.constant(detector_facts.prediction())

    def gradient(names):
        with tf.GradientTape() as tape:
            tape.watch(layer)
            found = losses.losses(split(layer), targets, every, HEIGHT, WIDTH)
            total = tf.add_n([found[name] for name in names])
        return tape.gradient(total, layer).numpy()[..., 36:]

    assert np.abs(gradient(['box'])).max() > 0
    assert np.abs(gradient(['confidence', 'class'])).max() == 0


def test_negatives_never_weigh_without_bound():
    every = anchors.anchors(32, 32).astype(np.float32)  # Nine anchors, and more objects in a batch.
    corners = np.tile(np.array([[[2.0, 2, 20, 20]]], np.float32), [12, 1, 1])
    targets = matching.targets(corners, np.zeros([12, 1], np.int64), every, CLASSES)
    nothing = np.zeros([12, 9], np.float32)
    loss = losses.confidence_loss(nothing, nothing, targets)
    # 12 objects at 75 / 12, and 8 of 9 anchors at 100 / 4.5, each wrong by 1/2.
    assert float(loss) == pytest.approx(75 / 12 / 4 + 8 * 100 / 4.5 / 4)


class TestMatching:
    ANCHORS = np.array([[10.0, 10, 10, 10], [12, 10, 10, 10], [50, 10, 10, 10], [90, 10, 9, 9]])

    def match(self, corners, labels=None):
        labels = np.zeros([1, len(corners)], np.int64) if labels is None else labels
        return matching.match(np.array([corners], np.float64), labels, self.ANCHORS).numpy()[0]

    def test_the_best_free_anchor_is_taken(self):
        box = [5, 5, 15, 15]
        assert self.match([box, box]).tolist() == [0, 1]

    def test_of_equals_the_first(self):
        assert self.match([[6, 5, 16, 15]]).tolist() == [0]

    @pytest.mark.parametrize('dtype', [np.float32, np.float64])
    def test_of_many_anchors_within_an_object_the_first(self, dtype):
        every = anchors.anchors().astype(dtype)
        left, top = np.meshgrid(np.arange(0, 700, 31.3), np.arange(0, 180, 17.7))
        corners = np.stack([left, top, left + 431.1, top + 187.9], axis=-1).reshape(-1, 1, 4)
        found = matching.match(corners.astype(dtype), np.zeros([len(corners), 1], np.int64), every)
        low, high = every[:, :2] - every[:, 2:] / 2, every[:, :2] + every[:, 2:] / 2
        within = (low >= corners[..., :2]).all(2) & (high <= corners[..., 2:]).all(2)
        within &= every[:, 2] == 366  # the largest shape
        several = within.sum(axis=1) > 1
        assert several.sum() > 100
        expected = np.argmax(within, axis=1)[several]
        np.testing.assert_array_equal(found.numpy()[several, 0], expected)

    def test_without_overlap_the_nearest_free_one_by_place_and_size(self):
        far = [60, 60, 70, 70]
        assert self.match([far]).tolist() == [2]
        assert self.match([far, far, far, far]).tolist() == [2, 3, 1, 0]

    def test_one_that_overlaps_only_what_is_taken_gets_the_nearest(self):
        box = [46, 6, 54, 14]
        assert self.match([box, box]).tolist() == [2, 1]

    def test_more_objects_than_anchors(self):
        box = [5, 5, 15, 15]
        assert self.match([box] * 5).tolist() == [0, 1, 2, 3, -1]

    def test_filling_takes_nothing_wherever_it_is(self):
        box = [5, 5, 15, 15]
        assert self.match([box, box], np.array([[-1, 0]])).tolist() == [-1, 0]

    def test_pictures_do_not_disturb_each_other(self):
        box = np.array([5.0, 5, 15, 15])
        corners = np.stack([[box, box], [box, box]])
        found = matching.match(corners, np.zeros([2, 2], np.int64), self.ANCHORS).numpy()
        assert found.tolist() == [[0, 1], [0, 1]]

    def test_sizes_that_are_unknown_when_the_graph_is_built(self):
        with tf.Graph().as_default():
            corners = tf.placeholder(tf.float64, [None, None, 4])
            labels = tf.placeholder(tf.int64, [None, None])
            targets = matching.targets(corners, labels, self.ANCHORS, 2)
            assert targets.classes.shape.as_list() == [None, 4, 2]
            box = [[[5.0, 5, 15, 15]]]
            with tf.Session() as session:
                matched = session.run(targets.matched, {corners: box, labels: [[1]]})
        assert matched.tolist() == [[1, 0, 0, 0]]


@pytest.mark.once
class TestSuppression:
    BOXES = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])  # IoU 3/7 with the next.

    def test_what_was_dropped_drops_nothing(self):
        kept = suppression.suppress(self.BOXES, np.array([0.9, 0.8, 0.7]), np.zeros(3, int))
        assert kept.tolist() == [0, 2]

    def test_best_first_and_classes_apart(self):
        scores = np.array([0.7, 0.8, 0.9])
        assert suppression.suppress(self.BOXES, scores, np.array([0, 1, 0])).tolist() == [2, 1, 0]

    def test_as_much_as_the_limit_is_not_more(self):
        kept = suppression.suppress(self.BOXES, np.ones(3), np.zeros(3, int), same_object=6 / 14)
        assert kept.tolist() == [0, 1, 2]

    def test_few_boxes_need_a_score_and_many_a_place(self):
        scores = np.array([0.004, 0.005, 0.006, 0.5])
        assert suppression.best(scores).tolist() == [3, 2]
        assert suppression.best(scores, top=3).tolist() == [3, 2, 1]

    def test_nothing_gives_nothing(self):
        kept = suppression.detections(np.zeros([0, 4]), np.zeros(0), np.zeros(0, int))
        assert kept.tolist() == []
