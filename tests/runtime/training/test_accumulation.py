"""A batch in parts, on a network of one layer, against the whole of it in numpy."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime.training import accumulation, batch_norm, randomness
from slim import errors

PARTS, SIZE = 3, 4


@pytest.fixture
def built():
    """The pass over three batches of a batch norm, a layer, a draw; with what it is made of."""
    data = np.float32(np.random.RandomState(0).normal(size=[20, SIZE, 1, 1, 2]) + 3.0)
    with tf.Graph().as_default():
        step = tf.train.create_global_step()
        batches = tf.data.Dataset.from_tensor_slices((data, tf.range(20, dtype=tf.int64)))
        iterator = tf.data.make_initializable_iterator(batches)
        images, number = iterator.get_next()
        draws = accumulation.draw_number(step)
        slim.batch_norm(images, is_training=True, decay=0.75, scope='bn')
        weights = tf.get_variable('weights', initializer=[[1.0], [2.0]])
        drawn = tf.random.uniform([])
        layer = tf.reduce_mean(tf.matmul(images[:, 0, 0], weights) ** 2)
        loss = layer + drawn
        randomness.make_draws_follow_step([loss], draws, seed=7)
        loss = tf.add(layer, loss.op.inputs[1])
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        statistics = batch_norm.moving_statistics(updates)
        (gradient,) = tf.gradients(loss, [weights])
        fed = {
            'data_wait_secs': tf.constant(0.5, tf.float64) + tf.cast(number, tf.float64),
            'skipped': number,
            'labels': tf.stack([number, number + 5]),
        }
        one = accumulation.Pass(loss, {'layer': layer}, [(gradient, weights), (None, step)], fed)
        whole = accumulation.over_parts(one, updates, statistics, PARTS, draws)
        with tf.Session() as session:
            session.run([tf.global_variables_initializer(), iterator.initializer])
            yield session, data, whole, tf.group(*updates), step, one


def test_means_counts_and_statistics_are_those_of_all_parts(built):
    session, data, whole, update, _, _ = built
    (gradient, _), (none, _) = whole.gradients
    assert none is None
    with tf.control_dependencies([gradient]):
        values = session.run([whole.loss, whole.losses, gradient, whole.fed, update])
    loss, losses, gradient, fed, _ = values
    rows = data[:PARTS, :, 0, 0].reshape(-1, 2)
    outputs = rows @ [[1.0], [2.0]]
    np.testing.assert_allclose(losses['layer'], np.mean(outputs**2), rtol=1e-5)
    np.testing.assert_allclose(gradient, 2 * rows.T @ outputs / len(rows), rtol=1e-5)
    assert 0 < loss - losses['layer'] < 1
    assert fed['data_wait_secs'] == 3 * 0.5 + 0 + 1 + 2
    assert fed['skipped'] == 2 and fed['labels'].tolist() == [0, 7]
    # One update of the statistics, by the mean of the moments of the parts.
    mean, variance = session.run(slim.get_model_variables('bn/moving'))
    moments = data[:PARTS].astype(np.float64)
    np.testing.assert_allclose(mean, 0.25 * rows.mean(axis=0), rtol=1e-5)
    within = moments.var(axis=(1, 2, 3), ddof=1).mean(axis=0)
    np.testing.assert_allclose(variance, 0.75 + 0.25 * within, rtol=1e-5)


def test_every_part_draws_anew_and_a_step_draws_again_what_it_drew(built):
    session, _, whole, _, step, one = built

    def drawn():
        values = session.run([whole.loss, whole.losses['layer']])
        return values[0] - values[1]

    def single(number):
        layer = one.losses['layer']
        values = session.run([one.loss, layer], {'draw_number:0': number})
        return values[0] - values[1]

    session.run(step.assign(2))
    singles = [single(number) for number in (6, 7, 8)]
    assert len({round(float(value), 4) for value in singles}) == 3
    np.testing.assert_allclose([drawn(), drawn()], np.mean(singles), atol=1e-4)


def test_an_update_that_is_not_known_is_refused(built):
    one = built[-1]
    with pytest.raises(
        errors.UsageError, match='--accumulate_steps: the network updates something'
    ):
        accumulation.over_parts(one, [tf.no_op()], [], PARTS, None)
