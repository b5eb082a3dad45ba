"""Validation in the graph of a training: every image once, of the averages, by all workers."""

import types

import fake_records
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime import options, startup
from runtime.checkpoints import averages
from runtime.results import validator
from slim import errors

KEYS = tf.GraphKeys
# To be saved, trained, compared with a checkpoint, run or initialized.
COLLECTIONS = (KEYS.GLOBAL_VARIABLES, KEYS.TRAINABLE_VARIABLES, KEYS.MODEL_VARIABLES)
COLLECTIONS += (KEYS.UPDATE_OPS, KEYS.LOSSES, KEYS.REGULARIZATION_LOSSES, KEYS.TABLE_INITIALIZERS)


class Worker:
    """One of some, to which the others `tell` theirs, one after each gathering."""

    def __init__(self, rank=0, size=1, tell=()):
        self.rank, self.size, self._tell = rank, size, list(tell)

    def gather(self, value):
        self.mine = value
        return [value, *([self._tell.pop(0)] if self.size > 1 else [])]


def network(images):
    """Says n // 8 of the number n in the pixels; class 0 has the value of the variable besides."""
    logits = tf.one_hot(tf.cast(images[:, 0, 0, 0], tf.int64) // 8, 4, dtype=images.dtype)
    one = tf.reshape(tf.ones_like(images[:1, 0, 0, 0]), [1, 1])
    bias = slim.fully_connected(one, 1, activation_fn=None, biases_initializer=None, scope='fc')
    return logits + bias * tf.constant([1.0, 0.0, 0.0, 0.0], images.dtype), {}


def metrics(numbers, bias):
    """What is to be found for records of these numbers, by numpy."""
    numbers = np.array(numbers)
    own = np.eye(4)[numbers % 4] > 0
    logits = np.eye(4)[numbers // 8] + bias * np.eye(4)[0]
    loss = np.log(np.exp(logits).sum(axis=1)) - logits[own]
    right = logits[own] > np.where(own, -np.inf, logits).max(axis=1)
    return {'Accuracy': right.mean(), 'Recall_5': 1.0, 'loss': loss.mean()}


class Training:
    """The graph of a training, in which class 0 has 3 and on average 2, and its validation."""

    def __init__(self, records, worker=None, decay=0.5, kind='CPU', dtype='fp32', **flags):
        chosen = types.SimpleNamespace(
            input=options.TrainingInputOptions(batch_size=4, **flags),
            dataset=options.DatasetOptions(),
        )
        built = types.SimpleNamespace(function=network, image_size=2)
        parts = types.SimpleNamespace(
            dataset=records, network=built, preprocess=fake_records.preprocess
        )
        device = types.SimpleNamespace(kind=kind, name='/device:CPU:0')
        runtime = startup.Runtime(device, worker or Worker(), dtype)
        with tf.Graph().as_default() as graph:
            network(tf.zeros([1, 2, 2, 3]))
            held = averages.moving_averages(decay)

            def collections():
                return [tf.get_collection(name) for name in COLLECTIONS]

            before = collections()
            self._evaluate = validator.add(chosen, parts, runtime, held)
            assert collections() == before
            self.session = tf.Session()
            self.session.run(tf.global_variables_initializer())
            for variable, value in zip(tf.global_variables(), (3.0, 2.0), strict=False):
                variable.load([[value]], self.session)
            graph.finalize()
        self.beats = 0

    def beat(self):
        self.beats += 1

    def evaluate(self, asked_to_stop=lambda: False):
        return self._evaluate(self.session, self.beat, asked_to_stop)


def approximately(values, rel=1e-5):
    return {name: pytest.approx(value, rel=rel) for name, value in values.items()}


def test_each_pass_has_every_image_once_and_the_averages(tmp_path):
    records = fake_records.write(tmp_path, [4, 26])
    training = Training(records)
    for _ in range(2):
        assert training.evaluate() == (30, approximately(metrics(range(30), 2.0)))
    # One pass that is given up does not leave its rest to the next one.
    beats = training.beats
    assert training.evaluate(lambda: training.beats >= beats + 2) is None
    assert training.beats <= beats + 3
    assert training.evaluate()[0] == 30
    without = Training(records, decay=None)
    assert without.evaluate() == (30, approximately(metrics(range(30), 3.0)))


def test_in_16_bits_the_averages_are_cast(tmp_path):
    records = fake_records.write(tmp_path, [4, 26])
    in_half = Training(records, kind='GPU', dtype='bf16')
    assert in_half.evaluate() == (30, approximately(metrics(range(30), 2.0), 0.01))


def test_workers_share_the_files_and_their_counts_meet(tmp_path, monkeypatch):
    records = fake_records.write(tmp_path, [4, 26])
    other = [26, 5, 26, 40.0]
    first = Worker(0, 2, [[True, False, other]])
    images, values = Training(records, first).evaluate()
    assert first.mine[2][0] == 4 and images == 30
    right = metrics(range(4), 2.0)['Accuracy'] * 4
    assert values['Accuracy'] == pytest.approx((right + 5) / 30)
    # One that has no file waits for the others, round by round, and tells that it lives.
    second = Worker(2, 3, [[False, False, [9, 1, 9, 9.0]], [True, False, [30, 3, 30, 60.0]]])
    idle = Training(records, second)
    found = idle.evaluate()
    assert found == (30, {'Accuracy': 0.1, 'Recall_5': 1.0, 'loss': 2.0})
    assert second.mine == [True, False, (0, 0, 0, 0.0)]
    assert idle.beats == 3
    # One that takes long shows up now and then; a signal to another one ends its pass.
    monkeypatch.setattr(validator, '_ROUND_SECS', 0.0)
    going, stopped = [False, False, [4, 0, 4, 1.0]], [False, True, [8, 0, 8, 1.0]]
    busy = Worker(1, 2, [going, stopped])
    assert Training(records, busy).evaluate() is None
    assert busy.mine[0] is False and busy.mine[2][0] == 8


def test_records_that_are_missing_or_bad_are_told(tmp_path):
    records = fake_records.write(tmp_path, [4, 26])
    with open(records.data_sources[0], 'r+b') as file:
        file.truncate(17 * 3 + 5)  # In the head of the fourth record, where TensorFlow sees an end.
    with pytest.raises(errors.DataError, match='hold 29 images, but the split should have 30'):
        Training(records).evaluate()
    assert Training(records, on_data_error='skip').evaluate()[0] == 29
    records = fake_records.write(tmp_path, [3], numbers=[1, -2, 3])
    with pytest.raises(errors.DataError, match='record "n-2" has label -2'):
        Training(records).evaluate()
    assert Training(records, on_data_error='skip').evaluate()[0] == 2
    with pytest.raises(errors.DataError, match='no records'):
        Training(fake_records.write(tmp_path, [0])).evaluate()
