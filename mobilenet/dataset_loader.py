"""From the records of a data set to batches, by a configuration of `configs/dataset.py`.

Records are read by the suite's own pipeline (docs/input.md): which image comes when, and how it is
augmented, is a function of the seed. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from datasets import dataset_factory
from datasets.conversion import digits
from datasets.dataset import Dataset
from datasets.records import description, example_format, record_files
from mobilenet.configs.dataset import DATASETS, DatasetConfig
from preprocessing import auto_augment, encoded_images, preprocessing_factory
from preprocessing.image_steps import flip_left_right, split_seed
from runtime.input import inputs, record_order
from slim import errors

# Of ImageNet's pictures, in 0..1, for red, green and blue.
MEAN_RGB, STDDEV_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LUMINANCE = (0.2989, 0.5870, 0.1140)
_CROP_PADDING = 32  # pixels around the central crop of `image_size` pixels
_CLASSIC_NAMES = {'imagenet2012': 'imagenet'}
_CONVERTED_BY = {'imagenet2012': 'preprocess_imagenet.py'}
_AUGMENTERS: dict[str, Callable[..., Any]] = {'autoaugment': auto_augment.auto_augment}


class _OwnFlag(contextlib.ContextDecorator):
    """Errors of the suite's readers name the trainer's flag for the folder, not their own."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, errors.SuiteError) and '--dataset_dir' in str(error):
            raise type(error)(str(error).replace('--dataset_dir', '--data_dir')) from error


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a data set, ready to be read."""

    config: DatasetConfig
    records: Dataset
    preprocess: Callable[..., tf.Tensor]  # f(encoded, height, width, seed=), see `preprocess_fn`

    def batch_format(self, batch_size: int) -> inputs.BatchFormat:
        return inputs.BatchFormat(batch_size, self.config.image_size, self.config.labels_offset)


@_OwnFlag()
def located(config: DatasetConfig) -> DatasetConfig:
    """A copy with the folder of the records, whose dataset.json, if there is one, gives numbers.

    Writes the built-in digits into the cache where they are not there yet.

    Raises:
      UsageError: no folder is given, or its set has another name.
      DataError: the folder is not there or empty, or has other classes.
    """
    data_dir = config.data_dir
    if config.name == 'digits' and not data_dir:
        data_dir = digits.ensure_sample()
    if data_dir in (None, '', 'gs://'):
        script = _CONVERTED_BY.get(str(config.name), 'download_and_convert_data.py')
        raise errors.UsageError(
            f'Data set {config.name!r}: give the folder of its TFRecords with --data_dir. Nothing '
            f'is downloaded here; {script} writes them'
        )
    record_files.check_dataset_dir(data_dir)
    about = dataset_factory.get_description(_classic_name(config, data_dir), data_dir)
    background = about.num_classes - 1 if about.has_background else about.num_classes
    num_classes = config.num_classes
    if num_classes not in (about.num_classes, background):
        if num_classes != type(config)().num_classes:
            raise errors.DataError(
                f'{data_dir} has the labels 0 to {about.num_classes - 1}, which does not go with '
                f'num_classes={num_classes}: give {background}'
                + (f' or {about.num_classes}' if about.has_background else '')
            )
        num_classes = background
    sizes = {name: split.num_samples for name, split in about.splits.items()}
    return config.replace(
        name=about.name if config.name == 'folder' else config.name,
        data_dir=data_dir,
        num_classes=num_classes,
        num_labels=about.num_classes,
        num_examples=sizes.get('train', config.num_examples),
        num_eval_examples=sizes.get(config.eval_split, config.num_eval_examples),
    )


@_OwnFlag()
def own_name(data_dir: str) -> str | None:
    """What a folder's dataset.json calls its set, by the trainer's names; None without one."""
    record_files.check_dataset_dir(data_dir)
    about = description.read_description(data_dir)
    trainer_names = {classic: name for name, classic in _CLASSIC_NAMES.items()}
    return trainer_names.get(about.name, about.name) if about else None


@_OwnFlag()
def open_split(config: DatasetConfig, slim_preprocess: bool = False) -> Split:
    """The split `config.split` of a configuration that `located` has completed.

    `train` is read in its training form. `slim_preprocess`: Inception's preprocessing, as TF-Slim's
    checkpoints of the MobileNets expect it.

    Raises:
      DataError: the folder does not hold the split completely.
      UsageError: an unknown preprocessing or augmenter.
    """
    data_dir = str(config.data_dir)
    name = _classic_name(config, data_dir)
    about = dataset_factory.get_description(name, data_dir)
    if config.split not in about.splits:
        raise errors.DataError(
            f'{data_dir} has no split {config.split!r}, it has '
            f'{record_files.listed(list(about.splits))}. Write it with preprocess_imagenet.py or '
            'download_and_convert_data.py, or name another one with --eval_split'
        )
    records = dataset_factory.get_dataset(name, config.split, data_dir)
    config = config.replace(num_labels=records.num_classes)
    return Split(config, records, preprocess_fn(config, records.decode, slim_preprocess))


def _classic_name(config: DatasetConfig, data_dir: str) -> str:
    """The name in the suite's factory; a folder that describes itself goes by its own name."""
    name = str(config.name)
    if name in ('folder', 'digits'):
        return 'folder'
    if name in DATASETS:
        return _CLASSIC_NAMES.get(name, name)
    own = description.read_description(data_dir)
    if own is None or own.name != name:
        names = [*DATASETS, *([own.name] if own else [])]
        raise errors.unknown_name('dataset', name, names)
    return 'folder'


