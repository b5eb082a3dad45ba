"""The check refuses what TensorFlow's decoder refuses, and says what it is."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets.records import example_format, framing, record_checks

PIXELS = np.random.RandomState(0).randint(0, 256, (24, 20, 3)).astype(np.uint8)


def _file(image_format, mode='RGB', **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, image_format, **options)
    return file.getvalue()


ANIMATED = _file('GIF', save_all=True, append_images=[Image.fromarray(PIXELS[::-1])])
BAD_CHECKSUM = bytearray(_file('PNG'))
BAD_CHECKSUM[-13] ^= 1  # of the pixels; Pillow does not look at it
BAD_CHECKSUM = bytes(BAD_CHECKSUM)
WITHOUT_END = _file('JPEG')[:-2] + bytes(9000)  # Pillow takes it
FILES = [
    _file('JPEG'),
    WITHOUT_END,
    BAD_CHECKSUM,
    _file('JPEG', progressive=True),
    _file('JPEG', 'L'),
    _file('JPEG', 'CMYK'),
    _file('PNG'),
    _file('PNG', 'P'),
    _file('PNG', 'RGBA'),
    _file('GIF'),
    ANIMATED,
    _file('BMP'),
    _file('TIFF'),
    b'',
]


@pytest.fixture
def check(tmp_path):
    """check(encoded): what is wrong with a record of this image, '' for nothing."""

    def check(encoded):
        with open(tmp_path / 'records', 'wb') as file:
            framing.write_record(file, example_format.encode_example(encoded, 1, 24, 20))
        task = record_checks.FileTask(str(tmp_path / 'records'), range(1, 3), True)
        problems = record_checks.check_file(task).problems
        return problems[0].message if problems else ''

    return check


@pytest.mark.parametrize(
    ('encoded', 'words'),
    [
        (ANIMATED, 'an animated GIF of 2 pictures'),
        (_file('PNG')[:-8], 'its end is missing'),
        (BAD_CHECKSUM, 'missing or damaged'),
        (_file('JPEG')[:-2], 'truncated'),
        (WITHOUT_END, 'its end is missing'),
        (_file('GIF')[:-2], 'its end is missing'),
        (_file('WEBP'), 'a WebP file, which training does not decode'),
        (_file('AVIF'), 'an AVIF file, which training does not decode'),
        (_file('BMP'), 'a BMP file, which training does not decode'),
        (_file('TIFF'), 'a TIFF file, which training does not decode'),
        (b'text', 'of no known format'),
    ],
)
def test_what_training_cannot_read_is_named(check, encoded, words):
    assert words in check(encoded)


def _changed(draw, encoded):
    """A file with bytes cut off, added, changed or taken out."""
    encoded = bytearray(encoded)
    kind = draw.choice(['cut', 'short', 'added', 'bits', 'gap', 'same'])
    place = draw.randrange(len(encoded) + 1)
    if kind == 'cut':
        del encoded[place:]
    elif kind == 'short':
        del encoded[-draw.randrange(1, 20) :]
    elif kind == 'added':
        encoded += draw.randbytes(draw.randrange(1, 9))
    elif kind == 'bits' and encoded:
        encoded[place - 1] ^= 1 << draw.randrange(8)
    elif kind == 'gap':
        del encoded[place : place + draw.randrange(1, 5)]
    return bytes(encoded)


@pytest.mark.parametrize(
    'count', [500, pytest.param(5_000, marks=[pytest.mark.slow, pytest.mark.once])]
)
def test_never_well_where_tensorflow_refuses(count):
    """And hardly ever wrong where it does not: of a damaged GIF it sometimes makes a picture."""
    decode = tf.function(
        lambda encoded: tf.io.decode_jpeg(encoded, channels=3),
        input_signature=[tf.TensorSpec([], tf.string)],
    )
    draw = random.Random(count)
    too_strict = 0
    for _ in range(count):
        encoded = _changed(draw, draw.choice(FILES))
        problem = record_checks._check_image(encoded, {}, True)
        try:
            # WebP becomes [1, h, w, 3] on newer versions, which no preprocessing takes.
            decodes = len(decode(encoded).shape) == 3
        except tf.errors.OpError:
            decodes = False
        assert decodes or problem, encoded
        too_strict += decodes and bool(problem)
    assert too_strict <= count / 100


@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_more_pixels_than_tensorflow_decodes(check, mode):
    picture = io.BytesIO()
    Image.new(mode, (20, 24)).save(picture, 'JPEG')
    content = bytearray(picture.getvalue())
    place = content.index(b'\xff\xc0') + 5  # height and width
    content[place : place + 4] = b'\x40\x00\x40\x00'
    record = record_checks._check_image(bytes(content), {}, True)
    assert record == (
        'the image has 16384x16384 pixels, more than training decodes; write it with fewer'
    )
