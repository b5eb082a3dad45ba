"""Predictions written in every form, by models that are stand-ins."""

import csv
import io
import json
import os

import fake_records
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime import lookup, options
from runtime.results import exported, predictions, predictor
from slim import errors

PATHS = ['a.jpg', 'b\x1b.jpg', 'c.jpg']
LOGITS = np.array([[0.1, 2.0, 1.0], [3.0, -1.0, 3.0]], np.float32)


class Model:
    """Reads the first and the third picture."""

    class_names = ('cat', 'dog', 'a, long name')
    gives_logits = True

    def __init__(self, logits=LOGITS):
        self.logits = logits

    def scores(self):
        yield np.array([0, 2]), self.logits

    def reason(self, path):
        return 'it is torn'


class Progress:
    def __init__(self):
        self.said, self.count = [], 0

    def say(self, line):
        self.said.append(line)

    def advance(self, count):
        self.count += count


def written(form, top_k=2, model=None, **run):
    file, progress = io.StringIO(), Progress()
    chosen = options.PredictionRunOptions(format=form, top_k=top_k, **run)
    assert predictions.write(model or Model(), chosen, PATHS, file, progress) == 1
    assert progress.said == ['left out: b\\x1b.jpg: it is torn']
    assert progress.count == 3
    return file.getvalue()


@pytest.mark.once
def test_json_lines_have_the_exact_logits_and_equal_ones_in_the_order_of_the_classes():
    first, last = map(json.loads, written('jsonl', labels_offset=1).splitlines())
    assert (first['picture'], last['picture']) == ('a.jpg', 'c.jpg')
    shares = np.exp(LOGITS[0].astype(float)) / np.exp(LOGITS[0].astype(float)).sum()
    assert first['predictions'][0] == {
        'rank': 1,
        'label': 2,
        'class': 'dog',
        'probability': pytest.approx(shares[1], abs=1e-12),
        'logit': 2.0,
    }
    assert [guess['class'] for guess in last['predictions']] == ['cat', 'a, long name']
    assert [np.float32(guess['logit']) for guess in first['predictions']] == [2.0, 1.0]


@pytest.mark.once
def test_csv_is_read_back_and_a_table_has_columns():
    rows = list(csv.DictReader(io.StringIO(written('csv', top_k=9))))
    assert tuple(rows[0]) == predictions.COLUMNS
    assert len(rows) == 6 and rows[2]['rank'] == '3'
    assert rows[4]['class'] == 'a, long name'
    table = written('table').splitlines()
    assert table[0].split() == ['picture', 'label', 'class', 'probability']
    assert table[1].split() == ['a.jpg', '1', 'dog', '0.6590']
    assert len({line.rindex('0.') for line in table[1:]}) == 1
    assert len({line.index(word) for line, word in zip(table, ('class', 'dog'), strict=False)}) == 1


@pytest.mark.once
def test_probabilities_are_taken_as_they_are():
    model = Model(np.array([[0.2, 0.5, 0.3]] * 2, np.float32))
    model.gives_logits, model.class_names = False, None
    first = json.loads(written('jsonl', model=model).splitlines()[0])
    guess = {'rank': 1, 'label': 1, 'probability': 0.5}
    assert first['predictions'][0] == guess


@pytest.mark.once
def test_numbers_that_are_not_finite_and_no_numbers_at_all_are_errors():
    model = Model(np.array([[0, 1, 2], [0, np.nan, 1]], np.float32))
    with pytest.raises(errors.NonFiniteLossError, match=r'^c\.jpg: '):
        written('csv', model=model)
    progress = Progress()
    model.scores = lambda: iter([(np.array([1]), LOGITS[:1])])
    chosen = options.PredictionRunOptions()
    assert predictions.write(model, chosen, PATHS, io.StringIO(), progress) == 2
    assert [line.split(': ')[1] for line in progress.said] == ['a.jpg', 'c.jpg']
    model.scores = lambda: iter(())
    with pytest.raises(errors.DataError, match='None of the 3 pictures'):
        written('csv', model=model)


@pytest.mark.once
def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'new' / 'out.csv'
    with pytest.raises(errors.DataError), predictions.output(str(path)) as file:
        file.write('half')
        raise errors.DataError('torn')
    assert os.listdir(path.parent) == []
    with predictions.output(str(path)) as file:
        file.write('whole')
    assert os.listdir(path.parent) == ['out.csv'] and path.read_text() == 'whole'
    with pytest.raises(errors.OutputError), predictions.output('/proc/none/out.csv'):
        pass


def network_in_a_file(takes, output='logits'):
    """What gives [n, 10 n, 0] for the picture of the number n."""

    def of(numbers):
        return np.stack([numbers, 10 * numbers, 0 * numbers], axis=-1)

    def run(batch):
        if takes == exported.IMAGES:
            return of(batch[:, 0, 0, 0])
        if not all(content.isdigit() or content[:1] == b'\xff' for content in batch):
            raise tf.errors.InvalidArgumentError(None, None, 'no number')
        return of(np.array([int(c) if c.isdigit() else 0 for c in batch], np.float32))

    about = exported_about(output)
    return exported.Exported('net.bin', 'tflite', takes, (2, 2, 3), None, about, run)


def exported_about(output):
    from runtime.results.exports.forms.model import About

    return About('net', 'inception', False, 2, output, ('x', 'y', 'z'))


@pytest.mark.parametrize('takes', [exported.IMAGES, exported.IMAGE_BYTES])
def test_an_exported_file_predicts_in_batches_whatever_it_takes(tmp_path, takes):
    paths = [str(tmp_path / str(number)) for number in range(5)]
    for number, path in enumerate(paths):
        with open(path, 'w') as file:
            file.write('torn' if number == 3 else str(number))
    model = network_in_a_file(takes)
    assert predictor.count_classes(model) == 3
    parts = lookup.Predictor(
        lookup.Network(model.run, 3, 2), fake_records.preprocess, '', model.labels
    )

    def scores(on_data_error):
        flags = options.PredictionInputOptions(batch_size=2, on_data_error=on_data_error)
        chosen = options.Prediction(
            flags,
            options.NetworkOptions(),
            options.AverageOptions(),
            options.PredictionRunOptions(),
            options.DeviceOptions(),
        )
        return list(predictor.OfFile(chosen, parts, model, paths).scores())

    found = scores('skip')
    assert [number for numbers, _ in found for number in numbers] == [0, 1, 2, 4]
    np.testing.assert_array_equal(np.concatenate([s for _, s in found])[:, 1], [0, 10, 20, 40])
    with pytest.raises(errors.DataError, match=f'^{paths[3]}: it is no image'):
        scores('stop')


@pytest.mark.once
def test_features_are_no_classes():
    model = network_in_a_file(exported.IMAGES, output='features')
    with pytest.raises(errors.CheckpointError, match=r'net\.bin gives features, not classes'):
        predictor.count_classes(model)
