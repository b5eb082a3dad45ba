"""Data sets: how many images and classes, how pictures become a network's input. Pure Python.

The numbers are those of the published sets. Where a folder of records has a dataset.json, its
numbers are taken (`dataset_loader.located`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from mobilenet.configs import base


@dataclasses.dataclass(init=False)
class AugmentConfig(base.Config):
    """What training pictures go through before they are normalised."""

    name: str | None = None  # 'autoaugment'; None for nothing
    params: dict[str, Any] | None = None  # arguments of `auto_augment.auto_augment`


def _auto_augment() -> AugmentConfig:
    return AugmentConfig(name='autoaugment')


@dataclasses.dataclass(init=False)
class DatasetConfig(base.Config):
    """What all data sets have."""

    name: str | None = None
    data_dir: str | None = None  # folder of the records
    split: str = 'train'
    eval_split: str = 'validation'
    builder: str = 'records'  # 'tfds' in the classic configurations: both are read from records
    download: bool = False  # never obeyed: nothing is downloaded by training
    image_size: int = 224  # pixels, side
    num_channels: int = 3
    num_classes: int = 1001
    num_examples: int = 0
    num_eval_examples: int = 0
    # How many labels the records have, a background class included; None: as many as classes. One
    # more than `num_classes`: label 0, the background, occurs in no record, and all move down by 1.
    num_labels: int | None = None
    batch_size: int = 128
    use_per_replica_batch_size: bool = True
    num_devices: int = 1
    dtype: str = 'float32'
    one_hot: bool = True  # labels float32 [b, num_classes], not int64 [b]
    # Also 'digits' or another name of preprocessing_factory; None: crops, mean and deviation.
    preprocessing_name: str | None = None
    augmenter: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    mean_subtract: bool = False
    standardize: bool = False
    skip_decoding: bool = True  # decode only what a crop needs
    cache: bool = False
    shuffle_buffer_size: int = 10_000
    file_shuffle_buffer_size: int = 1024

    @property
    def labels_offset(self) -> int:
        """What is subtracted from the labels of the records."""
        return 0 if self.num_labels is None else self.num_labels - self.num_classes


@dataclasses.dataclass(init=False)
class ImageNetteConfig(DatasetConfig):
    """Imagenette, version 2: ten classes of ImageNet."""

    name: str = 'imagenette'
    image_size: int = 224
    num_channels: int = 3
    batch_size: int = 32
    num_classes: int = 10
    num_examples: int = 9469
    num_eval_examples: int = 3925
    mean_subtract: bool = True
    standardize: bool = True
    augmenter: AugmentConfig = dataclasses.field(default_factory=_auto_augment)
    download: bool = True
    builder: str = 'tfds'


@dataclasses.dataclass(init=False)
class ImageNetConfig(DatasetConfig):
    """ImageNet of 2012. The records have the labels 1..1000, and 0 for a background."""

    name: str = 'imagenet2012'
    image_size: int = 224
    num_channels: int = 3
    batch_size: int = 32
    num_classes: int = 1000
    num_labels: int | None = 1001
    num_examples: int = 1281167
    num_eval_examples: int = 50000
    dtype: str = 'float32'
    mean_subtract: bool = True
    standardize: bool = True
    augmenter: AugmentConfig = dataclasses.field(default_factory=_auto_augment)
    download: bool = False
    builder: str = 'records'
    data_dir: str | None = 'gs://'
    shuffle_buffer_size: int = 10_000
    file_shuffle_buffer_size: int = 100


@dataclasses.dataclass(init=False)
class MNISTConfig(DatasetConfig):
    """MNIST. Its second split is called 'test'."""

    name: str = 'mnist'
    image_size: int = 28
    num_channels: int = 1
    batch_size: int = 128
    num_classes: int = 10
    num_examples: int = 60000
    num_eval_examples: int = 10000
    download: bool = True
    builder: str = 'tfds'
    mean_subtract: bool = True
    standardize: bool = True
    eval_split: str = 'test'


@dataclasses.dataclass(init=False)
class DigitsConfig(DatasetConfig):
    """The built-in sample of handwritten digits."""

    name: str = 'digits'
    image_size: int = 32
    batch_size: int = 64
    num_classes: int = 10
    num_examples: int = 1437
    num_eval_examples: int = 360
    preprocessing_name: str | None = 'digits'


@dataclasses.dataclass(init=False)
class FolderConfig(DatasetConfig):
    """A folder of records with a dataset.json, which says the rest."""

    name: str = 'folder'
    batch_size: int = 32
    mean_subtract: bool = True
    standardize: bool = True


# By the trainer's names.
DATASETS: dict[str, type[DatasetConfig]] = {
    'digits': DigitsConfig,
    'imagenet2012': ImageNetConfig,
    'imagenette': ImageNetteConfig,
    'mnist': MNISTConfig,
}

# What a run on the digits has where the flags say nothing: a narrow network whose batch norm
# follows it in a run of a minute or two.
DIGITS_RECIPE: dict[str, Any] = {
    'model_name': 'mobilenet_v1',
    'width_multiplier': 0.5,
    'batch_size': 64,
    'epochs': 25,
    'lr': 0.002,
    'learning_scheduler_name': 'cosine',
    'warmup_epochs': 2.0,
    'batch_norm_decay': 0.9,
}
