"""Workers that differ: the first difference is named. A cluster of given answers stands in."""

import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime import options
from runtime.training import cross_replica
from runtime.workers import agreement, cluster
from slim import errors


class Answers(cluster.SingleProcess):
    """Rank 0 of two; rank 1 answers with what `other` makes of rank 0's value."""

    size, hosts = 2, ('here', 'there')

    def __init__(self, other):
        self._other = other

    def gather(self, value):
        return [value, self._other(value)]


class Second(Answers):
    """Rank 1 of two; `other` gives what rank 0 says."""

    rank = 1

    def gather(self, value):
        return [self._other(value), value]


@dataclasses.dataclass(frozen=True)
class Flags:
    run: options.TrainingRunOptions
    optimizer: options.OptimizerOptions


def test_flags_that_differ_are_named_and_folders_may_differ():
    flags = Flags(options.TrainingRunOptions(), options.OptimizerOptions())
    agreement.check_flags(Answers(lambda facts: {**facts}), flags, 10)
    with pytest.raises(errors.UsageError, match=r"--optimizer is 'rmsprop' .*'sgd' on rank 1 \(th"):
        agreement.check_flags(Answers(lambda facts: {**facts, '--optimizer': 'sgd'}), flags, 10)
    with pytest.raises(errors.UsageError, match=r'The number of images is 10 .* 9 on rank 1'):
        agreement.check_flags(
            Answers(lambda facts: {**facts, 'The number of images': 9}), flags, 10
        )
    asked = []
    agreement.check_flags(Answers(lambda facts: asked.append(facts) or facts), flags, 10)
    assert '--train_dir' not in asked[0]


def test_a_variable_that_differs_is_named():
    with tf.Graph().as_default(), tf.Session() as session:
        for name in ('a', 'b', 'c'):
            tf.get_variable(name, initializer=[1.0, 2.0])
        session.run(tf.global_variables_initializer())
        same = agreement.Variables(Answers(lambda sums: sums))
        same.make_equal(session)
        same.reconcile(session, 'after step 7')
        calls = []

        def second_differs(sums):
            calls.append(sums)
            return sums if len(calls) == 1 else [sums[0], sums[1] + 1, sums[2] + 1]

        different = agreement.Variables(Answers(second_differs))
        with pytest.raises(errors.WorkerError, match=r'^b differs .*rank 1 \(there\) after step 7'):
            different.reconcile(session, 'after step 7')
        with pytest.raises(errors.WorkerError, match='number of variables'):
            agreement.Variables(Answers(lambda sums: sums[:-1]))


def test_one_bit_changes_the_checksum():
    with tf.Graph().as_default(), tf.Session() as session:
        value = tf.get_variable('value', initializer=np.ones(1000, np.float32))
        session.run(tf.global_variables_initializer())
        seen = []
        variables = agreement.Variables(Answers(lambda sums: seen.append(sums) or sums))
        variables.make_equal(session)
        changed = np.ones(1000, np.float32)
        changed[500] = np.nextafter(np.float32(1), np.float32(2))
        value.load(changed, session)
        variables.make_equal(session)
    assert seen[1] != seen[2]


def test_rank_0_looks_up_and_its_failure_ends_the_others_quietly():
    assert agreement.on_rank_0(cluster.SingleProcess(), lambda: 5) == 5
    assert agreement.on_rank_0(Second(lambda _: {'value': 7}), lambda: 1 / 0) == 7

    def fail():
        raise errors.UsageError('wrong')

    with pytest.raises(errors.UsageError, match='wrong'):
        agreement.on_rank_0(Answers(lambda outcome: outcome), fail)
    with pytest.raises(SystemExit) as ended:
        agreement.on_rank_0(Second(lambda _: {'exit_code': 2}), fail)
    assert ended.value.code == 2


def test_batch_norm_with_shared_moments_is_the_fused_one_where_there_is_one_worker():
    class Pretend(cluster.SingleProcess):
        """Two workers with the same batch: every sum has each row twice."""

        size = 2

        def sum(self, tensor, name):
            return tensor[:1] + tf.zeros_like(tensor)

    def build(shared, data_format, training=True):
        images = tf.random.stateless_normal([8, 6, 5, 4], seed=[1, 2])
        # The moving variance of 16 images has another correction than that of 8.
        net = slim.batch_norm(
            images, is_training=training, scale=True, decay=0.0, data_format=data_format
        )
        loss = tf.reduce_sum(net * tf.random.stateless_normal([8, 6, 5, 4], seed=[3, 4]))
        tf.losses.add_loss(loss)
        count = cross_replica.share_batch_moments([loss], Pretend()) if shared else 0
        gradients = tf.gradients(loss, [*tf.trainable_variables()])
        return count, [loss, *gradients], tf.get_collection(tf.GraphKeys.UPDATE_OPS)

    results = []
    for shared in (False, True):
        with tf.Graph().as_default(), tf.Session() as session:
            count, fetches, updates = build(shared, 'NHWC')
            session.run(tf.global_variables_initializer())
            values = session.run(fetches)
            session.run(updates)
            statistics = session.run([v for v in tf.global_variables() if 'moving' in v.op.name])
        assert count == int(shared)
        results.append([*values, *statistics])
    images = 8 * 6 * 5
    results[1][-1] *= (images / (images - 1)) / (2 * images / (2 * images - 1))
    for fused, shared in zip(*results, strict=True):
        np.testing.assert_allclose(shared, fused, rtol=2e-5, atol=2e-5)


def test_batch_norm_that_cannot_be_shared_is_refused():
    with tf.Graph().as_default():
        net = slim.batch_norm(tf.ones([2, 3, 4, 5]), is_training=True, fused=False)
        with pytest.raises(errors.UsageError, match='1 batch norms, of which 0'):
            cross_replica.share_batch_moments([tf.reduce_sum(net)], cluster.SingleProcess())
