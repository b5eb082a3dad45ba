"""Batches that wait in the memory of a card, for which a second CPU stands here."""

import dataclasses
import importlib

import fake_records
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from deployment import model_deploy
from runtime import startup
from runtime.devices import devices
from runtime.input import feed, inputs
from runtime.training import graph, repetition
from runtime.training import step as step_lib

HOST, CARD = '/device:CPU:0', '/device:CPU:1'
TWO_DEVICES = tf.ConfigProto(device_count={'CPU': 2})
ON_HOST = inputs.BatchFormat(batch_size=4, image_size=2)
ON_CARD = dataclasses.replace(ON_HOST, device=CARD, device_prefetch=2)
FORMATS = (ON_HOST, ON_CARD)


@pytest.fixture
def records(tmp_path):
    return fake_records.write(tmp_path, [7, 1, 13, 9])  # 30 records


def session():
    return tf.Session(config=TWO_DEVICES)


def source(records, batch, **order):
    order = inputs.TrainingOrder(3, **order)
    with tf.device(HOST):
        return feed.Feed(records, fake_records.preprocess_with_noise, batch, order)


def assert_same(found, expected):
    for some, others in zip(found, expected, strict=True):
        for one, other in zip(some, others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_training_has_the_same_batches_on_the_card(records, capfd):
    found = []
    for batch in FORMATS:
        with tf.Graph().as_default(), session() as running:
            feeding = source(records, batch, first_step=2)
            content = feeding.next_batch()
            told = feeding.tensors()
            running.run(tf.tables_initializer())
            found.append([running.run([*content, told['labels']]) for _ in range(9)])
    assert_same(*found)
    assert {tensor.device for tensor in content} == {CARD}
    assert {tensor.device for tensor in told.values()} == {HOST}
    assert 'will not be optimized' not in capfd.readouterr().err


def test_evaluation_has_the_same_batches_on_the_card_in_every_pass(records):
    found = []
    for batch in FORMATS:
        with tf.Graph().as_default(), session() as running:
            pipeline = inputs.evaluation_batches(records, fake_records.preprocess, batch)
            with tf.device(HOST):
                iterator = inputs.iterator(pipeline, batch)
            content = iterator.get_next()
            passes = []
            for _ in range(2):
                running.run(iterator.initializer)
                with pytest.raises(tf.errors.OutOfRangeError):
                    while True:
                        passes.append(running.run(content))
            found.append(passes)
    assert len(found[0]) == 16  # batches of 30 images, twice
    assert_same(*found)


def test_a_bad_record_ends_the_step_that_it_belongs_to(tmp_path):
    records = fake_records.write(tmp_path, [30])
    records = dataclasses.replace(records, num_classes=3)  # The images' labels are number % 4.
    reached = {}
    for batch in FORMATS:
        with tf.Graph().as_default(), session() as running:
            feeding = source(records, batch)
            content = feeding.next_batch()
            running.run(tf.tables_initializer())
            seen = []
            with pytest.raises(tf.errors.InvalidArgumentError) as caught:
                while True:
                    seen.append(running.run(content)[1].tolist())
            reached[batch.device] = seen, feeding.explain(caught.value, len(seen))
    assert reached[CARD] == reached['']
    assert 'label 3' in reached[CARD][1]


def test_a_loop_on_the_host_takes_its_batches_from_the_card(records):
    found = []
    for batch in FORMATS:
        with tf.Graph().as_default(), session() as running:
            counter = tf.train.create_global_step()
            content = source(records, batch).next_batch()
            with tf.control_dependencies(content):
                counted = counter.assign_add(1, read_value=True)
            fetches = {'step': counted, 'images': content[0], 'labels': content[1]}
            flags = [tf.placeholder_with_default(False, []) for _ in range(2)]
            step = step_lib.Step(fetches, *flags, weights_finite=tf.constant(True), averages=None)
            step = repetition.repeated(step, 3)
            running.run([tf.global_variables_initializer(), tf.tables_initializer()])
            outcomes = [running.run(step.fetches) for _ in range(3)]
            found.append([(o['images'], o['labels'], o['step']) for o in outcomes])
    assert_same(*found)
    assert found[1][2][2].tolist() == [7, 8, 9]


def test_all_that_is_put_on_a_card_has_a_kernel_for_gpus(records):
    with tf.Graph().as_default() as built:
        source(records, ON_CARD).next_batch()
        kinds = {operation.type for operation in built.get_operations() if operation.device == CARD}
    assert {'IteratorV2', 'IteratorGetNext', 'MakeIterator', 'GeneratorDataset'} < kinds
    kernels = importlib.import_module('tensorflow.python.framework.kernels')
    for kind in (*kinds, 'RemoteCall'):
        registered = kernels.get_registered_kernels_for_op(kind).kernel
        assert {'GPU', 'DEFAULT'} & {kernel.device_type for kernel in registered}, kind


@pytest.mark.parametrize(
    ('kind', 'clones', 'wanted', 'expected'),
    [
        ('GPU', {}, 1, ('/device:GPU:0', 1)),
        ('GPU', {}, 3, ('/device:GPU:0', 3)),
        ('GPU', {}, 0, ('/device:GPU:0', 0)),
        ('GPU', {'num_clones': 2}, 1, ('/device:GPU:0', 0)),
        ('GPU', {'clone_on_cpu': True}, 1, ('/device:CPU:0', 0)),
        ('HPU', {}, 1, ('/device:HPU:0', 0)),
        ('CPU', {}, 1, ('/device:CPU:0', 0)),
    ],
)
def test_batches_wait_on_a_gpu_that_has_all_of_a_step(train_flags, kind, clones, wanted, expected):
    places = model_deploy.DeploymentConfig(
        clones.get('num_clones', 1), clones.get('clone_on_cpu', False), device_type=kind
    )
    chosen = train_flags(device_prefetch=wanted)
    runtime = startup.Runtime(devices.Device(kind, 'of a test'), None)
    assert graph.batches_wait_on(chosen, runtime, places) == expected
