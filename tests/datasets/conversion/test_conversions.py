"""Original archives to records and back, and what can be wrong with the archives."""

from __future__ import annotations

import gzip
import json
import os
import pathlib
import pickle
import shutil
import struct

import numpy as np
import originals
import pytest
import tensorflow as tf
from PIL import Image

from datasets import dataset_factory
from datasets.conversion import archives, conversion, conversions, set_writer
from datasets.records import description
from runtime.input import inputs
from slim.errors import DataError, OutputError, UsageError


def _get(tmp_path, name, split, out='out'):
    return dataset_factory.get_dataset(name, split, str(tmp_path / out))


def _files(tmp_path, out='out'):
    return sorted(os.listdir(tmp_path / out))


def _features(path):
    """Key to value of the first record."""
    record = next(iter(tf.data.TFRecordDataset(str(path)).take(1).as_numpy_iterator()))
    features = tf.train.Example.FromString(record).features.feature
    return {
        key: list(getattr(value, value.WhichOneof('kind')).value) for key, value in features.items()
    }


def _same_images(items, images, labels):
    assert len(items) == len(images)
    for (item, pixels), image, label in zip(items, images, labels, strict=True):
        assert item['label'] == label
        np.testing.assert_array_equal(pixels, image)


# CIFAR-10.

_CIFAR_FORMS = {
    'binary folder': (originals.cifar10_binary, None),
    'binary archive': (originals.cifar10_binary, 'cifar-10-binary.tar.gz'),
    'python folder': (originals.cifar10_python, None),
    'python archive': (originals.cifar10_python, 'cifar-10-python.tar.gz'),
}


@pytest.mark.parametrize('form', _CIFAR_FORMS)
def test_cifar10(tmp_path, convert, read_images, form):
    write, archive = _CIFAR_FORMS[form]
    source = tmp_path / 'source'
    splits = write(source)
    if archive:
        (folder,) = source.iterdir()
        originals.tar(source / archive, folder)
        shutil.rmtree(folder)
    messages = convert('cifar10', source)
    assert 'note: train has 15 images, the published CIFAR-10 50000' in messages
    assert _files(tmp_path) == [
        'cifar10_test.tfrecord',
        'cifar10_train.tfrecord',
        'dataset.json',
        'labels.txt',
    ]
    for split, (images, labels) in splits.items():
        dataset = _get(tmp_path, 'cifar10', split)
        assert dataset.num_samples == len(labels)
        assert (dataset.num_classes, dataset.has_background) == (10, False)
        assert [dataset.labels_to_names[n] for n in range(10)] == originals.CIFAR_NAMES
        _same_images(read_images(dataset), images, labels)
    first = _features(tmp_path / 'out' / 'cifar10_test.tfrecord')
    assert first['image/encoded'][0].startswith(b'\x89PNG')
    assert first['image/format'] == [b'png']
    assert (first['image/height'], first['image/width']) == ([32], [32])
    assert first['image/class/text'] == [originals.CIFAR_NAMES[splits['test'][1][0]].encode()]
    labels_txt = (tmp_path / 'out' / 'labels.txt').read_text()
    assert labels_txt.startswith('0:airplane\n1:automobile\n')


def test_cifar10_takes_the_folder_of_the_batches_itself_and_prefers_binary(tmp_path, convert):
    originals.cifar10_binary(tmp_path / 'source')
    originals.cifar10_python(tmp_path / 'source')
    assert any('batches-bin' in m for m in convert('cifar10', tmp_path / 'source', 'one'))
    convert('cifar10', tmp_path / 'source' / 'cifar-10-batches-py', 'two')
    for name in _files(tmp_path, 'one'):
        assert (tmp_path / 'one' / name).read_bytes() == (tmp_path / 'two' / name).read_bytes()


class _Evil:
    def __reduce__(self):
        return os.system, ('true',)


def _evil_pickle(source):
    shutil.rmtree(source / 'cifar-10-batches-bin')
    originals.cifar10_python(source)
    (source / 'cifar-10-batches-py' / 'data_batch_2').write_bytes(pickle.dumps(_Evil()))


def _python_batch(changes):
    def spoil(source):
        shutil.rmtree(source / 'cifar-10-batches-bin')
        originals.cifar10_python(source)
        path = source / 'cifar-10-batches-py' / 'data_batch_2'
        path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes()) | changes))

    return spoil


