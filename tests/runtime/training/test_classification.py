"""Losses against the classic suite's numbers; counts against numpy."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.training import classification

_CASES = json.loads((pathlib.Path(__file__).parents[2] / 'data' / 'optimization.json').read_text())


@pytest.mark.parametrize(
    'case', _CASES['loss'], ids=lambda case: f'{case["label_smoothing"]}-{case["weight"]}'
)
def test_losses_and_gradients_are_the_classic_ones(case):
    with tf.Graph().as_default(), tf.Session() as session:
        logits = tf.constant(case['logits'], tf.float32)
        labels = tf.constant(case['labels'], tf.int64)
        auxiliary = case['weight'] == 0.4

        def network(images):
            del images
            zeros = tf.zeros_like(logits)
            return (zeros, {'AuxLogits': logits}) if auxiliary else (logits, {})

        classification.training_clone(
            lambda: (tf.zeros([4, 1]), labels), network, 11, case['label_smoothing']
        )
        losses = tf.losses.get_losses()
        assert len(losses) == (2 if auxiliary else 1)
        loss, gradient = session.run([losses[0], tf.gradients(losses[0], logits)[0]])
        assert loss == pytest.approx(case['loss'], rel=1e-6)
        np.testing.assert_allclose(gradient, case['grad'], atol=1e-7)


def counts(logits, labels, real):
    with tf.Graph().as_default(), tf.Session() as session:
        made = classification.count_correct(
            tf.constant(logits, tf.float32), tf.constant(labels, tf.int64), tf.constant(real)
        )
        return tuple(int(n) for n in session.run((made.images, made.top_1, made.top_5)))


def test_counts_are_those_of_a_sort_and_leave_out_the_filling():
    rng = np.random.RandomState(0)
    logits, labels = rng.randn(200, 11), rng.randint(0, 11, 200)
    real = np.arange(200) < 150
    order = np.argsort(-logits, axis=1)
    top_1 = (order[:, 0] == labels)[real].sum()
    top_5 = (order[:, :5] == labels[:, None]).any(1)[real].sum()
    assert counts(logits, labels, real) == (150, top_1, top_5)


def test_fewer_classes_than_five_are_all_in_the_first_five():
    assert counts([[0.0, 1.0, 2.0]], [0], [True]) == (1, 0, 1)


def test_logits_that_are_not_finite_are_wrong():
    assert counts([[np.nan] * 6, [np.inf] + [0.0] * 5], [0, 0], [True, True]) == (2, 0, 0)


def places_by_hand(logits, labels):
    """The number of other classes whose logit is as high as that of the label."""
    return np.array(
        [
            sum(other >= row[label] for k, other in enumerate(row) if k != label)
            for row, label in zip(logits, labels, strict=True)
        ]
    )


@pytest.mark.parametrize('classes', [1, 2, 4, 5, 6, 13])
def test_ties_do_not_count_in_favour(classes):
    rng = np.random.RandomState(classes)
    # Few values, so that most rows have ties.
    logits = rng.randint(-2, 3, [400, classes]) / 2.0
    labels = rng.randint(0, classes, 400)
    real = rng.rand(400) < 0.9
    places = places_by_hand(logits, labels)
    expected = (real.sum(), (places < 1)[real].sum(), (places < 5)[real].sum())
    assert counts(logits, labels, real) == expected


def test_a_collapsed_network_finds_nothing():
    labels = list(range(12))
    assert counts(np.zeros([12, 12]), labels, [True] * 12) == (12, 0, 0)
    two_above = np.zeros([12, 12])
    two_above[:, :2] = 1.0
    assert counts(two_above, labels, [True] * 12) == (12, 0, 2)
