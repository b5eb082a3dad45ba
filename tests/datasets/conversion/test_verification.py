"""Each thing that can be wrong with a folder of records is found, with its file and record."""

from __future__ import annotations

import json
import shutil

import pytest
import tensorflow as tf

from datasets.conversion import verification
from datasets.records import example_encoding, example_format, framing, record_checks
from datasets.records.example_encoding import bytes_feature, int64_feature
from slim.errors import DataError, UsageError

JSON = {
    'name': 'pets',
    'num_classes': 4,
    'has_background': True,
    'label_names': ['background', 'a', 'b', 'c'],
    'splits': {
        'train': {'num_samples': 6, 'num_shards': 2},
        'validation': {'num_samples': 3, 'num_shards': 1},
    },
}
TRAIN0, TRAIN1 = 'train-00000-of-00002', 'train/train-00001-of-00002'


def _write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'wb') as file:
        for record in records:
            framing.write_record(file, record)


@pytest.fixture
def record(image_bytes):
    def record(seed, label=1, height=8, width=12, encoded=None):
        encoded = image_bytes(seed=seed) if encoded is None else encoded
        return example_format.encode_example(
            encoded, label, height, width, filename=f'image{seed}.jpg'
        )

    return record


@pytest.fixture
def folder(tmp_path, record):
    _write(tmp_path / 'train' / 'train-00000-of-00002', [record(i, 1 + i % 3) for i in range(3)])
    _write(tmp_path / 'train' / 'train-00001-of-00002', [record(i, 1 + i % 3) for i in range(3, 6)])
    _write(
        tmp_path / 'validation' / 'validation-00000-of-00001', [record(i, 2) for i in range(6, 9)]
    )
    (tmp_path / 'dataset.json').write_text(json.dumps(JSON))
    return tmp_path


def _problems(folder, **kwargs):
    findings = verification.verify(str(folder), progress=lambda line: None, **kwargs)
    assert findings.num_problems == len(findings.problems)
    return [str(problem).removeprefix(f'{folder}/') for problem in findings.problems]


@pytest.mark.parametrize('num_workers', [1, 2])
def test_a_sound_folder(folder, num_workers):
    findings = verification.verify(str(folder), num_workers=num_workers)
    assert findings.problems == []
    train, validation = findings.splits['train'], findings.splits['validation']
    assert (train.num_records, train.expected, train.num_repeated) == (6, 6, 0)
    assert (len(train.files), len(validation.files)) == (2, 1)
    assert (train.labels, validation.labels) == ({1: 2, 2: 2, 3: 2}, {2: 3})
    assert train.num_bytes > 6 * 400


def test_a_checksum(folder):
    path = folder / TRAIN1
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert _problems(folder) == [f'{TRAIN1}, record 1: its bytes do not fit their checksum']


@pytest.mark.parametrize('kept', [1, 11])
def test_a_file_cut_off_inside_a_length(folder, record, kept):
    """What TensorFlow's reader takes for two whole records."""
    path = folder / TRAIN1
    path.write_bytes(path.read_bytes()[: 32 + len(record(3)) + len(record(4)) + kept])
    problems = _problems(folder)
    assert problems[0] == (f'{TRAIN1}, record 2: the file ends inside the length of this record')


def test_all_errors_of_a_file(folder, record, image_bytes):
    whole = image_bytes(seed=40)
    _write(
        folder / TRAIN1,
        [
            record(3, label=0),
            record(4, label=4),
            record(5, encoded=b'no image'),
            record(6, encoded=whole[:-50]),
            record(70, width=13),
            b'no record',
            example_encoding.example({'image/encoded': bytes_feature(whole)}),
            example_encoding.example(
                {
                    'image/encoded': bytes_feature(whole),
                    'image/class/label': int64_feature(1, 2),
                }
            ),
        ],
    )
    problems = _problems(folder)
    assert [problem.removeprefix(f'{TRAIN1}, record ') for problem in problems[:-1]] == [
        '0: the label is 0, not one of 1 to 3 (image3.jpg)',
        '1: the label is 4, not one of 1 to 3 (image4.jpg)',
        '2: the image cannot be decoded: of no known format (image5.jpg)',
        problems[3].removeprefix(f'{TRAIN1}, record '),
        '4: image/width is [13], but the image has 12 pixels (image70.jpg)',
        problems[5].removeprefix(f'{TRAIN1}, record '),
        "6: it is no record of an image: the key 'image/class/label' is missing",
        "7: it is no record of an image: 'image/class/label' is not one value of int",
    ]
    assert '3: the image cannot be decoded: image file is truncated' in problems[3]
    assert '5: it is no record of an image: ' in problems[5]
    assert problems[-1] == "train: the split 'train' has 11 records, dataset.json says 6"
    without = _problems(folder, decode=False)
    assert len(without) == len(problems) - 1  # the truncated image has a sound header


def test_a_record_without_sizes_is_enough_for_training(folder, image_bytes):
    _write(
        folder / 'validation' / 'validation-00000-of-00001',
        [
            example_encoding.example(
                {
                    'image/encoded': bytes_feature(image_bytes('PNG', seed=seed)),
                    'image/class/label': int64_feature(1),
                }
            )
            for seed in range(50, 53)
        ],
    )
    assert _problems(folder) == []


