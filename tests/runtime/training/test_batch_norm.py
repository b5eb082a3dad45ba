"""Batch norm that keeps the statistics of a checkpoint, or gets them anew after the last step."""

import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from nets import nets_factory
from runtime import options
from runtime.checkpoints import averages, starting
from runtime.training import announcement, batch_norm, schedules
from runtime.workers import cluster
from slim import errors

WIDTH, BATCH = 6, 32


def batches(count, seed=0, apart=3.0):
    """Images [count, b, 1, 1, 6] far from the mean 0 and the variance 1 of fresh statistics."""
    random = np.random.RandomState(seed)
    offset = apart * random.normal(size=[count, 1, 1, 1, WIDTH])
    return np.float32(random.normal(size=[count, BATCH, 1, 1, WIDTH]) * 4.0 + offset + 5.0)


def network(images):
    with slim.arg_scope([slim.batch_norm], is_training=True, decay=0.997, scale=True):
        net = slim.batch_norm(images, scope='first')
        net = slim.conv2d(net, 8, 1, activation_fn=tf.tanh, scope='conv')
        return slim.batch_norm(net, scope='second')


class Built:
    """A network whose averages stand elsewhere than its weights, and its recalibration."""

    def __init__(self, data, one):
        tf.set_random_seed(3)
        self.images = tf.placeholder(tf.float32, [BATCH, 1, 1, WIDTH])
        self.output = network(self.images)
        self.averages = averages.moving_averages(0.9)
        self.statistics = batch_norm.moving_statistics(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        self.recalibration = batch_norm.Recalibration(
            self.statistics,
            self.averages,
            one,
            self.images,
            tf.data.Dataset.from_tensor_slices(data),
        )
        self.session = tf.Session()
        self.session.run(tf.global_variables_initializer())
        (weights,) = slim.get_model_variables('conv/weights')
        self.session.run(weights.assign_add(tf.ones_like(weights)))

    def values(self):
        return {v.op.name: self.session.run(v) for v in tf.global_variables()}


def tanh_layer(data, held, suffix=''):
    """The input of the second batch norm, by the moments of each batch."""
    mean, variance = (
        data.mean(axis=(1, 2, 3), keepdims=True),
        data.var(axis=(1, 2, 3), keepdims=True),
    )
    normed = (data - mean) / np.sqrt(variance + 0.001)
    weights, biases = held[f'conv/weights{suffix}'], held[f'conv/biases{suffix}']
    return np.tanh(normed @ weights[0, 0] + biases)


def test_statistics_are_those_of_the_population_for_weights_and_averages():
    data = batches(5)
    with tf.Graph().as_default():
        built = Built(data, cluster.SingleProcess())
        before = built.values()
        built.recalibration.run(built.session)
        after = built.values()
        built.recalibration.run(built.session)
        for name, value in built.values().items():
            np.testing.assert_array_equal(after[name], value, err_msg=f'{name}, once more')
    for suffix in ('', averages.AVERAGE_SUFFIX):
        for layer, values in (('first', data), ('second', tanh_layer(data, before, suffix))):
            pixels = values.reshape(-1, values.shape[-1]).astype(np.float64)
            for name, expected in (('mean', pixels.mean(axis=0)), ('variance', pixels.var(axis=0))):
                found = after[f'{layer}/moving_{name}{suffix}']
                np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)
    moved = {name for name in after if not np.array_equal(before[name], after[name])}
    assert moved == {name for name in after if '/moving_' in name}
    weights = (after[f'second/moving_mean{s}'] for s in ('', averages.AVERAGE_SUFFIX))
    assert np.abs(np.subtract(*weights)).max() > 0.05


