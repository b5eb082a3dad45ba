"""The pipelines: every record once, order and augmentation as functions of seed and step."""

import dataclasses
import os
import pathlib

import fake_records
import numpy as np
import pytest
import tensorflow as tf

from runtime.input import feed, input_errors, inputs, record_order
from slim import errors

FORMAT = inputs.BatchFormat(batch_size=4, image_size=2)


def take(pipeline, count):
    """`count` batches as numpy, in a graph session as the scripts have it."""
    with tf.Graph().as_default() as graph:
        iterator = tf.compat.v1.data.make_initializable_iterator(pipeline())
        batch = iterator.get_next()
        with tf.compat.v1.Session(graph=graph) as session:
            session.run(iterator.initializer)
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


@pytest.fixture(scope='module')
def awkward_records(tmp_path_factory):
    counts = [1, 200, 147, 333, 2, 46, 301]
    return fake_records.write(tmp_path_factory.mktemp('awkward'), counts)  # 1,030 in 7 files


@pytest.mark.parametrize(
    ('size', 'cache'),
    [
        *((size, False) for size in range(1, 5)),
        *(
            pytest.param(size, False, marks=[pytest.mark.slow, pytest.mark.once])
            for size in range(5, 9)
        ),
        (1, True),
        (3, True),
    ],
)
def test_workers_share_every_epoch_without_overlap(awkward_records, size, cache):
    """Two epochs, however they are dealt out: every worker gets as many, together they get all."""
    batch = inputs.BatchFormat(batch_size=5, image_size=2)
    parts = []
    for rank in range(size):
        order = inputs.TrainingOrder(
            3, shard=inputs.Shard(rank, size), reading=inputs.Reading(cache=cache)
        )
        mine = numbers(
            take(
                lambda order=order: inputs.training_batches(
                    awkward_records, fake_records.preprocess_with_noise, batch, order
                ),
                2060 // (5 * size) + 1,
            )
        )
        parts.append(mine)
    assert len({len(part) for part in parts}) == 1
    dealt = [number for group in zip(*parts, strict=True) for number in group]
    assert sorted(dealt[:1030]) == sorted(dealt[1030:2060]) == list(range(1030))


def test_many_workers_take_the_images_of_one(records):
    parts = [numbers(take(training(records, shard=inputs.Shard(rank, 3)), 5)) for rank in range(3)]
    merged = [number for group in zip(*parts, strict=True) for number in group]
    assert merged == numbers(take(training(records), 15))


def test_a_cached_set_is_read_once_and_shuffled_anew_each_epoch(records):
    def pipeline():
        reading = inputs.Reading(cache=True)
        return training(records, reading=reading)()

    with tf.Graph().as_default() as graph:
        iterator = tf.compat.v1.data.make_initializable_iterator(pipeline())
        batch = iterator.get_next()
        with tf.compat.v1.Session(graph=graph) as session:
            session.run(iterator.initializer)
            for path in records.data_sources:
                pathlib.Path(path).unlink()
            seen = numbers([session.run(batch) for _ in range(15)])
    assert sorted(seen[:30]) == sorted(seen[30:]) == list(range(30))
    assert seen[:30] != seen[30:]


def test_a_cache_that_memory_cannot_hold_is_refused(records, monkeypatch):
    monkeypatch.setattr(record_order, '_bytes', lambda files: 1 << 60)
    with pytest.raises(errors.UsageError, match=r'--cache would hold 1152921504\.6 GB'):
        training(records, reading=inputs.Reading(cache=True))()


def test_without_order_every_image_is_there_all_the_same(records):
    batch = inputs.BatchFormat(4, 2, deterministic=False)
    order = inputs.TrainingOrder(3)
    seen = numbers(
        take(
            lambda: inputs.training_batches(
                records, fake_records.preprocess_with_noise, batch, order
            ),
            15,
        )
    )
    assert len(seen) == 60
    # At most the images in flight, one per call, have left their epoch.
    assert len(set(seen[:30])) >= 30 - batch.parallel_decodes


def test_the_shuffle_buffer_holds_so_many_bytes_at_most(tmp_path):
    files = []
    for number in range(40):
        path = tmp_path / f'{number}'
        path.write_bytes(b'')
        os.truncate(path, 100_000_000)
        files.append(str(path))
    # 4 GB: of 10,000 records of 400 KB 640 fit, of a million small ones the usual number.
    assert record_order._buffer_size(files, 10_000, 96) == 640
    assert record_order._buffer_size(files, 1_000_000, 96) == 2048
    assert record_order._buffer_size(files, 1_000_000, 200) == 4000
    assert record_order._buffer_size(files[:1], 1, 96) == 1


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
    message = input_errors.message(failure.value)
    assert message == 'record "n-7" has label -7, but the classes of this set are 0 to 3'
    named = input_errors.explain(failure.value, records)
    assert named == f'{records.data_sources[0]}, record 3 (counted from 0): {message}'