def training_batches(split: Split, batch_size: int, order: inputs.TrainingOrder) -> tf.data.Dataset:
    """Endless (images float32 [b, s, s, c], labels int64 [b])."""
    batches = inputs.training_batches(
        split.records, split.preprocess, split.batch_format(batch_size), order
    )
    return batches.map(lambda images, labels, skipped: (images, labels))


def evaluation_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Every record once: (images float32 [b, s, s, c], labels int64 [b], real bool [b])."""
    return inputs.evaluation_batches(
        split.records, split.preprocess, split.batch_format(batch_size)
    )


# Pictures.


def preprocess_fn(
    config: DatasetConfig,
    decode: Callable[[tf.Tensor], tf.Tensor] = example_format.decode_image,
    slim_preprocess: bool = False,
) -> Callable[..., tf.Tensor]:
    """f(encoded string, height, width, seed=int32 [2]) to a picture, [height, width, c].

    Without a name in the configuration, in training: a crop of at least a tenth of the picture,
    resized, mirrored or not, augmented, then normalised. In evaluation: the central square.

    Raises:
      UsageError: an unknown preprocessing or augmenter.
    """
    is_training = config.split == 'train'
    fused = config.skip_decoding and decode is example_format.decode_image
    augment = _augmenter(config)
    name = 'inception' if slim_preprocess else config.preprocessing_name
    if name:
        custom_op, _ = preprocessing_factory.find_custom_op(name, fused, True)
        named = preprocessing_factory.get_encoded_preprocessing(
            name,
            decode,
            is_training=is_training,
            use_grayscale=config.num_channels == 1,
            fused=fused,
            augment=None if slim_preprocess else augment,
            custom_op=custom_op,
        )
        return lambda *args, **kwargs: tf.cast(named(*args, **kwargs), config.dtype)
    form = _for_training if is_training else _for_evaluation
    return functools.partial(form, config=config, decode=decode, fused=fused, augment=augment)


def _augmenter(config: DatasetConfig) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    name = config.augmenter.name if config.augmenter else None
    if name is None or config.split != 'train' or config.num_channels != 3:
        return None
    if name not in _AUGMENTERS:
        raise errors.unknown_name('augmenter', name, _AUGMENTERS)
    return _AUGMENTERS[name](**(config.augmenter.params or {}))


def _for_training(
    encoded: tf.Tensor,
    height: int,
    width: int,
    seed: tf.Tensor | None = None,
    *,
    config: DatasetConfig,
    decode: Callable[[tf.Tensor], tf.Tensor],
    fused: bool,
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None,
) -> tf.Tensor:
    crop_seed, flip_seed, augment_seed = split_seed(seed, 3)

    def window(size: tf.Tensor) -> tf.Tensor:
        begin, crop_size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.concat([size, [3]], axis=0),
            bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            seed=crop_seed,
            min_object_covered=0.1,
            aspect_ratio_range=[0.75, 1.33],
            area_range=[0.05, 1.0],
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )
        return tf.concat([begin[:2], crop_size[:2]], axis=0)

    image = _resized(_region(encoded, window, decode, fused, config), height, width)
    image = flip_left_right(image, tf.random.stateless_uniform([], flip_seed))
    if augment:
        # Before the picture is normalised: the operations count in 0..255.
        image = augment(tf.cast(tf.round(image), tf.uint8), augment_seed)
        image = tf.cast(image, tf.float32)
    return _normalised(image, height, width, config)


def _for_evaluation(
    encoded: tf.Tensor,
    height: int,
    width: int,
    seed: tf.Tensor | None = None,
    *,
    config: DatasetConfig,
    decode: Callable[[tf.Tensor], tf.Tensor],
    fused: bool,
    augment: object,
) -> tf.Tensor:
    del seed, augment

    def window(size: tf.Tensor) -> tf.Tensor:
        share = height / (height + _CROP_PADDING)
        side = tf.cast(share * tf.cast(tf.reduce_min(size), tf.float32), tf.int32)
        return tf.concat([(size - side + 1) // 2, [side, side]], axis=0)

    image = _resized(_region(encoded, window, decode, fused, config), height, width)
    return _normalised(image, height, width, config)


def _region(
    encoded: tf.Tensor,
    window: encoded_images.WindowFn,
    decode: Callable[[tf.Tensor], tf.Tensor],
    fused: bool,
    config: DatasetConfig,
) -> tf.Tensor:
    """uint8 [h, w, c]: what the window shows."""
    if fused:
        pixels = encoded_images.read_region(encoded, window, decode).pixels
    else:
        image = decode(encoded)
        top, left, height, width = tf.unstack(window(tf.shape(image)[:2]), num=4)
        pixels = image[top : top + height, left : left + width]
    if pixels.shape[-1] == 3 and config.num_channels == 1:
        return tf.image.rgb_to_grayscale(pixels)
    if pixels.shape[-1] == 1 and config.num_channels == 3:
        return tf.image.grayscale_to_rgb(pixels)
    return pixels


def _resized(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """float32 [height, width, c] in 0..255, bilinear by TF 1's pixel grid."""
    floats = tf.cast(image, tf.float32)[tf.newaxis]
    return tf.raw_ops.ResizeBilinear(images=floats, size=[height, width])[0]


