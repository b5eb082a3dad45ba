"""Reports: rows against numpy, what is counted, what the page and the files hold."""

import base64
import csv
import html.parser
import io
import json
import os
import re

import fake_records
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from runtime.results.reports import calibration, counts, matrix, page, report, rows, sheet
from runtime.training import classification
from slim import errors

CLASSES, IMAGES = 7, 40
RESULT = {
    'checkpoint': '/run/model.ckpt-9',
    'step': 9,
    'images': IMAGES,
    'accuracy': 0.5,
    'recall_5': 0.9,
    'model_name': 'a_net',
    'image_size': 32,
    'preprocessing_name': 'plain',
    'weights': 'moving averages',
    'dtype': 'fp32',
    'dataset_name': 'numbers',
    'dataset_split_name': 'validation',
    'tensorflow_version': '2',
}


def collected(logits, labels, files=0, batch_size=16):
    """The rows, and (images, top-1, top-5) as the evaluation counts them, in filled batches."""
    classes = logits.shape[1]
    with tf.Graph().as_default(), tf.Session() as session:
        fed = [tf.placeholder(tf.float32, [batch_size, classes]), tf.placeholder(tf.int64, [None])]
        real = tf.placeholder(tf.bool, [None])
        told = [tf.placeholder(kind, [None]) for kind in (tf.int64, tf.int64, tf.string)]
        kept = rows.Collector(rows.of_batch(*fed, told), positions=[files])
        counted = classification.count_correct(*fed, real)
        sums = np.zeros(3, np.int64)
        for first in range(0, len(labels), batch_size):
            part = slice(first, first + batch_size)
            number = np.arange(len(labels))[part]
            missing = batch_size - len(number)
            feed = {
                fed[0]: np.pad(logits[part], [(0, missing), (0, 0)]),
                fed[1]: np.pad(labels[part], (0, missing)),
                real: np.arange(batch_size) < len(number),
                told[0]: np.zeros_like(number),
                told[1]: number,
                told[2]: [b'' if n % 2 else b'pic%d<b>.jpg' % n for n in number],
            }
            kept.take(session.run(kept.tensors, feed))
            sums += session.run([counted.images, counted.top_1, counted.top_5], feed)
    return kept, sums.tolist()


@pytest.fixture(scope='module')
def made_up():
    """Logits with ties, images that are not finite, and a class that never occurs."""
    random = np.random.default_rng(3)
    labels = random.integers(CLASSES - 1, size=IMAGES)
    logits = random.normal(size=[IMAGES, CLASSES]).astype(np.float32)
    logits[np.arange(IMAGES), labels] += 1.5
    labels[:2], logits[:2] = [0, 3], 1.0  # All alike: wrong, whatever the label.
    labels[2], logits[2] = 1, [-9, 0, -9, -9, -9, 1e-9, -9]  # Alike as probabilities alone.
    labels[5], logits[5] = 0, [-9, 0, 1e-9, -9, -9, -9, -9]
    logits[3, 4], logits[4, 0] = np.nan, np.inf
    kept, sums = collected(logits, labels)
    return logits, labels, kept.rows, sums


def test_rows_say_what_the_evaluation_counts(made_up):
    logits, labels, found, (images, top_1, top_5) = made_up
    assert (len(found), images) == (IMAGES, IMAGES)
    assert found.right.sum() == top_1 and (found.places < 5).sum() == top_5
    assert not found.right[:3].any()
    finite = np.isfinite(logits).all(axis=1)
    np.testing.assert_array_equal(found.classes[:, 0] == rows.NONE, ~finite)
    shares = np.exp(logits[finite].astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    label_shares = shares[np.arange(finite.sum()), labels[finite]]
    np.testing.assert_allclose(found.truth[finite], label_shares, rtol=1e-5)
    np.testing.assert_allclose(
        found.probabilities[finite], -np.sort(-shares, axis=1)[:, :5], rtol=1e-5
    )
    plain = np.flatnonzero(finite)[3:]
    np.testing.assert_array_equal(found.classes[plain], np.argsort(-logits[plain], axis=1)[:, :5])


def test_rows_of_many_workers_meet_in_the_order_of_the_records(made_up):
    logits, labels, whole, _ = made_up

    class TwoWorkers:
        size = 2

        def gather(self, value):
            other = rows._as_json(collected(logits[:9], labels[:9], files=0)[0].rows)
            return json.loads(json.dumps([value, other, None]))

    mine, _ = collected(logits[9:], labels[9:], files=1)
    found = rows.gather(TwoWorkers(), mine)
    assert found.files.tolist() == [0] * 9 + [1] * (IMAGES - 9)
    assert found.records.tolist() == [*range(9), *range(IMAGES - 9)]
    for name in ('labels', 'places', 'truth', 'classes', 'probabilities'):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), err_msg=name)
    assert found.names.tolist()[:9] == whole.names.tolist()[:9]


