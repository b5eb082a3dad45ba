"""What a step says about its input."""

import time

import fake_records
import numpy as np
import tensorflow.compat.v1 as tf

from runtime.input import feed, inputs


def test_the_wait_for_data_is_what_the_pipeline_takes(tmp_path):
    records = fake_records.write(tmp_path, [30])

    def slow(encoded, height, width, seed):
        image = fake_records.preprocess(encoded, height, width)
        return tf.numpy_function(lambda x: (time.sleep(0.05), x)[1], [image], tf.float32)

    waits = {}
    for name, preprocess, work_secs in (
        ('slow', slow, 0.0),
        ('fast', fake_records.preprocess, 0.3),
    ):
        with tf.Graph().as_default():
            batch = inputs.BatchFormat(4, 2, parallel_decodes=1)
            source = feed.Feed(records, preprocess, batch, inputs.TrainingOrder(1))
            values = {'batch': source.next_batch(), **source.tensors()}
            with tf.Session() as session:
                session.run(tf.tables_initializer())
                found = []
                for _ in range(7):
                    found.append(session.run(values)['data_wait_secs'])
                    time.sleep(work_secs)
        waits[name] = np.median(found)
    assert waits['slow'] > 0.15  # 4 images of 0.05 s
    assert waits['fast'] < 0.5 * waits['slow']


def test_every_clone_gets_its_own_batch(tmp_path):
    records = fake_records.write(tmp_path, [30])
    with tf.Graph().as_default():
        order = inputs.TrainingOrder(1, batches_per_step=2)
        source = feed.Feed(records, fake_records.preprocess, inputs.BatchFormat(3, 2), order)
        batches = [source.next_batch()[0] for _ in range(2)]
        with tf.Session() as session:
            session.run(tf.tables_initializer())
            values = [session.run([batches, source.tensors()]) for _ in range(5)]
    # The images are numbers, the labels number % 4.
    for pair, tensors in values:
        labels = [int(image[0, 0, 0]) % 4 for images in pair for image in images]
        assert tensors['labels'].tolist() == [min(labels), max(labels)]
    seen = [int(image[0, 0, 0]) for pair, _ in values for images in pair for image in images]
    assert sorted(seen) == list(range(30))
    assert all(tensors['skipped'] == 0 for _, tensors in values)


def test_clones_take_their_batches_in_their_order(tmp_path):
    """What makes --num_clones=2 the same at every run."""
    records = fake_records.write(tmp_path, [30])

    def batches_of(clones, steps):
        with tf.Graph().as_default(), tf.Session() as session:
            order = inputs.TrainingOrder(1, batches_per_step=clones)
            batch = inputs.BatchFormat(2, 2)
            source = feed.Feed(records, fake_records.preprocess, batch, order)
            images = [source.next_batch()[0] for _ in range(clones)]
            session.run(tf.tables_initializer())
            # Asked for in the other order, as nothing else tells the session who comes first.
            values = [session.run(images[::-1])[::-1] for _ in range(steps)]
        return [value[:, 0, 0, 0].tolist() for step in values for value in step]

    assert batches_of(3, 60) == batches_of(1, 180)


def test_images_travel_in_the_type_that_the_network_computes_in(tmp_path):
    records = fake_records.write(tmp_path, [300])
    found = {}
    for image_type in ('float32', 'bfloat16'):
        with tf.Graph().as_default(), tf.Session() as session:
            batch = inputs.BatchFormat(3, 2, image_type=image_type)
            source = feed.Feed(records, fake_records.preprocess, batch, inputs.TrainingOrder(1))
            images, _ = source.next_batch()
            assert images.dtype.name == image_type
            on_card = tf.cast(tf.cast(images, tf.bfloat16), tf.float32)
            session.run(tf.tables_initializer())
            found[image_type] = [session.run(on_card) for _ in range(30)]
    np.testing.assert_array_equal(found['bfloat16'], found['float32'])
    assert np.max(found['float32']) > 256  # Above it bfloat16 rounds.
