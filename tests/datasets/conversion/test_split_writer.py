from __future__ import annotations

import errno
import os
import pathlib

import pytest

from datasets.conversion import split_writer
from datasets.dataset import Dataset
from datasets.records import framing, image_files, record_writer
from datasets.records.example_format import decode_image, parse_example
from datasets.records.record_files import count_records, find_record_files
from slim.errors import DataError, OutputError


@pytest.fixture
def write(tmp_path):
    """write(images, num_shards): (what was written, the folder)."""

    def write(images, num_shards=3, progress=lambda message: None):
        folder = tmp_path / 'records'
        return split_writer.write_split(images, str(folder), 'train', num_shards, progress), folder

    return write


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
    encode_record = image_files.encode_record

    def interrupted(image, rgb_only):
        if image.label == 3:
            raise KeyboardInterrupt
        return encode_record(image, rgb_only)

    monkeypatch.setattr(image_files, 'encode_record', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(images)
    assert os.listdir(pathlib.Path(images[0].path).parents[1] / 'records') == [
        'train-00000-of-00003'
    ]


def test_a_shard_has_its_name_only_when_it_is_whole(images, write, monkeypatch):
    """What a kill -9 would leave: hidden names alone, which readers do not see."""
    seen = []
    encode_record = image_files.encode_record

    def spy(image, rgb_only):
        seen.append(sorted(os.listdir(pathlib.Path(image.path).parents[1] / 'records')))
        return encode_record(image, rgb_only)

    monkeypatch.setattr(image_files, 'encode_record', spy)
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


def test_files_that_were_encoded_anew_are_listed(images, write, image_bytes):
    pathlib.Path(images[2].path).write_bytes(image_bytes('PNG'))
    written, _ = write(images)
    assert written.reencoded == (images[2].path,)