def _cut(name, num_bytes=-1):
    def spoil(source):
        path = source / name
        path.write_bytes(path.read_bytes()[:num_bytes])

    return spoil


def _write(name, contents):
    def spoil(source):
        (source / name).write_bytes(contents)

    return spoil


def _unlink(name):
    def spoil(source):
        path = source / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def _label_ten(source):
    path = source / 'cifar-10-batches-bin' / 'data_batch_3.bin'
    contents = bytearray(path.read_bytes())
    contents[3073] = 10
    path.write_bytes(contents)


def _archive_without_a_batch(source):
    _unlink('cifar-10-batches-bin/data_batch_4.bin')(source)
    originals.tar(source / 'cifar-10-binary.tar.gz', source / 'cifar-10-batches-bin')
    shutil.rmtree(source / 'cifar-10-batches-bin')


def _cut_archive(source):
    originals.tar(source / 'cifar-10-binary.tar.gz', source / 'cifar-10-batches-bin')
    shutil.rmtree(source / 'cifar-10-batches-bin')
    _cut('cifar-10-binary.tar.gz', -5000)(source)


def _refuses(tmp_path, name, source, error, message, **settings):
    """One line, and nothing is left behind."""
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(error, match=message) as caught:
        conversions.convert(
            name,
            str(tmp_path / 'deep' / 'out'),
            str(source),
            conversion.Settings(**settings),
            progress=lambda message: None,
        )
    assert '\n' not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before


_BIN = 'cifar-10-batches-bin'


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_unlink(_BIN), 'CIFAR-10 is not in .*cifar-10-binary.tar.gz or .*From: https://'),
        (_unlink(f'{_BIN}/data_batch_4.bin'), r'lacks data_batch_4\.bin'),
        (_cut(f'{_BIN}/test_batch.bin'), r'test_batch\.bin has 9218 bytes.*cut off'),
        (_write(f'{_BIN}/data_batch_1.bin', b''), r'data_batch_1\.bin has 0 bytes'),
        (_label_ten, r'data_batch_3\.bin: image 1 .* label 10'),
        (_cut(f'{_BIN}/batches.meta.txt', 30), 'names 5 classes .*CIFAR-10 has 10'),
        (_archive_without_a_batch, r'binary\.tar\.gz lacks data_batch_4\.bin'),
        (_cut_archive, r'binary\.tar\.gz cannot be unpacked: it is cut off'),
        (_evil_pickle, r'data_batch_2 cannot be read .*system'),
        (_python_batch({b'labels': [1]}), r'data_batch_2 is no batch'),
        (_python_batch({b'labels': [1, 2, 11]}), r'data_batch_2: image 2 .* label 11'),
        (_python_batch({b'data': np.zeros((3, 5), np.uint8)}), r'data_batch_2 is no batch'),
    ],
)
def test_cifar10_refuses(tmp_path, spoil, message):
    source = tmp_path / 'source'
    originals.cifar10_binary(source)
    spoil(source)
    _refuses(tmp_path, 'cifar10', source, DataError, message)


# MNIST.


@pytest.mark.parametrize('packed', [True, False])
def test_mnist(tmp_path, convert, read_images, packed):
    splits = originals.mnist(tmp_path / 'source', packed)
    convert('mnist', tmp_path / 'source')
    assert _files(tmp_path) == [
        'dataset.json',
        'labels.txt',
        'mnist_test.tfrecord',
        'mnist_train.tfrecord',
    ]
    for split, (images, labels) in splits.items():
        dataset = _get(tmp_path, 'mnist', split)
        assert dataset.num_samples == len(labels)
        assert dataset.labels_to_names[9] == 'nine'
        _same_images(read_images(dataset), images[..., np.newaxis], labels)
    assert _features(tmp_path / 'out' / 'mnist_train.tfrecord')['image/format'] == [b'png']


def test_mnist_unpacked_with_dots_in_the_names(tmp_path, convert):
    originals.mnist(tmp_path / 'source', packed=False)
    for path in (tmp_path / 'source').iterdir():
        path.rename(path.with_name(path.name.replace('-idx', '.idx')))
    convert('mnist', tmp_path / 'source')
    assert _get(tmp_path, 'mnist', 'test').num_samples == 5


