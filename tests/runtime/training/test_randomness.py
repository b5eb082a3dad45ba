"""Dropout as a function of seed and step."""

import numpy as np
import tensorflow.compat.v1 as tf

import slim
from runtime.training import randomness


def masks(seed, steps, dtype=tf.float32, keep=0.5):
    """The dropout output at each of `steps`, in a session of its own."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        global_step = tf.train.create_global_step()
        net = tf.ones([4, 50], dtype)
        first = slim.dropout(net, keep, scope='a')
        second = slim.dropout(net, keep, scope='b')
        loss = tf.reduce_sum(first) + tf.reduce_sum(second)
        assert randomness.make_draws_follow_step([loss], global_step, seed) == 2
        session.run(tf.global_variables_initializer())
        results = []
        for step in steps:
            global_step.load(step, session)
            results.append(session.run([first, second]))
        return np.array(results)


def test_masks_depend_on_the_step_alone_not_on_what_ran_before():
    whole = masks(7, range(6))
    np.testing.assert_array_equal(masks(7, [3, 4, 5]), whole[3:])
    assert not (whole[0] == whole[1]).all()


def test_layers_and_seeds_have_masks_of_their_own():
    ours, theirs = masks(7, [0]), masks(8, [0])
    assert not (ours[0, 0] == ours[0, 1]).all()
    assert not (ours == theirs).all()


def test_the_draws_still_keep_the_right_share():
    kept = (masks(7, range(20)) > 0).mean()
    assert abs(kept - 0.5) < 0.02


def test_dropout_becomes_a_product_of_the_same_bits():
    """Grappler's layout optimizer gives up on a graph with a select of four dimensions."""
    with tf.Graph().as_default(), tf.Session() as session:
        global_step = tf.train.create_global_step()
        # With a negative number, and with one too large to be scaled.
        net = tf.random.stateless_normal([2, 3, 3, 8], [1, 2]) * tf.constant([1.0] * 7 + [9e37])
        selected = slim.dropout(net, 0.7)
        used = tf.tanh(selected)
        randomness.make_draws_follow_step([used], global_step, 3)
        assert selected.op.type == 'SelectV2'
        assert 'SelectV2' not in {operation.type for operation in randomness.ancestors([used])}
        session.run(tf.global_variables_initializer())
        expected, found = session.run([selected, used.op.inputs[0]])
        np.testing.assert_array_equal(found, expected)
        assert 0 < (expected == 0).mean() < 0.6
        (gradient,) = tf.gradients(used.op.inputs[0], net)
        slopes = session.run(gradient)
        np.testing.assert_array_equal(slopes, np.where(expected == 0, 0, np.float32(1 / 0.7)))


def test_16_bits_drop_what_float32_drops():
    """The 128 numbers that a draw of bfloat16 can be would keep 79.7 % instead of 80."""
    expected = masks(7, range(9), keep=0.8) > 0
    np.testing.assert_array_equal(masks(7, range(9), tf.bfloat16, keep=0.8) > 0, expected)


def test_a_select_between_other_values_stays():
    with tf.Graph().as_default():
        global_step = tf.train.create_global_step()
        draw = tf.random.uniform([4])
        used = tf.tanh(tf.where_v2(draw >= 0.5, tf.ones([4]), 2 * tf.ones([4])))
        assert randomness.make_draws_follow_step([used], global_step, 3) == 1
        assert used.op.inputs[0].op.type == 'SelectV2'


def test_initializers_are_left_alone():
    with tf.Graph().as_default():
        global_step = tf.train.create_global_step()
        net = slim.fully_connected(tf.ones([2, 3]), 4)
        assert randomness.make_draws_follow_step([tf.reduce_sum(net)], global_step, 0) == 0
