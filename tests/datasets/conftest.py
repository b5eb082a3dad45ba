from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets.conversion import conversion, conversions
from datasets.records import example_format
from datasets.records.image_files import ImageFile


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


@pytest.fixture
def images(tmp_path, image_bytes):
    """Seven JPEG files of labels 0..6."""
    files = []
    for number in range(7):
        path = tmp_path / 'images' / f'{number}.jpg'
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(image_bytes(seed=number))
        files.append(ImageFile(str(path), number, synset=f'n{number}', text=f'class {number}'))
    return files


@pytest.fixture
def annotate(tmp_path):
    """annotate(name, boxes, size): an XML file as ILSVRC has it; boxes (xmin, ymin, xmax, ymax)."""

    def annotate(name, boxes=((10, 20, 30, 40),), size=(100, 200), folder='boxes'):
        objects = ''.join(
            '<object><name>n01</name><bndbox>'
            f'<xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>'
            for a, b, c, d in boxes
        )
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'<annotation><filename>%s</filename><size><width>{size[0]}</width>'
            f'<height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>'
        )
        return str(path)

    return annotate