_IMAGES, _LABELS = 'train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz'


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_unlink(_LABELS), f'expected {_LABELS} .*From: https://'),
        (_cut(_IMAGES, -20), f'{_IMAGES} cannot be read: it is cut off'),
        (_write(_IMAGES, b'not gzip'), f'{_IMAGES} cannot be read'),
        (
            _write(_IMAGES, gzip.compress(originals.idx(0x801, np.zeros(5, np.uint8)))),
            f'{_IMAGES} begins with 0x00000801, not with 0x00000803',
        ),
        (_write(_IMAGES, gzip.compress(b'')), f'{_IMAGES} begins with nothing'),
        (_write(_IMAGES, gzip.compress(struct.pack('>I', 0x803))), 'cut off in its header'),
        (
            _write(_LABELS, gzip.compress(originals.idx(0x801, np.zeros(12, np.uint8))[:-1])),
            f'{_LABELS} has 19 bytes, but its header says 20',
        ),
        (
            _write(_LABELS, gzip.compress(originals.idx(0x801, np.zeros(11, np.uint8)))),
            f'12 images, but .*{_LABELS} has 11 labels',
        ),
        (
            _write(_LABELS, gzip.compress(originals.idx(0x801, np.full(12, 10, np.uint8)))),
            f'{_LABELS}: image 0 .* label 10',
        ),
    ],
)
def test_mnist_refuses(tmp_path, spoil, message):
    originals.mnist(tmp_path / 'source')
    spoil(tmp_path / 'source')
    _refuses(tmp_path, 'mnist', tmp_path / 'source', DataError, message)


# Flowers.


def _read_files(dataset, read_images):
    """{contents: name of the class}"""
    items = read_images(dataset)
    assert len(items) == dataset.num_samples
    return {item['encoded']: dataset.labels_to_names[int(item['label'])] for item, _ in items}


@pytest.mark.parametrize('form', ['folder', 'itself', '.tgz', '.zip'])
def test_flowers(tmp_path, convert, read_images, form):
    photos = tmp_path / 'source' / 'flower_photos'
    files = originals.class_folders(photos, originals.FLOWERS, [6] * 5)
    (photos / 'LICENSE.txt').write_text('free')
    source = photos if form == 'itself' else tmp_path / 'source'
    if form.startswith('.'):
        if form == '.tgz':
            originals.tar(source / 'flower_photos.tgz', photos)
        else:
            shutil.make_archive(str(photos), 'zip', source, 'flower_photos')
        shutil.rmtree(photos)
    convert('flowers', source)
    # 30 * 350 / 3670 are 3; there are no empty files
    shards = [f'flowers_train_{n:05d}-of-00005.tfrecord' for n in range(5)]
    shards += [f'flowers_validation_{n:05d}-of-00003.tfrecord' for n in range(3)]
    assert _files(tmp_path) == ['dataset.json', *shards, 'labels.txt']
    parts = [
        _read_files(_get(tmp_path, 'flowers', split), read_images)
        for split in ('train', 'validation')
    ]
    assert [len(part) for part in parts] == [27, 3]
    assert parts[0] | parts[1] == files


def test_flowers_published_sizes():
    assert round(3670 * 350 / 3670) == 350  # the part for validation of the published set
    sizes = conversions.conversions_map['flowers'].remote_files[0]
    assert sizes.size == 228813984


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_unlink('flower_photos'), r'flowers are not in .*flower_photos\.tgz'),
        (_unlink('flower_photos/roses'), 'missing: roses.*--dataset_name=folder'),
        (_unlink('flower_photos/roses/roses_0.jpg'), 'roses has no images'),
        (_write('flower_photos/roses/x.jpg', b'no'), r'x\.jpg cannot be read as an image'),
        (_write('flower_photos/x.jpg', b'no'), r'images beside its class folders \(x\.jpg\)'),
        (
            lambda source: (source / 'flower_photos' / 'orchids').mkdir(),
            r'orchids has no images',
        ),
        (
            lambda source: (source / 'flower_photos' / 'daisy' / 'x').mkdir(),
            r'daisy has folders in it \(x\)',
        ),
    ],
)
def test_flowers_refuse(tmp_path, spoil, message):
    originals.class_folders(
        tmp_path / 'source' / 'flower_photos', originals.FLOWERS, [10, 10, 1, 1, 1]
    )
    spoil(tmp_path / 'source')
    _refuses(tmp_path, 'flowers', tmp_path / 'source', DataError, message)


