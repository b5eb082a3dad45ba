"""Dropout as a function of seed and step."""

import numpy as np
import tensorflow.compat.v1 as tf

import slim
from runtime.training import randomness


def masks(seed, steps):
    """The dropout output at each of `steps`, in a session of its own."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        global_step = tf.train.create_global_step()
        net = tf.ones([4, 50])
        first = slim.dropout(net, 0.5, scope='a')
        second = slim.dropout(net, 0.5, scope='b')
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


def test_initializers_are_left_alone():
    with tf.Graph().as_default():
        global_step = tf.train.create_global_step()
        net = slim.fully_connected(tf.ones([2, 3]), 4)
        assert randomness.make_draws_follow_step([tf.reduce_sum(net)], global_step, 0) == 0
