from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets import conversion, conversions, example_format


@pytest.fixture
def image_bytes():
    """image_bytes(format, mode='RGB', size=(w, h)): an image file of noise."""

    def image_bytes(image_format='JPEG', mode='RGB', size=(12, 8), seed=0):
        channels = len(Image.new(mode, (1, 1)).getbands())
        shape = (size[1], size[0]) + ((channels,) if channels > 1 else ())
        pixels = np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels, mode).save(file, image_format)
        return file.getvalue()

    return image_bytes


@pytest.fixture
def write_records():
    """write_records(path, labels): a TFRecord file of one small record per label."""

    def write_records(path, labels):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for label in labels:
                example = example_format.make_example(b'pixels', label, 1, 1)
                writer.write(example.SerializeToString())

    return write_records


@pytest.fixture
def read_back():
    """read_back(dataset): every parsed record, as dictionaries of NumPy values."""

    def read_back(dataset):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            records = tf.data.TFRecordDataset(list(dataset.data_sources)).map(dataset.parse)
            item = tf.compat.v1.data.make_one_shot_iterator(records).get_next()
            items = []
            while True:
                try:
                    items.append(session.run(item))
                except tf.errors.OutOfRangeError:
                    return items

    return read_back


@pytest.fixture
def read_images():
    """read_images(dataset): (item, pixels) of every record, decoded as training does."""

    def read_images(dataset):
        def decoded(record):
            item = dataset.parse(record)
            return item, dataset.decode(item['encoded'])

        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            records = tf.data.TFRecordDataset(list(dataset.data_sources)).map(decoded)
            item = tf.compat.v1.data.make_one_shot_iterator(records).get_next()
            items = []
            while True:
                try:
                    items.append(session.run(item))
                except tf.errors.OutOfRangeError:
                    return items

    return read_images


@pytest.fixture
def convert(tmp_path):
    """convert(name, source, **settings): converts to tmp_path/out; returns the messages."""

    def convert(name, source, out='out', **settings):
        messages = []
        conversions.convert(
            name,
            str(tmp_path / out),
            str(source),
            conversion.Settings(**settings),
            settings,
            messages.append,
        )
        return messages

    return convert