def test_too_few_flowers(tmp_path):
    originals.class_folders(tmp_path / 'source', originals.FLOWERS, [1] * 5)
    _refuses(tmp_path, 'flowers', tmp_path / 'source', DataError, '5 images, too few')


# Imagenette.


def _imagenette(folder):
    return {
        'train': originals.class_folders(folder / 'train', originals.IMAGENETTE, [2] * 10),
        'validation': originals.class_folders(
            folder / 'val', originals.IMAGENETTE, [1] * 10, first_seed=100
        ),
    }


@pytest.mark.parametrize('form', ['folder', 'itself', '.tgz'])
def test_imagenette(tmp_path, convert, read_images, form):
    root = tmp_path / 'source' / 'imagenette2-160'
    files = _imagenette(root)
    source = root if form == 'itself' else tmp_path / 'source'
    if form == '.tgz':
        originals.tar(source / 'imagenette2-160.tgz', root)
        shutil.rmtree(root)
    messages = convert('imagenette', source)
    assert 'note: train has 20 images, the published Imagenette 9469' in messages
    for split, expected in files.items():
        dataset = _get(tmp_path, 'imagenette', split)
        assert (dataset.num_classes, dataset.has_background) == (10, False)
        assert dataset.labels_to_names[1] == 'English springer'
        items = read_images(dataset)
        labels = {item['encoded']: int(item['label']) for item, _ in items}
        assert labels == {k: originals.IMAGENETTE.index(v) for k, v in expected.items()}
    first = _features(tmp_path / 'out' / 'train-00000-of-00001')
    label = first['image/class/label'][0]
    assert first['image/class/synset'] == [originals.IMAGENETTE[label].encode()]


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_unlink('imagenette2'), 'Imagenette is not in .*imagenette2-320'),
        (_unlink('imagenette2/val'), 'has no folder val/'),
        (_unlink('imagenette2/val/n03888257'), 'missing: n03888257'),
        (
            lambda source: (source / 'imagenette2-320').mkdir(),
            'several sizes of Imagenette: imagenette2, imagenette2-320.*--source_dir',
        ),
    ],
)
def test_imagenette_refuses(tmp_path, spoil, message):
    _imagenette(tmp_path / 'source' / 'imagenette2')
    spoil(tmp_path / 'source')
    _refuses(tmp_path, 'imagenette', tmp_path / 'source', DataError, message)


# Trees of your own.


def test_split_folders(tmp_path, convert, read_images):
    root = tmp_path / 'pets'
    expected = {}
    for number, (split, folder) in enumerate(
        [('train', 'train'), ('validation', 'val'), ('test', 'test')]
    ):
        expected[split] = originals.class_folders(
            root / folder, ['cat', 'dog'], [3, 2], first_seed=number * 10
        )
    shutil.rmtree(root / 'test' / 'cat')  # a class may be missing where nothing is learnt
    expected['test'] = {k: v for k, v in expected['test'].items() if v == 'dog'}
    convert('folder', root)
    for split, files in expected.items():
        # By the generic name, by the set's own, and by the scripts' default.
        for name in ('folder', 'pets', 'imagenet'):
            dataset = _get(tmp_path, name, split)
            assert (dataset.name, dataset.num_classes) == ('pets', 2)
        assert _read_files(dataset, read_images) == files


def test_a_part_of_a_single_tree_is_held_back_by_seed(tmp_path, convert, read_images):
    files = originals.class_folders(tmp_path / 'pets', ['ant', 'bee', 'cat'], [10, 4, 1])
    runs = {'default': {}, 'again': {}, 'other': {'split_seed': 1}}
    validation = {}
    for out, settings in runs.items():
        convert('folder', tmp_path / 'pets', out, **settings)
        train, validation[out] = (
            _read_files(_get(tmp_path, 'pets', split, out), read_images)
            for split in ('train', 'validation')
        )
        assert train | validation[out] == files
        # a tenth, but one at least; and the only cat is for training
        assert sorted(validation[out].values()) == ['ant', 'bee']
    assert validation['default'] == validation['again'] != validation['other']
    for name in _files(tmp_path, 'default'):
        contents = (tmp_path / 'default' / name).read_bytes()
        assert contents == (tmp_path / 'again' / name).read_bytes()
    convert('folder', tmp_path / 'pets', 'half', validation_fraction=0.5)
    half = _read_files(_get(tmp_path, 'pets', 'validation', 'half'), read_images)
    assert sorted(half.values()) == ['ant'] * 5 + ['bee'] * 2


