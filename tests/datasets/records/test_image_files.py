from __future__ import annotations

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from datasets.records import example_encoding, image_files
from datasets.records.image_files import ImageFile, Rules
from slim.errors import DataError

pytestmark = pytest.mark.once


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


RAMP = np.tile(np.linspace(0, 65535, 60), (40, 1))


def _save(path, picture, image_format, **options):
    picture.save(path, image_format, **options)
    return ImageFile(str(path), 0)


def _pixels(image, rules=image_files.DEFAULT_RULES):
    """The pixels in the record of an image file."""
    features = example_encoding.decode(image_files.encode_record(image, rules)[0])
    with Image.open(io.BytesIO(features['image/encoded'][0])) as opened:
        assert opened.mode == 'RGB'
        assert features['image/width'] + features['image/height'] == list(opened.size)
        return np.asarray(opened).astype(float)


@pytest.mark.parametrize(
    ('image_format', 'dtype'),
    [('PNG', '<u2'), ('TIFF', '<u2'), ('TIFF', '>u2'), ('PPM', '<u2'), ('JPEG2000', '<u2')],
)
def test_16_bits_become_8(tmp_path, image_format, dtype):
    pixels = _pixels(_save(tmp_path / 'x', Image.fromarray(RAMP.astype(dtype)), image_format))
    assert np.abs(pixels.mean(-1) - RAMP / 257).max() < 8


def test_16_bits_of_which_zero_is_white(tmp_path):
    picture = Image.fromarray(RAMP.astype(np.uint16))
    pixels = _pixels(_save(tmp_path / 'x', picture, 'TIFF', tiffinfo={262: 0}))
    assert np.abs(pixels.mean(-1) - (255 - RAMP / 257)).max() < 8


@pytest.mark.parametrize('dtype', [np.int32, np.float32])
def test_pixels_without_known_limits_are_refused(tmp_path, dtype):
    image = _save(tmp_path / 'x.tif', Image.fromarray(RAMP.astype(dtype)), 'TIFF')
    with pytest.raises(DataError, match=r'x\.tif .*nothing says which .* black and white'):
        image_files.encode_record(image)


def test_12_bits_kept_in_16_are_no_black_picture(tmp_path):
    image = _save(tmp_path / 'x.png', Image.fromarray((RAMP / 16).astype(np.uint16)), 'PNG')
    with pytest.raises(DataError, match=r'x\.png .*black picture.*scale it to the whole range'):
        image_files.encode_record(image)
    black = _save(tmp_path / 'y.png', Image.fromarray(np.zeros((9, 9), np.uint16)), 'PNG')
    assert _pixels(black).max() == 0


@pytest.mark.parametrize(
    ('mode', 'image_format'),
    [('LA', 'PNG'), ('P', 'PNG'), ('PA', 'TIFF'), ('1', 'PNG'), ('RGBA', 'WEBP'), ('CMYK', 'TIFF')],
)
def test_other_modes_keep_their_pixels(tmp_path, mode, image_format):
    gray = Image.fromarray((RAMP / 257).astype(np.uint8))
    picture = gray.convert(mode) if mode != 'CMYK' else gray.convert('RGB').convert(mode)
    assert abs(_pixels(_save(tmp_path / 'x', picture, image_format)).mean() - 127) < 3


@pytest.mark.parametrize(('colour', 'expected'), [(0, 255 - RAMP / 257), (255, RAMP / 257)])
@pytest.mark.parametrize('mode', ['RGBA', 'LA'])
def test_a_picture_in_the_transparency_alone(tmp_path, mode, colour, expected):
    opacity = Image.fromarray((RAMP / 257).astype(np.uint8))
    colours = [Image.new('L', opacity.size, colour)] * (len(mode) - 1)
    pixels = _pixels(_save(tmp_path / 'x', Image.merge(mode, [*colours, opacity]), 'PNG'))
    assert np.abs(pixels.mean(-1) - expected).max() < 8


def test_turned_pictures(tmp_path):
    """As they lie in the file, which is how TensorFlow reads them, or upright where wanted."""
    picture = Image.fromarray((RAMP / 257).astype(np.uint8)).convert('RGB')
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    image = _save(tmp_path / 'x.jpg', picture, 'JPEG', exif=exif)
    assert not image_files.encode_record(image)[1]
    assert _pixels(image).shape == (40, 60, 3)
    record, is_new = image_files.encode_record(image, Rules(upright=True))
    assert is_new and b'Exif' not in record
    upright = _pixels(image, Rules(upright=True))
    assert upright.shape == (60, 40, 3)
    assert upright[0].mean() < 9 and upright[-1].mean() > 246
    straight = _save(tmp_path / 'y.jpg', picture, 'JPEG')
    assert not image_files.encode_record(straight, Rules(upright=True))[1]


def test_a_jpeg_without_its_end_marker_is_encoded_anew(images):
    """Pillow reads it, TensorFlow does not."""
    path = pathlib.Path(images[0].path)
    path.write_bytes(path.read_bytes()[:-2] + bytes(9000))
    values, reencoded = _features(images[0])
    assert reencoded
    assert values['encoded'].endswith(b'\xff\xd9')


def test_huge_pictures_are_refused_and_the_flag_is_named(tmp_path, monkeypatch):
    image = _save(tmp_path / 'x.png', Image.new('L', (300, 200)), 'PNG')
    with pytest.raises(DataError, match=r'x\.png .* pixels.*--max_megapixels'):
        image_files.encode_record(image, Rules(max_megapixels=0.05))
    assert _pixels(image, Rules(max_megapixels=0.06)).shape == (200, 300, 3)
    monkeypatch.setattr(image_files, 'MAX_PIXELS', 16000)  # what TensorFlow takes
    assert _pixels(image).shape == (100, 150, 3)


@pytest.mark.parametrize('error', [RuntimeError('of the library'), KeyError(), MemoryError()])
def test_whatever_a_decoder_raises_names_the_file(images, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(Image, 'open', fail)
    with pytest.raises(DataError, match=r'0\.jpg cannot be read as an image: .*\w'):
        image_files.encode_record(images[0])


def test_sides_that_no_jpeg_can_have(tmp_path):
    image = _save(tmp_path / 'x.png', Image.new('1', (66000, 1)), 'PNG')
    with pytest.raises(DataError, match=r'x\.png .*no side of a JPEG .* 65,500 pixels'):
        image_files.encode_record(image)
