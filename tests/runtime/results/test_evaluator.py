"""One exact pass: counts against numpy for awkward batch sizes, the result on disk."""

import json
import os
import pathlib

import fake_records
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.checkpoints import weights
from runtime.input import inputs
from runtime.results import evaluator
from runtime.training import classification
from slim import errors

# Of the numbers 0 .. 29, labelled n % 4, the "network" below says n // 8.
_EXPECTED = np.mean([n // 8 == n % 4 for n in range(30)])


def evaluate(folder, records, batch_size, damage=None, max_batches=None):
    with tf.Graph().as_default():
        tf.train.create_global_step()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            tf.train.get_global_step().load(77, session)
            checkpoint = tf.train.Saver().save(session, str(folder / 'model.ckpt'))
        if damage:
            damage(f'{checkpoint}.data-00000-of-00001')
        batch = inputs.BatchFormat(batch_size, image_size=2)
        pipeline = inputs.evaluation_batches(records, fake_records.preprocess, batch)
        images, labels, real = tf.data.make_one_shot_iterator(pipeline).get_next()
        logits = tf.one_hot(tf.cast(images[:, 0, 0, 0], tf.int64) // 8, 4)
        counts = classification.count_correct(logits, labels, real)
        loaded = weights.Weights(tf.train.Saver(), 'last weights')
        share = evaluator.Share(counts, loaded, max_batches)
        return evaluator.evaluate(checkpoint, share, records.num_samples)


@pytest.mark.parametrize('batch_size', [1, 7, 30, 100])
def test_every_record_counts_once_whatever_the_batch_size(tmp_path, batch_size):
    result = evaluate(tmp_path, fake_records.write(tmp_path, [4, 26]), batch_size)
    assert (result.images, result.expected_images, result.step) == (30, 30, 77)
    assert result.accuracy == pytest.approx(_EXPECTED, abs=1e-12)
    assert result.recall_5 == 1.0
    evaluator.check_complete(result.images, result.expected_images)


def test_max_batches_stops_early(tmp_path):
    result = evaluate(tmp_path, fake_records.write(tmp_path, [30]), 4, max_batches=2)
    assert result.images == 8


def test_fewer_records_than_the_split_should_have_are_an_error(tmp_path):
    records = fake_records.write(tmp_path, [4, 26])
    with open(records.data_sources[0], 'r+b') as file:
        file.truncate(17 * 3 + 5)  # In the head of the fourth record, where TensorFlow sees an end.
    result = evaluate(tmp_path, records, 7)
    with pytest.raises(errors.DataError, match='hold 29 images, but the split should have 30'):
        evaluator.check_complete(result.images, result.expected_images)


def test_no_records_and_bad_labels_are_data_errors(tmp_path):
    with pytest.raises(errors.DataError, match='no records'):
        evaluate(tmp_path, fake_records.write(tmp_path, [0]), 4)
    records = fake_records.write(tmp_path, [3], numbers=[1, -2, 3])
    with pytest.raises(errors.DataError, match='record "n-2" has label -2'):
        evaluate(tmp_path, records, 4)


def _flip_a_byte(path):
    content = bytearray(pathlib.Path(path).read_bytes())
    content[0] ^= 1
    pathlib.Path(path).write_bytes(content)


@pytest.mark.parametrize(
    'damage',
    [_flip_a_byte, os.unlink, lambda path: os.truncate(path, 3)],
    ids=['flipped', 'gone', 'cut off'],
)
def test_a_damaged_checkpoint_is_blamed_and_not_the_records(tmp_path, damage):
    records = fake_records.write(tmp_path, [3])
    with pytest.raises(errors.CheckpointError, match=r'Checkpoint .*model\.ckpt cannot') as failure:
        evaluate(tmp_path, records, 4, damage)
    assert '\n' not in str(failure.value) and 'File "' not in str(failure.value)


def test_the_result_is_printed_and_written_under_the_classic_tags(tmp_path, capsys):
    result = evaluator.Result('/tmp/model.ckpt-9', 9, 30, 30, 0.25, 0.75)
    evaluator.publish(result, str(tmp_path))
    assert capsys.readouterr().out == 'images: 30/30\nAccuracy: 0.2500\nRecall_5: 0.7500\n'
    written = json.loads((tmp_path / 'eval_results.json').read_text())
    assert (written['images'], written['accuracy'], written['recall_5']) == (30, 0.25, 0.75)
    (events,) = tmp_path.glob('events.out.tfevents.*')
    tags = {
        value.tag: (event.step, value.simple_value)
        for event in tf.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert tags == {
        'Accuracy': (9, 0.25),
        'Recall_5': (9, 0.75),
        'eval/Accuracy': (9, 0.25),
        'eval/Recall_5': (9, 0.75),
    }


def test_a_full_disk_is_one_line_below_the_numbers(tmp_path, capsys):
    (tmp_path / 'eval_results.json.partial').symlink_to('/dev/full')
    result = evaluator.Result('/tmp/model.ckpt-9', 9, 30, 30, 0.25, 0.75)
    with pytest.raises(errors.OutputError, match='cannot be written') as refused:
        evaluator.publish(result, str(tmp_path))
    assert '\n' not in str(refused.value)
    assert f'No space left on device: {tmp_path}/eval_results.json' in str(refused.value)
    assert 'Accuracy: 0.2500' in capsys.readouterr().out


def test_the_result_holds_what_its_numbers_depend_on(tmp_path):
    result = evaluator.Result('/tmp/model.ckpt-9', 9, 30, 30, 0.25, 0.75)
    evaluator.publish(result, str(tmp_path), {'image_size': 128, 'weights': 'moving averages'})
    written = json.loads((tmp_path / 'eval_results.json').read_text())
    assert (written['image_size'], written['weights']) == (128, 'moving averages')
    assert written['step'] == 9


def test_workers_share_out_files_and_batches():
    files = [f'f{n}' for n in range(5)]
    parts = [evaluator.part_of_worker(files, 7, rank, 3) for rank in range(3)]
    assert sorted(file for part in parts for file in part.files) == files
    assert [part.max_batches for part in parts] == [3, 2, 2]
    assert evaluator.part_of_worker(files[:1], None, 1, 2) == evaluator.Part((), None)