def test_a_class_may_be_called_train(tmp_path, convert):
    originals.class_folders(tmp_path / 'vehicles', ['car', 'plane', 'train'], [2, 2, 2])
    convert('folder', tmp_path / 'vehicles')
    dataset = _get(tmp_path, 'vehicles', 'train')
    assert dataset.labels_to_names == {0: 'car', 1: 'plane', 2: 'train'}


def test_png_becomes_jpeg_and_is_listed(tmp_path, convert, image_bytes, read_images):
    originals.class_folders(tmp_path / 'pets', ['cat', 'dog'], [2, 2])
    (tmp_path / 'pets' / 'cat' / 'x.png').write_bytes(image_bytes('PNG'))
    messages = convert('folder', tmp_path / 'pets')
    assert any('1 files were not RGB or gray JPEG' in m and 'x.png' in m for m in messages)


def _two_pets(tmp_path):
    originals.class_folders(tmp_path / 'pets' / 'train', ['cat', 'dog'], [2, 2])
    originals.class_folders(tmp_path / 'pets' / 'val', ['cat', 'dog'], [1, 1], first_seed=50)
    return tmp_path / 'pets'


@pytest.mark.parametrize(
    ('spoil', 'error', 'message', 'settings'),
    [
        (_unlink('val'), DataError, 'train/ but no validation/', {}),
        (lambda s: (s / 'valid').mkdir(), DataError, 'has train/ and valid/', {}),
        (lambda s: (s / 'others').mkdir(), DataError, 'has train/ and others/', {}),
        (lambda s: (s / 'val' / 'fox').mkdir(), DataError, 'fox has no images', {}),
        (
            lambda s: (s / 'val' / 'dog').rename(s / 'val' / 'fox'),
            DataError,
            'val has class folders that .*train has not: fox',
            {},
        ),
        (
            lambda s: None,
            UsageError,
            '--validation_fraction has no use',
            {'validation_fraction': 0.2},
        ),
        (lambda s: None, UsageError, 'must be above 0', {'validation_fraction': 0.0}),
        (lambda s: None, UsageError, 'below 1', {'validation_fraction': float('nan')}),
    ],
)
def test_split_folders_refuse(tmp_path, spoil, error, message, settings):
    source = _two_pets(tmp_path)
    spoil(source)
    _refuses(tmp_path, 'folder', source, error, message, **settings)


def test_no_class_folders(tmp_path):
    (tmp_path / 'pets').mkdir()
    (tmp_path / 'pets' / 'cat.jpg').touch()
    _refuses(
        tmp_path, 'folder', tmp_path / 'pets', DataError, r'no class folders \(found cat\.jpg\)'
    )


@pytest.mark.parametrize('name', ['validation', 'val', 'test'])
def test_a_tree_to_evaluate_on(tmp_path, convert, read_images, name):
    files = originals.class_folders(tmp_path / 'pets' / name, ['cat', 'dog'], [1, 2])
    messages = convert('folder', tmp_path / 'pets')
    assert any('for evaluation only' in message for message in messages)
    dataset = _get(tmp_path, 'pets', 'test' if name == 'test' else 'validation')
    assert _read_files(dataset, read_images) == files


def test_a_class_of_one_image_is_named(tmp_path, convert):
    originals.class_folders(tmp_path / 'pets', ['ant', 'bee', 'cat'], [10, 4, 1])
    assert (
        '1 classes have one image, which is for training, so that validation has none of them: cat'
    ) in convert('folder', tmp_path / 'pets')


