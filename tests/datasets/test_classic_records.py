"""Records as the classic suite left them, without dataset.json, are read by their classic names."""

from __future__ import annotations

import inspect
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets import cifar10, dataset_factory, dataset_utils, flowers, visualwakewords
from slim.errors import DataError, UsageError

# name -> (file names of a small set, split, published size, classes, labels)
CLASSIC = {
    'cifar10': (['cifar10_train.tfrecord'], 'train', 50000, 10),
    'mnist': (['mnist_test.tfrecord'], 'test', 10000, 10),
    'flowers': (
        [f'flowers_validation_{n:05d}-of-00005.tfrecord' for n in range(5)],
        'validation',
        350,
        5,
    ),
    'visualwakewords': ([f'val.record-{n:05d}-of-00010' for n in range(10)], 'val', 40504, 2),
    'imagenette': (['train-00000-of-00002', 'train-00001-of-00002'], 'train', 9469, 10),
    'imagenet': (['validation-00000-of-00001'], 'validation', 50000, 1001),
}


def _encoded(pixels, image_format):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format)
    return file.getvalue()


def _write(folder, names, pixels, image_format='PNG'):
    for name in names:
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            example = dataset_utils.image_to_tfexample(
                _encoded(pixels, image_format), image_format.lower(), *pixels.shape[:2], 1
            )
            writer.write(example.SerializeToString())


@pytest.mark.parametrize('name', CLASSIC)
def test_classic_records(tmp_path, read_images, capsys, name):
    names, split, size, classes = CLASSIC[name]
    pixels = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    if name == 'mnist':
        pixels = np.ascontiguousarray(pixels[..., 0])
    _write(tmp_path, names, pixels)
    dataset = dataset_factory.get_dataset(name, split, str(tmp_path))
    assert [source.rsplit('/', 1)[1] for source in dataset.data_sources] == names
    assert (dataset.num_samples, dataset.num_classes) == (len(names), classes)
    assert f'{len(names)} records of the split' in (note := capsys.readouterr().err)
    assert f'not the {size} of {name}, whose {classes} classes are taken' in note
    assert sorted(dataset.labels_to_names) == list(range(classes))
    for item, read in read_images(dataset):
        assert item['label'] == 1
        np.testing.assert_array_equal(read, pixels[..., np.newaxis] if name == 'mnist' else pixels)


@pytest.mark.parametrize('name', CLASSIC)
def test_jpeg_is_read_too(tmp_path, read_images, name):
    names, split, _, _ = CLASSIC[name]
    _write(tmp_path, names, np.full((4, 4, 3), 77, np.uint8), 'JPEG')
    dataset = dataset_factory.get_dataset(name, split, str(tmp_path))
    for _, read in read_images(dataset):
        np.testing.assert_array_equal(read, np.full((4, 4, 1 if name == 'mnist' else 3), 77))


@pytest.mark.parametrize('name', [*CLASSIC, 'folder'])
def test_signatures(name):
    parameters = inspect.signature(dataset_factory.datasets_map[name].get_split).parameters
    assert list(parameters) == ['split_name', 'dataset_dir', 'file_pattern', 'reader']
    assert parameters['file_pattern'].default is parameters['reader'].default is None


def test_constants():
    assert cifar10.SPLITS_TO_SIZES == {'train': 50000, 'test': 10000}
    assert flowers.SPLITS_TO_SIZES == {'train': 3320, 'validation': 350}
    assert visualwakewords.LABELS_FILENAME == 'labels.txt'


