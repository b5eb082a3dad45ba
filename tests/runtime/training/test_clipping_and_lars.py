"""Gradients clipped by their norm, and LARS, against numpy."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from absl import flags as absl_flags

from runtime import flags, lookup, options
from runtime.training import clipping, lars, optimizers

GRADIENTS = [np.float32([[3.0, 0.0], [0.0, 4.0]]), np.float32([0.3, 0.4]), None]


@pytest.mark.parametrize(
    'flags, factors',
    [
        ({}, (1, 1)),
        ({'clip_gradient_norm': 1.0}, (1 / 5, 1)),
        ({'clip_global_norm': 0.1}, (0.1 / np.sqrt(25.25),) * 2),
        ({'clip_global_norm': 6.0}, (1, 1)),
        ({'clip_gradient_norm': 1.2, 'clip_global_norm': 0.65}, (0.65 / 1.3 * 1.2 / 5, 0.65 / 1.3)),
    ],
)
@pytest.mark.parametrize('sparse', [False, True])
def test_each_is_clipped_or_all_together(flags, factors, sparse):
    chosen = options.OptimizerOptions(**flags)
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(np.ones([2, 2])), tf.Variable(np.ones(2)), tf.Variable(1.0)]
        gradients = [None if g is None else tf.constant(g) for g in GRADIENTS]
        if sparse:
            # The second row in two parts, which add up.
            rows = np.float32([[3.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
            gradients[0] = tf.IndexedSlices(tf.constant(rows), tf.constant([0, 1, 1]), [2, 2])
        pairs = clipping.clipped(chosen, list(zip(gradients, variables, strict=True)))
        found = {v.name: session.run(tf.convert_to_tensor(g)) for g, v in pairs if g is not None}
    assert len(found) == 2
    for value, gradient, factor in zip(found.values(), GRADIENTS, factors, strict=False):
        np.testing.assert_allclose(value, factor * gradient, rtol=1e-6)


def test_lars_is_the_formula_and_leaves_biases_and_batch_norm_out():
    weights = np.array([[1.0, -2.0], [0.5, 3.0]])
    slope = np.array([[0.1, 0.2], [-0.3, 0.4]])
    small = {'conv/biases': [1.0, 2.0], 'bn/beta': [0.5], 'bn/gamma': [1.0]}
    rates = [0.5, 0.5, 0.05]
    with tf.Graph().as_default(), tf.Session() as session:
        rate = tf.placeholder(tf.float32, [])
        v = tf.get_variable('conv/weights', initializer=np.float32(weights))
        zero = tf.get_variable('zero/weights', initializer=tf.zeros([2, 2]))
        others = [tf.get_variable(name, initializer=value) for name, value in small.items()]
        assert [lars.is_plain(x) for x in (v, zero, *others)] == [False, False, True, True, True]
        chosen = options.OptimizerOptions(optimizer='lars', lars_trust_coefficient=0.02)
        beside = optimizers.Beside(weight_decay=0.1)
        optimizer = optimizers.optimizer(chosen, rate, beside)
        pairs = [(tf.constant(np.float32(slope)), x) for x in (v, zero)]
        update = optimizer.apply_gradients([*pairs, *((tf.ones(x.shape), x) for x in others)])
        session.run(tf.global_variables_initializer())
        steps = np.zeros_like(weights)
        plain = 0.0
        for at in rates:
            session.run(update, {rate: at})
            norm, size = np.linalg.norm(slope), np.linalg.norm(weights)
            layer = 0.02 * size / (norm + 0.1 * size)
            steps = 0.9 * steps + at * layer * (slope + 0.1 * weights)
            weights = weights - steps
            plain = 0.9 * plain + at
            small = {name: np.array(value) - plain for name, value in small.items()}
            np.testing.assert_allclose(session.run(v), weights, rtol=1e-6)
            for variable, expected in zip(others, small.values(), strict=True):
                np.testing.assert_allclose(session.run(variable), expected, rtol=1e-6, atol=1e-6)
        assert optimizer.get_slot(v, 'momentum').op.name == 'conv/weights/LARS'
        # From weights of zero the first step is that of plain momentum.
        assert np.isfinite(session.run(zero)).all() and np.abs(session.run(zero)).max() > 0.19


@pytest.mark.once
@pytest.mark.parametrize('name, decay', [('lars', 0.0), ('momentum', 0.25)])
def test_the_loss_of_a_network_has_no_decay_that_lars_has(name, decay, monkeypatch):
    given = {}

    class Data:
        num_classes, decode, has_records = 5, None, True

    monkeypatch.setattr(lookup, '_dataset', lambda chosen: Data)
    monkeypatch.setattr(lookup, '_preprocess', lambda *_, **__: (None, ''))
    monkeypatch.setattr(lookup, '_network', lambda *_, **named: given.update(named))
    chosen = chosen_flags(name)
    lookup.for_training(chosen)
    assert given['weight_decay'] == decay


def chosen_flags(name):
    values = absl_flags.FlagValues()
    flags.define(options.Training, values)
    values(['script', f'--optimizer={name}', '--weight_decay=0.25'])
    return flags.read(options.Training, values)
