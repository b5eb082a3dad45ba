"""MNIST: 70,000 gray images of 28x28 pixels, the ten handwritten digits.

LeCun, Cortes, Burges, "The MNIST database of handwritten digits". Records are PNG files in
`mnist_train.tfrecord` and `mnist_test.tfrecord`; they are decoded to one channel.
"""

from __future__ import annotations

import tensorflow as tf

from datasets import record_set
from datasets.dataset import Dataset
from datasets.record_set import RecordSet
from datasets.records import example_format
from datasets.records.description import Description, Split

FILE_PATTERN = 'mnist_%s.tfrecord'
SPLITS_TO_SIZES = {'train': 60000, 'test': 10000}
LABEL_NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
PUBLISHED = Description(
    name='mnist',
    num_classes=len(LABEL_NAMES),
    has_background=False,
    splits={name: Split(size) for name, size in SPLITS_TO_SIZES.items()},
    label_names=LABEL_NAMES,
)


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> Dataset:
    """Describes the split 'train' or 'test' of the records; see `record_set.get_split`."""
    records = RecordSet(PUBLISHED, FILE_PATTERN, decode)
    return record_set.get_split(records, split_name, dataset_dir, file_pattern, reader)


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [h, w, 1] from an image file (string scalar)."""
    return example_format.decode_image(encoded, channels=1)