def _normalised(image: tf.Tensor, height: int, width: int, config: DatasetConfig) -> tf.Tensor:
    mean: Sequence[float] = MEAN_RGB
    deviation: Sequence[float] = STDDEV_RGB
    if config.num_channels == 1:  # Those of the gray picture.
        mean, deviation = (
            [sum(weight * value for weight, value in zip(_LUMINANCE, rgb, strict=True))]
            for rgb in (mean, deviation)
        )
    if config.mean_subtract:
        image -= tf.constant([255.0 * value for value in mean])
    if config.standardize:
        image /= tf.constant([255.0 * value for value in deviation])
    image.set_shape([height, width, config.num_channels])
    return tf.cast(image, config.dtype)


# The classic functions, for a script of your own.


def get_dataset(config: DatasetConfig, slim_preprocess: bool = False) -> tf.data.Dataset:
    """Batches (images, labels) of `config.split`: endless for 'train', else each record once.

    Images: `config.dtype` [b, s, s, c]; labels: float32 [b, num_classes] with `config.one_hot`,
    else int64 [b].
    """
    split = open_split(located(config), slim_preprocess)
    batch_size = config.batch_size
    if config.use_per_replica_batch_size:
        batch_size *= config.num_devices
    if config.split == 'train':
        reading = record_order.Reading(cache=config.cache)
        batches = training_batches(split, batch_size, inputs.TrainingOrder(0, reading=reading))
    else:
        batches = evaluation_batches(split, batch_size).map(_real_ones)
    return batches.map(functools.partial(_labelled, config=split.config))


