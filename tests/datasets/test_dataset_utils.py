from __future__ import annotations

import contextlib
import inspect
import os

import numpy as np
import pytest
import tensorflow as tf

from datasets import dataset_utils
from datasets.records import example_format
from slim.errors import DataError, OutputError, UsageError

# Of the classic suite; further arguments here have defaults.
SIGNATURES = {
    'int64_feature': '(values)',
    'bytes_list_feature': '(values)',
    'float_list_feature': '(values)',
    'bytes_feature': '(values)',
    'float_feature': '(values)',
    'image_to_tfexample': '(image_data, image_format, height, width, class_id)',
    'download_url': '(url, dataset_dir)',
    'download_and_uncompress_tarball': '(tarball_url, dataset_dir)',
    'download_and_uncompress_zipfile': '(zip_url, dataset_dir)',
    'write_label_file': "(labels_to_class_names, dataset_dir, filename='labels.txt')",
    'has_labels': "(dataset_dir, filename='labels.txt')",
    'read_label_file': "(dataset_dir, filename='labels.txt')",
    'open_sharded_output_tfrecords': '(exit_stack, base_path, num_shards)',
}


@pytest.mark.parametrize('name', SIGNATURES)
def test_classic_signatures(name):
    signature = inspect.signature(getattr(dataset_utils, name))
    parameters = [
        p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != 'checksum'
    ]
    assert str(inspect.Signature(parameters)) == SIGNATURES[name]


@pytest.mark.parametrize(
    ('function', 'value', 'expected'),
    [
        (dataset_utils.int64_feature, 3, [3]),
        (dataset_utils.int64_feature, (3, 4), [3, 4]),
        (dataset_utils.int64_feature, np.arange(2), [0, 1]),
        (dataset_utils.int64_feature, np.int64(7), [7]),
        (dataset_utils.bytes_feature, b'ab', [b'ab']),
        (dataset_utils.bytes_feature, 'ä', ['ä'.encode()]),
        (dataset_utils.bytes_list_feature, [b'a', 'b'], [b'a', b'b']),
        (dataset_utils.bytes_list_feature, [], []),
        (dataset_utils.float_feature, 0.5, [0.5]),
        (dataset_utils.float_list_feature, [0.5, 1], [0.5, 1.0]),
    ],
)
def test_features(function, value, expected):
    feature = function(value)
    kind = {'i': 'int64_list', 'b': 'bytes_list', 'f': 'float_list'}[function.__name__[0]]
    assert feature.WhichOneof('kind') == kind
    assert list(getattr(feature, kind).value) == expected


def test_image_to_tfexample_is_what_the_readers_read():
    example = dataset_utils.image_to_tfexample(b'pixels', b'png', 2, 3, 7)
    assert sorted(example.features.feature) == [
        'image/class/label',
        'image/encoded',
        'image/format',
        'image/height',
        'image/width',
    ]
    item = example_format.parse_example(tf.constant(example.SerializeToString()))
    with tf.compat.v1.Session() if not tf.executing_eagerly() else contextlib.nullcontext() as s:
        encoded, label = (
            (v.numpy() if s is None else s.run(v)) for v in (item['encoded'], item['label'])
        )
    assert (encoded, label) == (b'pixels', 7)


def test_label_files(tmp_path):
    folder = str(tmp_path)
    assert not dataset_utils.has_labels(folder)
    names = {0: 'background', 1: 'tench: a fish', 2: 'Ünïcode'}
    dataset_utils.write_label_file(names, folder)
    assert (tmp_path / 'labels.txt').read_text(encoding='utf-8').startswith('0:background\n1:tench')
    assert dataset_utils.has_labels(folder)
    assert dataset_utils.read_label_file(folder) == names
    dataset_utils.write_label_file({5: 'x'}, folder, 'other.txt')
    assert dataset_utils.read_label_file(folder, 'other.txt') == {5: 'x'}
    assert sorted(os.listdir(tmp_path)) == ['labels.txt', 'other.txt']


def test_label_files_refuse(tmp_path):
    with pytest.raises(UsageError, match='label 1'):
        dataset_utils.write_label_file({1: 'two\nlines'}, str(tmp_path))
    with pytest.raises(OutputError, match=r'nowhere/labels\.txt cannot be written'):
        dataset_utils.write_label_file({1: 'x'}, str(tmp_path / 'nowhere'))
    with pytest.raises(DataError, match='cannot be read'):
        dataset_utils.read_label_file(str(tmp_path))
    for content, message in (
        (b'0:a\n0:b\n', 'line 2: the label 0 has a name already'),
        (b'0:a\nb\n', "line 2: expected label:name, not 'b'"),
        (b'\xff', 'cannot be read'),
    ):
        (tmp_path / 'labels.txt').write_bytes(content)
        with pytest.raises(DataError, match=message):
            dataset_utils.read_label_file(str(tmp_path))


def _records(path):
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def test_sharded_output_appears_when_all_of_it_is_written(tmp_path):
    with contextlib.ExitStack() as stack:
        writers = dataset_utils.open_sharded_output_tfrecords(stack, str(tmp_path / 'x.record'), 3)
        for number in range(7):
            writers[number % 3].write(str(number).encode())
        assert not [name for name in os.listdir(tmp_path) if not name.startswith('.')]
    assert sorted(os.listdir(tmp_path)) == [f'x.record-{n:05d}-of-00003' for n in range(3)]
    if tf.executing_eagerly():
        assert _records(tmp_path / 'x.record-00000-of-00003') == [b'0', b'3', b'6']


def test_sharded_output_of_an_error_is_nothing(tmp_path):
    with pytest.raises(OSError, match='my own'), contextlib.ExitStack() as stack:
        writers = dataset_utils.open_sharded_output_tfrecords(stack, str(tmp_path / 'x'), 2)
        writers[0].write(b'1')
        raise OSError('my own')
    assert os.listdir(tmp_path) == []


def test_sharded_output_into_no_folder(tmp_path):
    with (
        pytest.raises(OutputError, match='x-00000-of-00002 cannot be written'),
        contextlib.ExitStack() as stack,
    ):
        dataset_utils.open_sharded_output_tfrecords(stack, str(tmp_path / 'nowhere' / 'x'), 2)