def test_a_truncated_file_is_an_error_and_no_silent_end(records):
    with open(records.data_sources[2], 'r+b') as file:
        file.truncate(47)  # inside the third record's bytes
    with pytest.raises(tf.errors.DataLossError) as failure:
        take(training(records), 15)
    message = input_errors.message(failure.value)
    assert message.startswith('A record cannot be used: truncated record')
    assert '\n' not in message
    assert '[[' not in message
    named = input_errors.explain(failure.value, records)
    assert named == f'{records.data_sources[2]}, record 2 (counted from 0): {message}'


def test_the_failed_batch_is_looked_at_first(tmp_path):
    """Record 3 of the second file fails at step 5; one before it in the files is never reached."""
    numbers_of = list(range(30))
    numbers_of[4], numbers_of[13] = -5, -14
    records = fake_records.write(tmp_path, [10, 20], numbers=numbers_of)
    order = inputs.TrainingOrder(3)

    def reached(bad):
        """The step whose batch holds a record."""
        listed = take(
            lambda: inputs.training_records(records, FORMAT, order).map(
                lambda number, placed: placed
            ),
            30,
        )
        names = [(int(file), int(number)) for (file, number), _ in listed]
        return names.index(bad) // FORMAT.batch_size

    first, second = sorted([(0, 4), (1, 3)], key=reached)
    with tf.Graph().as_default():
        source = feed.Feed(records, fake_records.preprocess_with_noise, FORMAT, order)
        batch = source.next_batch()
        done = 0
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.tables_initializer())
            with pytest.raises(tf.errors.InvalidArgumentError) as failure:
                while True:
                    session.run(batch)
                    done += 1
    assert done == reached(first) <= reached(second)
    explained = source.explain(failure.value, done)
    assert explained.startswith(f'{records.data_sources[first[0]]}, record {first[1]} (counted')


def test_records_that_cannot_be_used_are_skipped_and_counted(tmp_path):
    numbers_of = list(range(30))
    numbers_of[4], numbers_of[13] = -5, -14
    records = fake_records.write(tmp_path, [10, 20], numbers=numbers_of)
    reading = inputs.Reading(skip_damaged=True)
    batches = take(training(records, reading=reading), 15)
    seen = numbers(batches)
    assert sorted(seen[:28]) == sorted(seen[28:56]) == sorted({*range(30)} - {4, 13})
    counts = [int(skipped) for *_, skipped in batches]
    assert counts == sorted(counts)
    # The last batch is of the third epoch.
    assert counts[0] <= 2 and counts[-2] <= 4 <= counts[-1] <= 6
    evaluated = take(
        lambda: inputs.evaluation_batches(records, fake_records.preprocess, FORMAT, True), 7
    )
    real = np.concatenate([batch[2] for batch in evaluated])
    assert np.array(numbers(evaluated))[real].tolist() == sorted(seen[:28])


def test_the_rest_of_a_truncated_file_is_skipped_and_counted(records):
    with open(records.data_sources[2], 'r+b') as file:
        file.truncate(47)  # inside the third record's bytes: two of thirteen are left
    batches = take(training(records, reading=inputs.Reading(skip_damaged=True)), 20)
    seen = numbers(batches)
    assert len(set(seen)) == 19
    # The gap shows at the end of each epoch of nineteen.
    assert [int(skipped) for *_, skipped in batches][-1] == 11 * (80 // 19)


def test_sound_records_hold_no_bad_one(records):
    assert input_errors.first_bad_record(records) is None


@pytest.mark.parametrize('make', ['training', 'evaluation', 'cache'])
@pytest.mark.parametrize('compression', ['GZIP', 'ZLIB'])
def test_compressed_files_are_read(records, tmp_path, make, compression):
    """Of several files one is compressed; nothing else changes."""
    path = records.data_sources[1]
    content = [record.numpy() for record in tf.data.TFRecordDataset(path)]
    with tf.io.TFRecordWriter(path, compression) as writer:
        for record in content:
            writer.write(record)
    packed = dataclasses.replace(records, compressions=('', compression, '', ''))

    def batches(records):
        if make == 'evaluation':
            return inputs.evaluation_batches(records, fake_records.preprocess, FORMAT)
        return training(records, reading=inputs.Reading(cache=make == 'cache'))()

    seen = numbers(take(lambda: batches(packed), 5))
    with tf.io.TFRecordWriter(path) as writer:
        for record in content:
            writer.write(record)
    assert seen == numbers(take(lambda: batches(records), 5))
    assert input_errors.first_bad_record(records) is None


def test_an_image_of_a_strange_format_is_named(tmp_path, compression='GZIP'):
    records = fake_records.write(tmp_path, [2])
    path = records.data_sources[0]
    with tf.io.TFRecordWriter(path, compression) as writer:
        writer.write(b'7')
        writer.write(b'strange')
    records = dataclasses.replace(records, compressions=(compression,))
    with pytest.raises(tf.errors.InvalidArgumentError) as failure:
        take(training(records), 2)
    named = input_errors.explain(failure.value, records)
    assert named.startswith(
        f'{path}, record 1 (counted from 0): the image is a strange file, which is not decoded'
    )