def load_tfrecords(
    data_dir: str, split: str, file_shuffle_buffer_size: int = 1024
) -> tf.data.Dataset:
    """Serialized records, string scalars, of the files `SPLIT*`; those of 'train' shuffled."""
    pattern = os.path.join(data_dir, f'{split}*')
    paths = sorted(tf.io.gfile.glob(pattern))
    if not paths:
        raise errors.DataError(
            f'No record files of the split {split!r}: {pattern} matches nothing.'
        )
    kinds = record_files.compressions(paths)
    files = tf.data.Dataset.from_tensor_slices((paths, list(kinds)))
    if split == 'train':
        files = files.shuffle(max(1, file_shuffle_buffer_size))
    return files.interleave(
        lambda path, kind: tf.data.TFRecordDataset(path, kind),
        cycle_length=10,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def load_tfds(
    dataset_name: str, split: str | list[str], download: bool = True, data_dir: str | None = None
) -> tf.data.Dataset:
    """Serialized records of a data set that TensorFlow Datasets knows, from the suite's records.

    `download` is never obeyed: without `data_dir` a UsageError says how the records are made.
    """
    del download
    known = DATASETS.get(dataset_name, DatasetConfig)
    config = located(known(name=dataset_name, data_dir=data_dir))
    name = _classic_name(config, str(config.data_dir))
    names = [split] if isinstance(split, str) else list(split)
    parts = [dataset_factory.get_dataset(name, part, str(config.data_dir)) for part in names]
    files = [path for part in parts for path in part.data_sources]
    return tf.data.TFRecordDataset(files)


def parse_record(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A serialized record as (image file, string scalar; label, int64 scalar)."""
    parsed = example_format.parse_example(record)
    return parsed['encoded'], parsed['label']


def pipeline(
    dataset: tf.data.Dataset, config: DatasetConfig, slim_preprocess: bool = False
) -> tf.data.Dataset:
    """Batches of `get_dataset`'s form from serialized records, or from (image file, label).

    A label outside of the classes is an error when its batch is read.
    """
    is_training = config.split == 'train'
    preprocess = preprocess_fn(config, slim_preprocess=slim_preprocess)
    if config.cache:
        dataset = dataset.cache()
    if is_training:
        dataset = dataset.shuffle(max(1, config.shuffle_buffer_size)).repeat()

    def example(*element: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        encoded, label = element if len(element) == 2 else parse_record(*element)
        label = tf.cast(tf.reshape(label, []), tf.int64) - config.labels_offset
        in_range = tf.debugging.Assert(
            (label >= 0) & (label < config.num_classes),
            ['A label is outside of the classes', label, config.num_classes],
        )
        seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        with tf.control_dependencies([in_range]):
            label = tf.identity(label)
        size = config.image_size
        return preprocess(encoded, size, size, seed=seed), label

    batch_size = config.batch_size * (
        config.num_devices if config.use_per_replica_batch_size else 1
    )
    batches = dataset.map(example, tf.data.AUTOTUNE).batch(batch_size, drop_remainder=is_training)
    return batches.map(functools.partial(_labelled, config=config)).prefetch(tf.data.AUTOTUNE)


def _real_ones(
    images: tf.Tensor, labels: tf.Tensor, real: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.boolean_mask(images, real), tf.boolean_mask(labels, real)


def _labelled(
    images: tf.Tensor, labels: tf.Tensor, *, config: DatasetConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    return images, tf.one_hot(labels, config.num_classes) if config.one_hot else labels
