"""The pipelines: every record once, order and augmentation as functions of seed and step."""

import fake_records
import numpy as np
import pytest
import tensorflow as tf

from slim import input_errors, inputs

FORMAT = inputs.BatchFormat(batch_size=4, image_size=2)


def take(pipeline, count):
    """`count` batches as numpy, in a graph session as the scripts have it."""
    with tf.Graph().as_default() as graph:
        batch = tf.compat.v1.data.make_one_shot_iterator(pipeline()).get_next()
        with tf.compat.v1.Session(graph=graph) as session:
            return [session.run(batch) for _ in range(count)]


def numbers(batches):
    return [int(n) for images, *_ in batches for n in images[:, 0, 0, 0]]


def training(records, first_step=0, seed=3, **arguments):
    preprocess = arguments.pop('preprocess', fake_records.preprocess_with_noise)
    order = inputs.TrainingOrder(seed, first_step, **arguments)
    return lambda: inputs.training_batches(records, preprocess, FORMAT, order)


@pytest.fixture
def records(tmp_path):
    return fake_records.write(tmp_path, [7, 1, 13, 9])  # 30 records


def test_every_epoch_holds_each_record_once_in_another_order(records):
    seen = numbers(take(training(records), 15))
    assert sorted(seen[:30]) == sorted(seen[30:]) == list(range(30))
    assert seen[:30] != seen[30:]
    assert seen[:30] != list(range(30))


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(records):
    first, again, other = (take(training(records, seed=seed), 9) for seed in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    assert numbers(first) != numbers(other)


@pytest.mark.parametrize('first_step', [1, 7, 8, 20])
def test_a_resumed_pipeline_goes_on_where_the_first_would_have(records, first_step):
    whole = take(training(records), first_step + 5)[first_step:]
    resumed = take(training(records, first_step), 5)
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_augmentation_differs_between_epochs_and_images(records):
    draws = np.concatenate([images[:, 0, 0, 1] for images, *_ in take(training(records), 15)])
    assert len(set(draws.tolist())) == 60


@pytest.mark.parametrize('size', [1, 2, 3, 5])
def test_shards_are_disjoint_and_complete(records, size):
    # 60 records are two epochs, however they are dealt out.
    parts = []
    for rank in range(size):
        shard = inputs.Shard(rank, size)
        count = 60 // 4 // size + 1
        parts.append(numbers(take(training(records, shard=shard), count))[: 60 // size])
    merged = [n for group in zip(*parts, strict=True) for n in group]
    assert sorted(merged[:30]) == sorted(merged[30:60]) == list(range(30))
    assert merged == numbers(take(training(records), 15))


def test_labels_follow_their_images_and_the_offset(records):
    for images, labels, _ in take(training(records), 5):
        np.testing.assert_array_equal(images[:, 0, 0, 0] % 4, labels)


@pytest.mark.parametrize('batch_size', [1, 4, 29, 30, 31, 64])
def test_evaluation_sees_every_record_once_whatever_the_batch_size(records, batch_size):
    batch = inputs.BatchFormat(batch_size, image_size=2)
    count = -(-30 // batch_size)
    pipeline = inputs.evaluation_batches(records, fake_records.preprocess, batch)
    assert pipeline.element_spec[0].shape.as_list() == [batch_size, 2, 2, 3]
    batches = take(
        lambda: inputs.evaluation_batches(records, fake_records.preprocess, batch), count
    )
    real = np.concatenate([batch[2] for batch in batches])
    seen = np.array(numbers(batches))
    assert real.sum() == 30
    assert seen[real].tolist() == list(range(30))
    with pytest.raises(tf.errors.OutOfRangeError):
        take(lambda: inputs.evaluation_batches(records, fake_records.preprocess, batch), count + 1)


@pytest.mark.parametrize('make', ['training', 'evaluation'])
def test_a_label_outside_the_classes_names_record_label_and_classes(tmp_path, make):
    records = fake_records.write(tmp_path, [6], numbers=[1, 2, 3, -7, 5, 6])
    pipeline = (
        training(records)
        if make == 'training'
        else lambda: inputs.evaluation_batches(records, fake_records.preprocess, FORMAT)
    )
    with pytest.raises(tf.errors.InvalidArgumentError) as failure:
        take(pipeline, 3)
    message = input_errors.message(failure.value, records)
    assert message == 'record "n-7" has label -7, but the classes of this set are 0 to 3'
    named = input_errors.explain(failure.value, records)
    assert named == f'{records.data_sources[0]}, record 3 (counted from 0): {message}'


def test_a_truncated_file_is_an_error_and_no_silent_end(records):
    with open(records.data_sources[2], 'r+b') as file:
        file.truncate(47)  # inside the third record's bytes
    with pytest.raises(tf.errors.DataLossError) as failure:
        take(training(records), 15)
    message = input_errors.message(failure.value, records)
    assert message.startswith('A record cannot be used: truncated record')
    assert '\n' not in message
    assert '[[' not in message
    named = input_errors.explain(failure.value, records)
    assert named == f'{records.data_sources[2]}, record 2 (counted from 0): {message}'


def test_sound_records_hold_no_bad_one(records):
    assert input_errors.first_bad_record(records) is None