@pytest.mark.once
def test_counts_are_those_of_numpy(made_up):
    _, labels, found, _ = made_up
    counted, pairs = counts.count(found, CLASSES)
    best = found.classes[:, 0]
    dense = pairs.matrix(np.arange(CLASSES), CLASSES)
    for label in range(CLASSES):
        for predicted in range(CLASSES):
            assert dense[label, predicted] == np.sum((labels == label) & (best == predicted))
    known = counted.images > 0
    assert known.tolist() == [True] * (CLASSES - 1) + [False]
    np.testing.assert_allclose(counted.recall[known], np.diag(dense)[known] / counted.images[known])
    np.testing.assert_array_equal(counted.predicted, dense.sum(axis=0))
    np.testing.assert_array_equal(counted.not_finite, counted.images - dense.sum(axis=1))
    assert np.isnan(counted.recall[-1])
    found_once = counted.predicted > 0
    np.testing.assert_allclose(
        counted.precision[found_once], np.diag(dense)[found_once] / dense.sum(axis=0)[found_once]
    )
    precision, recall = counted.precision[0], counted.recall[0]
    assert counted.f1[0] == pytest.approx(2 * precision * recall / (precision + recall))
    first = pairs.mistakes
    off_diagonal = dense - np.diag(np.diag(dense))
    assert first.images[0] == off_diagonal.max() and sum(first.images) == off_diagonal.sum()
    assert set(counts.most_confused(pairs, 2)) == {first.labels[0], first.predicted[0]}


@pytest.mark.once
def test_the_calibration_error_is_the_published_one():
    def with_confidence(confidence, right):
        size = len(confidence)
        classes = np.where(np.asarray(right)[:, None], [[0, 1]], [[1, 0]])
        shares = np.stack([confidence, 1 - np.asarray(confidence)], axis=1).astype(np.float32)
        zeros = np.zeros(size, np.int64)
        return rows.Rows(zeros, zeros, zeros, zeros, zeros, shares[:, 0], classes, shares)

    # Of four with 0.9, three are right; both with 0.65 are, and 1 is in the last bin.
    found = calibration.calibrate(
        with_confidence([0.9] * 4 + [0.65] * 2 + [1.0], [True] * 3 + [False] + [True] * 3)
    )
    assert found.images.sum() == 7 and found.images[-1] == 1 and found.images[13] == 4
    assert found.accuracy[13] == 0.75
    expected = (4 * abs(0.75 - 0.9) + 2 * abs(1 - 0.65)) / 7
    assert found.expected_error == pytest.approx(expected, abs=1e-6)


