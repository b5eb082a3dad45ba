"""Data sets: their numbers, their pictures, their labels; every image once."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from datasets.records import example_format
from mobilenet import dataset_loader
from mobilenet.configs import dataset as configs
from preprocessing import auto_augment
from slim import errors

DATA = pathlib.Path(__file__).parents[1] / 'data'


def picture(height=40, width=56, seed=0, channels=3):
    values = np.random.RandomState(seed).randint(0, 256, [height, width, channels])
    return values.astype(np.uint8)


def write_set(folder, labels, num_classes, has_background=False, splits=('train',), name='own'):
    """A set of tiny PNG pictures with these labels, the same in each split."""
    encoded = tf.io.encode_png(picture(12, 12)).numpy()
    for split in splits:
        with tf.io.TFRecordWriter(str(folder / f'{split}-00000-of-00001')) as writer:
            for label in labels:
                writer.write(example_format.encode_example(encoded, label, 12, 12))
    about = {
        'name': name,
        'num_classes': num_classes,
        'has_background': has_background,
        'splits': {split: {'num_samples': len(labels)} for split in splits},
    }
    (folder / 'dataset.json').write_text(json.dumps(about))


def labels_of(config):
    return [int(label) for _, labels in dataset_loader.get_dataset(config) for label in labels]


def test_the_published_numbers():
    imagenet, imagenette, mnist = (
        configs.DATASETS[name]() for name in ('imagenet2012', 'imagenette', 'mnist')
    )
    sizes = (imagenet.num_classes, imagenet.num_examples, imagenet.num_eval_examples)
    assert sizes == (1000, 1281167, 50000)
    assert (imagenet.file_shuffle_buffer_size, imagenet.shuffle_buffer_size) == (100, 10000)
    sizes = (imagenette.num_classes, imagenette.num_examples, imagenette.num_eval_examples)
    assert sizes == (10, 9469, 3925)
    for config in (imagenet, imagenette):
        assert (config.image_size, config.batch_size, config.num_channels) == (224, 32, 3)
        assert config.mean_subtract and config.standardize and config.one_hot
        assert config.augmenter.name == 'autoaugment'
    assert (mnist.image_size, mnist.num_channels, mnist.batch_size) == (28, 1, 128)
    assert mnist.num_examples == 60000


@pytest.mark.once
def test_a_misspelt_key_is_an_error():
    for make in (
        lambda: configs.ImageNetteConfig(image_sise=96),
        lambda: configs.ImageNetteConfig.from_args(image_sise=96),
        lambda: setattr(configs.ImageNetteConfig(), 'image_sise', 96),
    ):
        with pytest.raises(errors.UsageError, match=r"'image_sise'. Did you mean 'image_size'"):
            make()
    # Each configuration has an augmenter of its own.
    configs.ImageNetteConfig().augmenter.name = None
    assert configs.ImageNetteConfig().augmenter.name == 'autoaugment'


def preprocessed(config, encoded, seeds):
    """One picture for each seed, [n, s, s, c]."""
    preprocess = dataset_loader.preprocess_fn(config)
    size = config.image_size

    @tf.function(autograph=False)
    def one(seed):
        return preprocess(encoded, size, size, seed=seed)

    return np.stack([one(tf.constant(seed)).numpy() for seed in seeds])


def test_evaluation_pictures_are_those_of_the_first_release():
    inputs = np.load(DATA / 'preprocessing' / 'goldens.npz')
    goldens = np.load(DATA / 'keras' / 'preprocessing.npz')
    config = configs.ImageNetteConfig(split='validation', image_size=64)
    for name, golden in goldens.items():
        found = preprocessed(config, tf.io.encode_png(inputs[name]), [[0, 0]])[0]
        np.testing.assert_allclose(found[::4, ::4], golden, atol=1e-5)


def test_auto_augment_comes_before_the_pictures_are_normalised():
    encoded = tf.io.encode_png(picture())
    seeds = [[3, number] for number in range(12)]
    plain = configs.ImageNetteConfig(image_size=32, augmenter=configs.AugmentConfig())
    without = preprocessed(plain, encoded, seeds)
    augmented = preprocessed(configs.ImageNetteConfig(image_size=32), encoded, [*seeds, seeds[0]])
    # What clips to 0..255 and makes whole numbers of it would leave 0, 1 and 2 of a normalised one.
    assert augmented.min() < -1.5 and augmented.max() > 2.0
    assert all(len(np.unique(image)) > 3 for image in augmented)
    same = [np.allclose(a, b, atol=0.02) for a, b in zip(augmented[:-1], without, strict=True)]
    assert sum(same) < 6
    np.testing.assert_array_equal(augmented[0], augmented[-1])


def test_the_steps_of_auto_augment():
    image = picture(16, 16)
    floats, up = tf.cast(image, tf.float32), tf.constant(-1.0)

    def changed(operation, level, sign=up):
        return auto_augment._OPERATIONS[operation](floats, tf.constant(level), sign, 250.0).numpy()

    np.testing.assert_allclose(
        changed('solarize_add', 0.3), np.where(image < 128, image + 33.0, image)
    )
    np.testing.assert_allclose(
        changed('solarize', 0.25), np.where(image < 64, image, 255.0 - image)
    )
    np.testing.assert_allclose(changed('invert', 0.9), 255.0 - image)
    np.testing.assert_array_equal(changed('posterize', 0.6), image // 4 * 4)
    np.testing.assert_allclose(changed('color', 0.5), image, atol=1e-4)
    # 250 pixels at the highest level.
    np.testing.assert_array_equal(changed('translate_y', 0.02, -up)[:11], image[5:])
    names = {step.operation for steps in auto_augment.POLICY_V0 for step in steps}
    assert names == set(auto_augment._OPERATIONS)
    with pytest.raises(errors.UsageError, match=r'0..255 as uint8, not float32'):
        auto_augment.auto_augment()(floats, tf.constant([1, 2]))


def test_one_channel_has_a_mean_of_its_own():
    config = configs.MNISTConfig(split='test')
    encoded = tf.io.encode_png(np.full([28, 28, 1], 255, np.uint8))
    found = preprocessed(config, encoded, [[0, 0]])[0]
    assert found.shape == (28, 28, 1)
    mean, deviation = 0.2989 * 0.485 + 0.587 * 0.456 + 0.114 * 0.406, 0.2256
    np.testing.assert_allclose(found, (1 - mean) / deviation, rtol=1e-2)


def test_labels_of_imagenet_lose_their_background(tmp_path):
    write_set(tmp_path, [1, 2, 5], 6, has_background=True, splits=('train', 'validation'))
    config = configs.ImageNetConfig(
        data_dir=str(tmp_path), split='validation', image_size=16, batch_size=2, one_hot=False
    )
    assert labels_of(config.replace(num_classes=5)) == [0, 1, 4]
    assert labels_of(config.replace(num_classes=6)) == [1, 2, 5]
    # As many classes as the folder says, where the configuration says nothing of its own.
    assert dataset_loader.located(config).num_classes == 5
    with pytest.raises(errors.DataError, match=r'labels 0 to 5, .* num_classes=7: give 5 or 6'):
        dataset_loader.located(config.replace(num_classes=7))


def test_pipeline_refuses_a_label_outside_of_the_classes(tmp_path):
    write_set(tmp_path, [1, 1000], 1001, has_background=True)
    records = dataset_loader.load_tfrecords(str(tmp_path), 'train', 10)
    config = configs.ImageNetConfig(split='validation', image_size=16, batch_size=2, one_hot=True)
    ((images, labels),) = dataset_loader.pipeline(records, config)
    assert images.shape == (2, 16, 16, 3)
    assert sorted(np.argmax(labels, axis=-1)) == [0, 999] and np.all(np.sum(labels, -1) == 1)
    wrong = dataset_loader.pipeline(records, config.replace(num_classes=900, num_labels=901))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'outside of the classes'):
        next(iter(wrong))


def test_a_missing_split_and_a_missing_folder_are_told(tmp_path):
    write_set(tmp_path, [0, 1], 2)
    config = dataset_loader.located(configs.FolderConfig(name='own', data_dir=str(tmp_path)))
    assert (config.num_classes, config.num_examples) == (2, 2)
    with pytest.raises(errors.DataError, match=r"no split 'validation', it has train"):
        dataset_loader.open_split(config.replace(split='validation'))
    for name, script in (('imagenet2012', 'preprocess_'), ('mnist', 'download_and_')):
        with pytest.raises(
            errors.UsageError, match=rf'--data_dir. Nothing is downloaded.*{script}'
        ):
            dataset_loader.load_tfds(name, 'train')
    with pytest.raises(errors.UsageError, match=r"'imagenete'. Did you mean 'imagenette'"):
        dataset_loader.load_tfds('imagenete', 'train', data_dir=str(tmp_path))


def test_every_image_of_the_evaluation_comes_once(digits):
    config = configs.DigitsConfig(
        data_dir=digits, split='validation', batch_size=100, image_size=8, one_hot=False
    )
    labels = labels_of(config)
    assert len(labels) == 360 and set(labels) == set(range(10))
    # Training has batches of one shape, and the same ones at every start.
    config.split = 'train'
    first, second = (next(iter(dataset_loader.get_dataset(config))) for _ in range(2))
    assert first[0].shape == (100, 8, 8, 3)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