@pytest.mark.parametrize('place', ['cat/lost.jpg', 'lost'])
def test_a_tree_with_a_link_that_leads_nowhere(tmp_path, place):
    originals.class_folders(tmp_path / 'pets', ['cat', 'dog'], [2, 2])
    (tmp_path / 'pets' / place).symlink_to(tmp_path / 'nowhere')
    _refuses(tmp_path, 'folder', tmp_path / 'pets', DataError, 'links that lead nowhere: lost')


def test_two_forms_of_a_name_in_two_splits(tmp_path, convert):
    source = _two_pets(tmp_path)
    (source / 'train' / 'cat').rename(source / 'train' / 'caf\u00e9')
    (source / 'val' / 'cat').rename(source / 'val' / 'cafe\u0301')
    convert('folder', source)
    assert _get(tmp_path, 'pets', 'validation').labels_to_names == {0: 'caf\u00e9', 1: 'dog'}


@pytest.mark.parametrize('name', [b'caf\xe9', b'two\nlines', b'\x1b[2J'])
def test_names_of_classes_that_cannot_be_used(tmp_path, name):
    originals.class_folders(tmp_path / 'pets', ['cat', 'dog'], [2, 2])
    os.rename(tmp_path / 'pets' / 'cat', os.path.join(os.fsencode(tmp_path / 'pets'), name))
    _refuses(tmp_path, 'folder', tmp_path / 'pets', DataError, 'with a name that cannot be used')


@pytest.mark.parametrize(
    ('folder', 'name'), [(b'flowers', 'my_flowers'), (b'caf\xe9', 'caf\\udce9'), (b'ants', 'ants')]
)
def test_the_name_of_the_set(tmp_path, convert, folder, name):
    source = os.fsdecode(os.path.join(os.fsencode(tmp_path), folder))
    originals.class_folders(pathlib.Path(source), ['cat', 'dog'], [2, 2])
    convert('folder', source)
    assert _get(tmp_path, name, 'train').name == name


def test_pictures_are_turned_where_wanted(tmp_path, convert, read_images):
    exif = Image.Exif()
    exif[0x0112] = 8
    for number in range(2):
        path = tmp_path / 'pets' / 'cat' / f'{number}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (20, 10)).save(path, exif=exif)
    for out, settings, size in (('as_is', {}, (10, 20)), ('up', {'upright': True}, (20, 10))):
        convert('folder', tmp_path / 'pets', out, **settings)
        ((_, pixels),) = read_images(_get(tmp_path, 'pets', 'train', out))
        assert pixels.shape[:2] == size
    with pytest.raises(UsageError, match='upright has no effect on cifar10'):
        convert('cifar10', tmp_path, 'other', upright=True)


def test_one_image_per_class(tmp_path):
    originals.class_folders(tmp_path / 'pets', ['cat', 'dog'], [1, 1])
    _refuses(tmp_path, 'folder', tmp_path / 'pets', DataError, 'one image per class')


def test_the_records_of_a_tree_go_elsewhere(tmp_path):
    source = _two_pets(tmp_path)
    with pytest.raises(UsageError, match='cannot go into the folder of the images'):
        conversions.convert('folder', str(source), str(source))
    with pytest.raises(UsageError, match='--source_dir is missing'):
        conversions.convert('folder', str(tmp_path / 'out'))


# Visual wake words.


@pytest.mark.parametrize('packed', [False, True])
def test_visualwakewords(tmp_path, convert, read_images, packed):
    expected = originals.coco(tmp_path / 'coco', packed)
    messages = convert('visualwakewords', tmp_path / 'coco')
    assert 'train: 1 of 6 images with a person' in messages
    for split, total in (('train', 6), ('val', 4)):
        assert f'{split}.record-00000-of-{total:05d}' in _files(tmp_path)
        dataset = _get(tmp_path, 'visualwakewords', split)
        assert dataset.num_samples == total
        assert dataset.labels_to_names == {0: 'background', 1: 'person'}
        items = [item for item, _ in read_images(dataset)]
        assert {item['encoded']: int(item['label']) for item in items} == expected[split]
        for item in items:
            boxes = [[5 / 20, 10 / 40, 15 / 20, 30 / 40]] * int(item['label'])
            assert item['bbox'][0].tolist() == boxes
            assert item['filename'].startswith(f'COCO_{split}'.encode())