class Page(html.parser.HTMLParser):
    """What the page loads and says."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.links, self.tags, self.words = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        named = dict(attributes)
        self.sources += [named[key] for key in ('src', 'srcset', 'data') if key in named]
        self.links += [named['href']] if 'href' in named else []

    def handle_data(self, data):
        self.words.append(data)


def dataset(folder, numbers, labels_to_names=None):
    records = fake_records.write(folder, [len(numbers)], numbers=numbers)
    object.__setattr__(records, 'labels_to_names', labels_to_names)
    return records


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_report_of_a_few_classes(made_up, tmp_path, capsys):
    _, labels, found, _ = made_up
    names = {n: f'<script>{n} & co' for n in range(1, CLASSES + 1)}
    records = dataset(tmp_path, list(range(IMAGES)), names)
    folder = tmp_path / 'report'
    (folder / 'mine').mkdir(parents=True)
    (folder / 'confusion_zoom.png').write_text('of an earlier report')
    report.write(str(folder), found, records, CLASSES, 1, RESULT)
    assert capsys.readouterr().out == f'report: {folder}/index.html\n'
    text = (folder / 'index.html').read_text()
    shown = Page(text)
    assert all(source.startswith('data:image/') for source in shown.sources)
    assert 'script' not in shown.tags and 'url(' not in text and '@import' not in text
    assert set(os.listdir(folder)) == {*shown.links, 'index.html', 'mine'}
    assert set(report.FILES) - set(os.listdir(folder)) == {'confusion_zoom.png'}
    words = ' '.join(shown.words)
    assert '<script>3 & co' in words and 'pic14<b>.jpg' in words
    assert '2 images have logits that are not finite' in words

    classes = read_csv(folder / 'classes.csv')
    assert [row['label'] for row in classes] == [str(n) for n in range(1, CLASSES + 1)]
    counted, pairs = counts.count(found, CLASSES)
    assert [float(row['recall'] or 'nan') for row in classes] == pytest.approx(
        counted.recall.tolist(), rel=1e-5, nan_ok=True
    )
    assert classes[6]['accuracy'] == '' and classes[6]['images'] == '0'
    square = list(csv.reader(io.StringIO((folder / 'confusion_matrix.csv').read_text())))
    assert square[0][1:] == list(names.values())
    dense = pairs.matrix(np.arange(CLASSES), CLASSES)
    assert [[int(x) for x in row[1:]] for row in square[1:]] == dense.tolist()
    confused = read_csv(folder / 'confused_pairs.csv')
    assert sum(int(row['images']) for row in confused) == dense.sum() - np.trace(dense)

    predictions = read_csv(folder / 'predictions.csv')
    assert len(predictions) == IMAGES
    assert [int(row['label']) - 1 for row in predictions] == labels.tolist()
    assert predictions[6]['image'] == 'pic6<b>.jpg'
    assert predictions[7]['image'] == 'train-00000-of-00001:7'
    assert predictions[3]['predicted_1'] == predictions[3]['place'] == ''
    assert sum(int(row['correct']) for row in predictions) == found.right.sum()
    for row in predictions[5:]:
        assert int(row['predicted_1']) - 1 == found.classes[int(row['record']), 0]

    # Pictures are those of the records: each is filled with its number.
    worst = sheet.worst(found)
    assert len(worst) == (~found.right).sum() - 2 and not worst.right.any()
    assert worst.probabilities[0, 0] == worst.probabilities[:, 0].max()
    jpegs = [source for source in shown.sources if source.startswith('data:image/jpeg')]
    first = Image.open(io.BytesIO(base64.b64decode(jpegs[0].partition(',')[2])))
    middle = first.getpixel((sheet.SIDE // 2, sheet.SIDE // 2))
    assert abs(middle[0] - int(worst.records[0])) <= 2
    assert Image.open(folder / 'worst_mistakes.png').width > 3 * sheet.SIDE


def test_a_thousand_classes_are_shown_in_groups_and_from_both_ends(tmp_path):
    classes, images = 1000, 3000
    random = np.random.default_rng(0)
    labels = np.arange(images) % classes
    logits = np.zeros([images, classes], np.float32)
    logits[np.arange(images), np.where(random.random(images) < 0.3, 17, labels)] = 9.0
    kept, _ = collected(logits, labels, batch_size=500)
    names = {n: f'class {n} ' + 'of a long name, ' * 20 for n in range(classes)}
    records = dataset(tmp_path, list(range(images)), names)
    folder = tmp_path / 'report'
    report.write(str(folder), kept.rows, records, classes, 0, RESULT)
    for name in ('confusion_matrix.png', 'confusion_zoom.png'):
        assert max(Image.open(folder / name).size) < 1250, name
    assert (folder / 'index.html').stat().st_size < 1_000_000
    words = ' '.join(Page((folder / 'index.html').read_text()).words)
    assert 'Lowest accuracy' in words and 'Highest accuracy' in words
    assert '10 neighbouring classes in each line' in words
    assert len(read_csv(folder / 'classes.csv')) == classes
    _, pairs = counts.count(kept.rows, classes)
    grouped = matrix.whole(pairs, np.full(classes, 3), list(names.values()))
    assert grouped.images.shape == (100, 100) and grouped.images.sum() == images
    assert sum(map(bool, grouped.names)) == 20


def test_a_report_that_fails_is_one_line_and_leaves_no_page(made_up, tmp_path, monkeypatch):
    records = dataset(tmp_path, list(range(IMAGES)))
    folder = tmp_path / 'report'

    def fails(content):
        raise ZeroDivisionError('why')

    with monkeypatch.context() as patched:
        patched.setattr(page, 'render', fails)
        with pytest.raises(errors.OutputError, match=r'result stands.*ZeroDivisionError: why'):
            report.write(str(folder), made_up[2], records, CLASSES, 0, RESULT)
    assert 'classes.csv' in os.listdir(folder) and 'index.html' not in os.listdir(folder)
    report.check_folder(str(folder))
    report.write(str(folder), made_up[2], records, CLASSES, 0, RESULT)
    report.check_folder(str(folder))
    os.remove(records.data_sources[0])
    with pytest.raises(errors.OutputError, match=r'train-00000-of-00001.* cannot be read any more'):
        report.write(str(folder), made_up[2], records, CLASSES, 0, RESULT)
    assert not re.search('index.html', ' '.join(os.listdir(folder)))


@pytest.mark.once
def test_a_page_that_is_no_report_is_not_overwritten(tmp_path):
    (tmp_path / 'index.html').write_text('<html>my site')
    with pytest.raises(errors.OutputError, match='is no report and would be lost'):
        report.check_folder(str(tmp_path))
    with pytest.raises(errors.OutputError, match=r'--report_dir=.* is not a folder'):
        report.check_folder(str(tmp_path / 'index.html' / 'deeper'))