def test_a_missing_file(folder):
    (folder / TRAIN1).unlink()
    assert _problems(folder) == [
        'train: train-00001-of-00002 is missing',
        "train: the split 'train' has 3 records, dataset.json says 6",
    ]


def test_an_empty_file(folder):
    (folder / TRAIN1).write_bytes(b'')
    assert f'{TRAIN1}: the file has no records' in _problems(folder)


def test_another_number_of_files(folder):
    content = JSON | {'splits': {'train': {'num_samples': 6, 'num_shards': 3}}}
    (folder / 'dataset.json').write_text(json.dumps(content))
    assert _problems(folder) == ['train: 2 shards, but dataset.json says 3']


def test_a_split_without_files(folder):
    shutil.rmtree(folder / 'validation')
    (problem,) = _problems(folder)
    assert "No record files of the split 'validation'" in problem


def test_the_same_image_in_two_splits(folder, record):
    _write(
        folder / 'validation' / 'validation-00000-of-00001',
        [record(6, 2), record(4, 2), record(8, 2)],
    )
    assert _problems(folder) == [
        "validation/validation-00000-of-00001, record 1: the image is also in 'train': "
        f'{folder}/{TRAIN1}, record 1'
    ]
    assert _problems(folder, allow_duplicates=True) == []


def test_the_same_image_twice_in_a_split_is_counted(folder, record):
    _write(folder / TRAIN1, [record(0), record(0), record(5)])
    findings = verification.verify(str(folder))
    assert findings.splits['train'].num_repeated == 2
    assert findings.problems == []


def test_without_a_description_it_has_to_be_imagenet(folder):
    (folder / 'dataset.json').unlink()
    problems = _problems(folder)
    assert "train: the split 'train' has 6 records, imagenet has 1281167" in problems


def test_names_of_other_sets(folder, record):
    """Those of the set that dataset.json, or the caller, names."""
    shutil.rmtree(folder / 'train')
    shutil.rmtree(folder / 'validation')
    splits = {'train': {'num_samples': 3}, 'test': {'num_samples': 2}}
    content = JSON | {'name': 'cifar10', 'splits': splits}
    (folder / 'dataset.json').write_text(json.dumps(content))
    _write(folder / 'cifar10_train.tfrecord', [record(seed) for seed in range(3)])
    _write(folder / 'cifar10_test.tfrecord', [record(seed) for seed in range(3, 5)])
    assert _problems(folder) == []
    assert len(_problems(folder, dataset_name='imagenet')) == 2
    (folder / 'dataset.json').unlink()
    assert ": the split 'test' has 2 records, cifar10 has 10000" in ''.join(
        _problems(folder, dataset_name='cifar10')
    )
    with pytest.raises(UsageError, match="'cifar10'"):
        verification.verify(str(folder), 'cifar')


def test_names_of_classes(folder):
    """Synsets with their words, and nothing that a terminal would take for a command."""
    names = ['background', 'n01440764', 'cat', 'a\x1b[2J']
    (folder / 'dataset.json').write_text(json.dumps(JSON | {'label_names': names}))
    assert verification.verify(str(folder)).class_names() == {
        0: 'background',
        1: 'n01440764 tench, Tinca tinca',
        2: 'cat',
        3: r'a\x1b[2J',
    }


@pytest.mark.parametrize('kind', ['GZIP', 'ZLIB'])
def test_compressed_files(folder, kind):
    path = folder / TRAIN1
    records = [frame.data for frame in framing.read_records(str(path))]
    with tf.io.TFRecordWriter(str(path), kind) as writer:
        for one in records:
            writer.write(one)
    assert _problems(folder) == []
    path.write_bytes(path.read_bytes()[:-20])
    assert 'compressed' in _problems(folder)[0]


BOX = {side: example_encoding.float_feature(0.1) for side in example_format.BBOX_SIDES}


@pytest.mark.parametrize(
    ('features', 'problem'),
    [
        ({example_format.FILENAME: bytes_feature(b'a', b'b')}, "'image/filename' is not one value"),
        ({example_format.FILENAME: int64_feature(1)}, "'image/filename' is not one value of bytes"),
        ({example_format.FILENAME: bytes_feature()}, "'image/filename' is not one value of bytes"),
        (BOX | {example_format.BBOX_XMIN: int64_feature(1)}, 'are not numbers'),
        (BOX | {example_format.BBOX_XMIN: example_encoding.float_feature(0.1, 0.2)}, 'as many'),
        (BOX, ''),
    ],
)
def test_features_that_training_cannot_read(image_bytes, features, problem):
    """What TensorFlow's parser refuses, and only that."""
    about = {
        'image/encoded': bytes_feature(image_bytes()),
        'image/class/label': int64_feature(1),
    }
    record = example_encoding.example(about | features)
    found = record_checks._check_record(record, record_checks.FileTask('x', range(1, 2), True))[0]
    assert problem in found and bool(problem) == bool(found)
    try:
        example_format.parse_example(tf.constant(record))
    except (tf.errors.OpError, ValueError):
        assert problem
    else:
        assert not problem


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match='no dataset folder'):
        verification.verify(str(tmp_path / 'nowhere'))