def test_visualwakewords_of_another_class_and_threshold(tmp_path, convert, read_images):
    originals.coco(tmp_path / 'coco')
    for out, settings, positive in (
        ('dogs', {'foreground_class_of_interest': 'dog'}, [b'000000000001', b'000000000005']),
        ('small', {'small_object_area_threshold': 0.0}, [b'000000000002', b'000000000003']),
        ('large', {'small_object_area_threshold': 0.25}, []),
    ):
        convert('visualwakewords', tmp_path / 'coco', out, **settings)
        items = read_images(_get(tmp_path, 'visualwakewords', 'train', out))
        names = sorted(item['filename'][-16:-4] for item, _ in items if item['label'])
        assert names == positive
    names = _get(tmp_path, 'visualwakewords', 'val', 'dogs').labels_to_names
    assert names == {0: 'background', 1: 'dog'}


_VAL = 'annotations/instances_val2014.json'


def _annotations(**changes):
    def spoil(source):
        path = source / _VAL
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


@pytest.mark.parametrize(
    ('spoil', 'message', 'settings'),
    [
        (_unlink('val2014'), r'expected val2014\.zip, or unpacked.*From: http', {}),
        (_unlink(_VAL), r'expected annotations_trainval2014\.zip', {}),
        (lambda s: None, "no class 'persn'.*'person'", {'foreground_class_of_interest': 'persn'}),
        (_cut(_VAL, 50), r'val2014\.json is no JSON file: it is cut off', {}),
        (_write(_VAL, b'[]'), r'val2014\.json is no annotation file', {}),
        (_annotations(images=[{'id': 1}]), r'no sound annotation file .*KeyError', {}),
        (_annotations(images=[], annotations=[]), r'lists no images', {}),
        (
            _annotations(images=[{'id': 1, 'file_name': '../x.jpg'}], annotations=[]),
            r'names an image in another folder: .\.\./x\.jpg',
            {},
        ),
        (
            _unlink('val2014/COCO_val2014_000000000002.jpg'),
            r'val2014 lacks 1 of the 4 images .*000002\.jpg',
            {},
        ),
        (
            _write('train2014/COCO_train2014_000000000002.jpg', b'x'),
            r'000002\.jpg cannot be read as an image',
            {},
        ),
    ],
)
def test_visualwakewords_refuse(tmp_path, spoil, message, settings):
    originals.coco(tmp_path / 'coco')
    spoil(tmp_path / 'coco')
    _refuses(tmp_path, 'visualwakewords', tmp_path / 'coco', DataError, message, **settings)


# What all share.


@pytest.mark.parametrize('name', ['cifar10', 'mnist'])
def test_the_pipeline_of_the_evaluation_gives_the_pixels_back(tmp_path, convert, name):
    write = {'cifar10': originals.cifar10_binary, 'mnist': originals.mnist}[name]
    expected, labels = write(tmp_path / 'source')['test']
    channels = 3 if name == 'cifar10' else 1
    convert(name, tmp_path / 'source')
    dataset = _get(tmp_path, name, 'test')

    def as_float(encoded, height, width):
        image = tf.cast(dataset.decode(encoded), tf.float32)
        return tf.ensure_shape(image, [height, width, channels])

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        form = inputs.BatchFormat(len(labels), expected.shape[1])
        batches = inputs.evaluation_batches(dataset, as_float, form)
        batch = tf.compat.v1.data.make_one_shot_iterator(batches).get_next()
        images, read, real = session.run(batch)
    np.testing.assert_array_equal(images, expected.reshape(images.shape))
    assert read.tolist() == labels.tolist()
    assert real.all()


def test_unknown_names_and_imagenet(tmp_path):
    with pytest.raises(UsageError, match=r"Unknown dataset 'cifar'. Did you mean 'cifar10'"):
        conversions.convert('cifar', str(tmp_path / 'out'))
    with pytest.raises(UsageError, match=r'preprocess_imagenet\.py --raw_data_dir'):
        conversions.convert('imagenet', str(tmp_path / 'out'))


def test_a_setting_of_another_set_is_refused(tmp_path):
    with pytest.raises(UsageError, match='no effect on cifar10; it is for visualwakewords'):
        conversions.convert('cifar10', str(tmp_path / 'out'), given=['small_object_area_threshold'])
    with pytest.raises(UsageError, match='small_object_area_threshold=2'):
        conversions.convert(
            'visualwakewords',
            str(tmp_path / 'out'),
            settings=conversion.Settings(small_object_area_threshold=2.0),
        )