@pytest.mark.parametrize('name', ['flowers', 'visualwakewords'])
def test_missing_files_are_named(tmp_path, name):
    names, split, _, _ = CLASSIC[name]
    _write(tmp_path, [*names[:2], *names[3:]], np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(DataError, match=f'lacks 1 of .* shards: {names[2]}'):
        dataset_factory.get_dataset(name, split, str(tmp_path))


def test_a_chosen_file_is_counted(tmp_path):
    _write(tmp_path, ['cifar10_train.tfrecord', 'mine.tfrecord'], np.zeros((2, 2, 3), np.uint8))
    dataset = cifar10.get_split('train', str(tmp_path), 'mine.*')
    assert dataset.num_samples == 1
    assert cifar10.get_split('train', str(tmp_path), 'cifar10_%s.tfrecord').num_samples == 1


def test_unknown_split(tmp_path):
    _write(tmp_path, ['cifar10_train.tfrecord'], np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UsageError, match=r"Unknown split 'validation'\. Choose from: train, test"):
        dataset_factory.get_dataset('cifar10', 'validation', str(tmp_path))


def _describe(folder, **changes):
    content = {
        'name': 'pets',
        'num_classes': 2,
        'has_background': False,
        'splits': {'train': {'num_samples': 4}},
    }
    (folder / 'dataset.json').write_text(json.dumps(content | changes))


def test_a_set_of_ones_own_by_its_name(tmp_path):
    _write(tmp_path, ['train-00000-of-00001'], np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(DataError, match=r'has no dataset\.json.*--dataset_name=folder'):
        dataset_factory.get_dataset('folder', 'train', str(tmp_path))
    with pytest.raises(UsageError, match="Unknown dataset 'pets'"):
        dataset_factory.get_dataset('pets', 'train', str(tmp_path))
    _describe(tmp_path)
    for name in ('folder', 'pets'):
        dataset = dataset_factory.get_dataset(name, 'train', str(tmp_path))
        assert (dataset.name, dataset.num_samples) == ('pets', 4)
    with pytest.raises(UsageError, match=r"'pet'\. Did you mean 'pets'"):
        dataset_factory.get_dataset('pet', 'train', str(tmp_path))


def test_the_wrong_name_for_a_set_is_noticed(tmp_path):
    _write(tmp_path, ['cifar10_train.tfrecord'], np.zeros((2, 2, 3), np.uint8))
    _describe(tmp_path, name='cifar10')
    with pytest.raises(DataError, match=r"this is 'cifar10': perhaps --dataset_name=cifar10"):
        dataset_factory.get_dataset('imagenet', 'train', str(tmp_path))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('0:a\n', r'labels\.txt names 1 labels, but the set has 10 classes'),
        (''.join(f'{n}:x\n' for n in range(11)), 'names 11 labels, but the set has 10'),
        (''.join(f'{n}:x\n' for n in range(1, 11)), 'names the label 10, but .* 0 to 9'),
    ],
)
def test_labels_files_of_the_wrong_length(tmp_path, content, message):
    _write(tmp_path, ['cifar10_train.tfrecord'], np.zeros((2, 2, 3), np.uint8))
    (tmp_path / 'labels.txt').write_text(content)
    with pytest.raises(DataError, match=message):
        cifar10.get_split('train', str(tmp_path))


def test_a_labels_file_replaces_the_published_names(tmp_path):
    _write(tmp_path, ['cifar10_train.tfrecord'], np.zeros((2, 2, 3), np.uint8))
    names = {label: f'class {label}' for label in range(10)}
    dataset_utils.write_label_file(names, str(tmp_path))
    assert cifar10.get_split('train', str(tmp_path)).labels_to_names == names


@pytest.mark.parametrize('shuffle', [False, True])
def test_the_classic_data_provider_reads_them(tmp_path, shuffle):
    """As in the classic suite's notebook."""
    import tensorflow.compat.v1 as tf1

    import slim

    pixels = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    _write(tmp_path, [f'flowers_train_{n:05d}-of-00005.tfrecord' for n in range(5)], pixels)
    dataset = flowers.get_split('train', str(tmp_path))
    with tf1.Graph().as_default():
        provider = slim.dataset_data_provider.DatasetDataProvider(dataset, shuffle=shuffle)
        assert {'image', 'label', 'object/bbox'} < set(provider.list_items())
        wanted = provider.get(['label', 'image', 'object/bbox'])
        assert wanted[1].shape.as_list() == [None, None, 3]
        with tf1.Session() as session, slim.queues.QueueRunners(session):
            session.run([tf1.global_variables_initializer(), tf1.local_variables_initializer()])
            label, image, boxes = session.run(wanted)
    assert label == 1
    np.testing.assert_array_equal(image, pixels)
    assert boxes.shape == (0, 4)
