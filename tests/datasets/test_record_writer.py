from __future__ import annotations

import errno
import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from datasets import framing, record_writer
from datasets.dataset import Dataset
from datasets.description import Description, Split, read_description
from datasets.example_format import decode_image, parse_example
from datasets.record_files import count_records, find_record_files
from datasets.record_writer import ImageFile
from slim.errors import DataError, OutputError


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
def write(tmp_path):
    """write(images, num_shards): (what was written, the folder)."""

    def write(images, num_shards=3, progress=lambda message: None):
        folder = tmp_path / 'records'
        return record_writer.write_split(images, str(folder), 'train', num_shards, progress), folder

    return write


def _features(image):
    example, reencoded = record_writer.make_record(image)
    feature = example.features.feature
    values = {
        key.removeprefix('image/'): (f.bytes_list.value or f.int64_list.value or [None])[0]
        for key, f in feature.items()
    }
    return values, reencoded


def test_round_trip(images, write, read_back):
    written, folder = write(images)
    assert written == record_writer.WrittenSplit(num_samples=7, num_shards=3, reencoded=())
    files = find_record_files(str(folder), 'train')
    assert [count_records(file) for file in files] == [2, 2, 3]
    assert sorted(os.listdir(folder)) == [f'train-0000{index}-of-00003' for index in range(3)]
    items = read_back(Dataset('x', 'train', files, 7, 7, False, None, parse_example, decode_image))
    assert [item['label'] for item in items] == list(range(7))
    for image, item in zip(images, items, strict=True):
        assert item['encoded'] == pathlib.Path(image.path).read_bytes()
        assert item['filename'].decode() == os.path.basename(image.path)


def test_same_input_same_bytes(images, write):
    _, folder = write(images)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write(images)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_keys_are_in_order(images):
    """Python's protocol buffers promise no order of their own from one process to the next."""
    with open(images[0].path, 'rb') as file:
        pixels = file.read()
    example, _ = record_writer.make_record(images[0])
    record = record_writer.serialize(example).replace(pixels, b'')
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
def test_odd_files_become_rgb_jpeg(images, write, image_bytes, image_format, mode):
    odd = image_bytes(image_format, mode)
    pathlib.Path(images[2].path).write_bytes(odd)
    values, _ = _features(images[2])
    assert (values['format'], values['colorspace'], values['channels']) == (b'JPEG', b'RGB', 3)
    with Image.open(io.BytesIO(values['encoded'])) as new, Image.open(io.BytesIO(odd)) as old:
        assert (new.format, new.mode, new.size) == ('JPEG', 'RGB', (12, 8))
        difference = np.asarray(new, np.float32) - np.asarray(old.convert('RGB'), np.float32)
        assert np.abs(difference).mean() < 12  # noise is the worst that a JPEG can meet
    written, _ = write(images)
    assert written.reencoded == (images[2].path,)


def test_bytes_after_the_end_are_harmless(images):
    path = pathlib.Path(images[0].path)
    path.write_bytes(path.read_bytes() + b'\0\0')
    assert not _features(images[0])[1]


@pytest.mark.parametrize('damage', ['cut off', 'empty', 'text', 'missing'])
def test_bad_file_is_named_and_nothing_half_written_stays(images, write, damage):
    path = pathlib.Path(images[4].path)
    content = path.read_bytes()
    path.write_bytes({'cut off': content[:-40], 'empty': b'', 'text': b'no image'}.get(damage, b''))
    if damage == 'missing':
        path.unlink()
    with pytest.raises(DataError, match=r'4\.jpg cannot be read as an image'):
        write(images)
    # The shards before the one with image 4 are whole; of that one there is no trace.
    assert sorted(os.listdir(path.parents[1] / 'records')) == [
        'train-00000-of-00003',
        'train-00001-of-00003',
    ]


def test_interrupt_leaves_no_half_shard(images, write, monkeypatch):
    encode_record = record_writer.encode_record

    def interrupted(image, rgb_only):
        if image.label == 3:
            raise KeyboardInterrupt
        return encode_record(image, rgb_only)

    monkeypatch.setattr(record_writer, 'encode_record', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(images)
    assert os.listdir(pathlib.Path(images[0].path).parents[1] / 'records') == [
        'train-00000-of-00003'
    ]


def test_a_shard_has_its_name_only_when_it_is_whole(images, write, monkeypatch):
    """What a kill -9 would leave: hidden names alone, which readers do not see."""
    seen = []
    encode_record = record_writer.encode_record

    def spy(image, rgb_only):
        seen.append(sorted(os.listdir(pathlib.Path(image.path).parents[1] / 'records')))
        return encode_record(image, rgb_only)

    monkeypatch.setattr(record_writer, 'encode_record', spy)
    write(images, num_shards=1)
    assert len(seen) == 7
    for names in seen:
        assert all(name.startswith('.') for name in names)


@pytest.mark.parametrize('step', ['write', 'rename'])
def test_full_disk_is_an_output_error(images, write, monkeypatch, step):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        *{'write': (framing, 'write_record'), 'rename': (os, 'replace')}[step], full
    )
    with pytest.raises(OutputError, match=r'train-00000-of-00003 .*No space left'):
        write(images)
    assert os.listdir(pathlib.Path(images[0].path).parents[1] / 'records') == []


def test_folder_that_cannot_be_made(images, tmp_path, write):
    (tmp_path / 'records').write_text('a file')
    with pytest.raises(OutputError, match='records cannot be written'):
        write(images)


def test_never_an_empty_shard(images, write):
    messages = []
    written, folder = write(images, 100, messages.append)
    assert written.num_shards == 7
    files = find_record_files(str(folder), 'train')
    assert [count_records(file) for file in files] == [1] * 7
    assert messages[0] == 'train: 7 images fill 7 shards, not 100'
    assert messages[-1] == 'train: 7/7 images, 7/7 shards'


def test_no_images(write):
    with pytest.raises(DataError, match="no images for the split 'train'"):
        write([])


@pytest.mark.parametrize(('num_images', 'num_shards'), [(1, 1), (10, 3), (1030, 1024), (5, 9)])
def test_shard_ranges_are_even_and_whole(num_images, num_shards):
    ranges = record_writer.shard_ranges(num_images, num_shards)
    assert len(ranges) == min(num_images, num_shards)
    assert [i for positions in ranges for i in positions] == list(range(num_images))
    sizes = {len(positions) for positions in ranges}
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


def test_shuffle_is_a_function_of_the_seed():
    images = [ImageFile(str(number), number) for number in range(50)]
    first = record_writer.shuffled(images, 1)
    assert first == record_writer.shuffled(images, 1)
    assert first != record_writer.shuffled(images, 2)
    assert first != images
    assert sorted(first, key=lambda image: image.label) == images
    # The order is part of the files that users have: the same on every version of Python.
    assert [image.label for image in first[:5]] == [13, 35, 20, 9, 26]


def test_description_round_trip(tmp_path):
    about = Description('x', 2, False, {'train': Split(3, 1), 'test': Split(1)}, ('Ä', 'b'))
    record_writer.write_description(str(tmp_path), about)
    assert read_description(str(tmp_path)) == about
    assert os.listdir(tmp_path) == ['dataset.json']