def test_no_source_folder(tmp_path):
    _refuses(tmp_path, 'mnist', tmp_path / 'nowhere', DataError, 'no folder .*nowhere')


def test_a_finished_set_is_left_alone(tmp_path, convert):
    originals.mnist(tmp_path / 'source')
    convert('mnist', tmp_path / 'source')
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'out').iterdir()}
    with pytest.raises(OutputError, match=r'dataset\.json says that this set is finished'):
        convert('mnist', tmp_path / 'source')
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / 'out').iterdir()} == before


def test_records_of_another_tool_are_left_alone(tmp_path, convert):
    originals.mnist(tmp_path / 'source')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mnist_train.tfrecord').write_bytes(b'classic')
    with pytest.raises(OutputError, match=r'holds records already: mnist_train\.tfrecord'):
        convert('mnist', tmp_path / 'source')
    assert (tmp_path / 'out' / 'mnist_train.tfrecord').read_bytes() == b'classic'
    assert _files(tmp_path) == ['mnist_train.tfrecord']


def test_two_at_a_time_are_refused(tmp_path, convert):
    originals.mnist(tmp_path / 'source')
    (tmp_path / 'out').mkdir()
    with (
        set_writer._lock(str(tmp_path / 'out')),
        pytest.raises(OutputError, match='Another process is writing into'),
    ):
        convert('mnist', tmp_path / 'source')
    convert('mnist', tmp_path / 'source')


def test_an_error_at_the_end_leaves_nothing(tmp_path, convert, monkeypatch):
    originals.mnist(tmp_path / 'source')

    def fail(dataset_dir, about):
        assert sorted(os.listdir(dataset_dir))[-1] == 'mnist_train.tfrecord'
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(description, 'write_description', fail)
        with pytest.raises(KeyboardInterrupt):
            convert('mnist', tmp_path / 'source')
    assert not (tmp_path / 'out').exists()
    convert('mnist', tmp_path / 'source')
    assert _get(tmp_path, 'mnist', 'train').num_samples == 12


def test_what_a_killed_run_has_left_is_replaced(tmp_path, convert):
    originals.class_folders(tmp_path / 'pets', ['cat', 'dog'], [4, 4])
    out = tmp_path / 'out'
    # Killed while it moved its files out; then it would have had other numbers of files.
    (out / '.conversion' / 'records').mkdir(parents=True)
    (out / '.conversion.lock').touch()
    (out / '.conversion' / 'records' / 'validation-00001-of-00002').write_bytes(b'half')
    (out / 'validation-00000-of-00002').write_bytes(b'old')
    convert('folder', tmp_path / 'pets')
    assert _files(tmp_path) == [
        'dataset.json',
        'labels.txt',
        'train-00000-of-00001',
        'validation-00000-of-00001',
    ]


def test_a_folder_that_cannot_be_written(tmp_path, convert):
    originals.mnist(tmp_path / 'source')
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match='cannot be written'):
        convert('mnist', tmp_path / 'source', 'file/out')


def test_no_space_left(tmp_path, convert, monkeypatch):
    originals.mnist(tmp_path / 'source')
    writer = tf.io.TFRecordWriter

    class Full(writer):
        def write(self, record):
            raise tf.errors.ResourceExhaustedError(None, None, 'No space left on device')

    monkeypatch.setattr(tf.io, 'TFRecordWriter', Full)
    with pytest.raises(OutputError, match=r'mnist_train\.tfrecord cannot be written: No space'):
        convert('mnist', tmp_path / 'source')
    assert not (tmp_path / 'out').exists()


def test_a_full_disk_while_unpacking(tmp_path, convert, monkeypatch):
    originals.class_folders(tmp_path / 'flower_photos', originals.FLOWERS, [6] * 5)
    originals.tar(tmp_path / 'flower_photos.tgz', tmp_path / 'flower_photos')
    shutil.rmtree(tmp_path / 'flower_photos')

    def full(source, target):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(archives.os, 'replace', full)
    with pytest.raises(OutputError, match='cannot be written: No space left'):
        convert('flowers', tmp_path)
    assert not (tmp_path / 'out').exists()