def test_workers_share_mean_and_spread():
    """Two workers, played one after the other: each is told the sum of both."""
    data = batches(4)
    halves, sums, locals_ = (data[:2], data[2:]), [], ([], [])

    class Played(cluster.SingleProcess):
        size = 2

        def sum(self, tensor, name):
            def add(local):
                told = locals_[rank]
                told.append(local)
                return sums[len(told) - 1] if len(sums) >= len(told) else 2 * local

            return tf.ensure_shape(tf.numpy_function(add, [tensor], tf.float32), [None])

    for _ in range(3):  # The first sum, then the second one, then all there is.
        found = []
        for rank, half in enumerate(halves):
            locals_[rank].clear()
            with tf.Graph().as_default():
                built = Built(half, Played())
                built.averages = built.recalibration._swap = None
                built.recalibration.run(built.session)
                found.append(built.values())
        sums = [np.add(*pair) for pair in zip(*locals_, strict=True)][: len(sums) + 1]
    pixels = data.reshape(-1, WIDTH)
    for values in found:
        np.testing.assert_allclose(values['first/moving_mean'], pixels.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(values['first/moving_variance'], pixels.var(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(*(values['second/moving_variance'] for values in found))


def accuracy(train_form, labels, data, session, images):
    logits = [session.run(train_form, {images: batch}) for batch in data]
    return np.mean(np.argmax(logits, axis=-1) == labels)


def test_after_a_few_steps_only_the_statistics_anew_find_what_was_learnt():
    """A decay of 0.997 over 60 steps."""
    data = batches(20, seed=1, apart=0.3)
    labels = data[:, :, 0, 0, 0] > 5
    with tf.Graph().as_default():
        tf.set_random_seed(3)
        images = tf.placeholder(tf.float32, [BATCH, 1, 1, WIDTH])
        truth = tf.placeholder(tf.int64, [BATCH])

        def logits(is_training, reuse=None):
            with (
                slim.arg_scope([slim.batch_norm], is_training=is_training, decay=0.997),
                tf.variable_scope('net', reuse=reuse),
            ):
                net = slim.conv2d(images, 16, 1, normalizer_fn=slim.batch_norm)
                net = slim.conv2d(net, 16, 1, normalizer_fn=slim.batch_norm)
                return slim.conv2d(net, 2, 1, activation_fn=None)[:, 0, 0]

        own = logits(True)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        statistics = batch_norm.moving_statistics(updates)
        loss = tf.losses.sparse_softmax_cross_entropy(truth, own)
        train = tf.group(tf.train.AdamOptimizer(0.02).minimize(loss), *updates)
        evaluated = logits(False, reuse=True)
        recalibration = batch_norm.Recalibration(
            statistics,
            None,
            cluster.SingleProcess(),
            images,
            tf.data.Dataset.from_tensor_slices(data[:10]),
        )
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for step in range(60):
                batch = step % 20
                session.run(train, {images: data[batch], truth: labels[batch].astype(int)})
            truths = labels.astype(int)
            by_batch = accuracy(own, truths, data, session, images)
            lagging = accuracy(evaluated, truths, data, session, images)
            recalibration.run(session)
            anew = accuracy(evaluated, truths, data, session, images)
    assert by_batch > 0.95
    assert lagging < by_batch - 0.2
    assert anew > by_batch - 0.15 and anew > lagging + 0.15


@pytest.mark.slow
def test_frozen_a_network_computes_as_in_inference_and_learns_all_but_statistics():
    pixels = np.float32(np.random.RandomState(0).normal(size=[2, 32, 32, 3]))
    last, first = 'Conv2d_13_pointwise', 'Conv2d_0'
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(pixels)

        def built(is_training):
            # Before the dropout, which trains in both forms.
            return nets_factory.get_network_fn('mobilenet_v1_025', 5, is_training=is_training)(
                images, **({} if is_training else {'reuse': True})
            )[1]

        points = built(is_training=True)
        frozen, early = (tf.identity(points[name]) for name in (last, first))
        assert batch_norm.freeze() == 27
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        expected = built(is_training=False)[last]
        layer = 'MobilenetV1/Conv2d_0/'
        learning = [v for v in tf.trainable_variables() if v.op.name.startswith(layer)]
        gradients = tf.gradients(tf.reduce_sum(early**2), learning)
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            if '/moving_' in variable.op.name:
                spread = tf.random.stateless_uniform(variable.shape, [1, 2], 0.5, 1.5)
                session.run(variable.assign(spread))
        np.testing.assert_allclose(*session.run([frozen, expected]), rtol=1e-4, atol=1e-5)
        assert {variable.op.name.rpartition('/')[2] for variable in learning} >= {'beta', 'weights'}
        assert all(np.abs(value).max() > 0 for value in session.run(gradients))


def test_what_has_no_batch_norm_or_one_of_another_kind_is_refused():
    with tf.Graph().as_default():
        slim.conv2d(tf.zeros([2, 4, 4, 3]), 4, 3)
        with pytest.raises(errors.UsageError, match='--freeze_batch_norm: the network has no bat'):
            batch_norm.freeze()
    with tf.Graph().as_default():
        net = slim.batch_norm(tf.zeros([2, 4, 4, 3]), is_training=True)
        slim.batch_norm(net, is_training=True, fused=False)
        with pytest.raises(errors.UsageError, match='has 2 batch norms, of which 1 are fused'):
            batch_norm.freeze()


def test_a_layer_that_the_checkpoint_is_not_asked_for_cannot_be_frozen(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        network(tf.zeros([2, 1, 1, WIDTH]))
        tf.train.create_global_step()
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / 'model.ckpt'), 1)
        tuning = options.FineTuningOptions(checkpoint_path=path, freeze_batch_norm=True)
        fresh = starting.Origin(None, 0)
        assert starting.start(fresh, tuning).warm_start_from == path
        but_second = options.FineTuningOptions(
            checkpoint_path=path, freeze_batch_norm=True, checkpoint_exclude_scopes='second'
        )
        with pytest.raises(errors.UsageError, match='second/moving_variance is not taken from'):
            starting.start(fresh, but_second)


@pytest.mark.once
@pytest.mark.parametrize(
    'steps, decay, anew, warned',
    [(300, 0.997, 0, True), (1700, 0.997, 0, False), (300, 0.997, 5, False), (2, 0.0, 0, False)],
)
def test_a_run_too_short_for_the_decay_is_warned_of(steps, decay, anew, warned, capsys):
    class Chosen:
        run = options.TrainingRunOptions(recalibrate_batch_norm=anew)

    length = schedules.RunLength(steps, 4, 16)
    statistics = [types.SimpleNamespace(decay=decay), types.SimpleNamespace(decay=decay / 2)]
    announcement.lagging_statistics(Chosen, length, statistics, cluster.SingleProcess())
    said = capsys.readouterr().out
    if warned:
        assert said.startswith('warning: 300 steps are few') and '(1 - decay) is 0.9' in said
        assert all(
            flag in said
            for flag in ('--batch_norm_decay', '--recalibrate_batch_norm', '--freeze_batch_norm')
        )
    else:
        assert not said
