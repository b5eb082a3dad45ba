from __future__ import annotations

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from datasets.records import image_files


def _features(image):
    example, reencoded = image_files.make_record(image)
    feature = example.features.feature
    values = {
        key.removeprefix('image/'): (f.bytes_list.value or f.int64_list.value or [None])[0]
        for key, f in feature.items()
    }
    return values, reencoded


def test_keys_are_in_order(images):
    """Python's protocol buffers promise no order of their own from one process to the next."""
    with open(images[0].path, 'rb') as file:
        pixels = file.read()
    example, _ = image_files.make_record(images[0])
    record = example.SerializeToString(deterministic=True).replace(pixels, b'')
    places = [record.index(key.encode()) for key in sorted(example.features.feature)]
    assert places == sorted(places)


def test_header_facts_of_a_jpeg_that_is_left_alone(images):
    values, reencoded = _features(images[3])
    assert not reencoded
    assert values['encoded'] == pathlib.Path(images[3].path).read_bytes()
    assert (values['width'], values['height']) == (12, 8)
    assert (values['format'], values['colorspace'], values['channels']) == (b'JPEG', b'RGB', 3)
    assert (values['class/synset'], values['class/text']) == (b'n3', b'class 3')


def test_gray_jpeg_is_left_alone(images, image_bytes):
    encoded = image_bytes(mode='L')
    pathlib.Path(images[0].path).write_bytes(encoded)
    values, reencoded = _features(images[0])
    assert not reencoded
    assert (values['encoded'], values['colorspace'], values['channels']) == (
        encoded,
        b'Grayscale',
        1,
    )


@pytest.mark.parametrize(
    ('image_format', 'mode'),
    [('PNG', 'RGB'), ('PNG', 'RGBA'), ('PNG', 'L'), ('JPEG', 'CMYK'), ('BMP', 'RGB')],
)
def test_odd_files_become_rgb_jpeg(images, image_bytes, image_format, mode):
    odd = image_bytes(image_format, mode)
    pathlib.Path(images[2].path).write_bytes(odd)
    values, _ = _features(images[2])
    assert (values['format'], values['colorspace'], values['channels']) == (b'JPEG', b'RGB', 3)
    with Image.open(io.BytesIO(values['encoded'])) as new, Image.open(io.BytesIO(odd)) as old:
        assert (new.format, new.mode, new.size) == ('JPEG', 'RGB', (12, 8))
        difference = np.asarray(new, np.float32) - np.asarray(old.convert('RGB'), np.float32)
        assert np.abs(difference).mean() < 12  # noise is the worst that a JPEG can meet


def test_bytes_after_the_end_are_harmless(images):
    path = pathlib.Path(images[0].path)
    path.write_bytes(path.read_bytes() + b'\0\0')
    assert not _features(images[0])[1]
