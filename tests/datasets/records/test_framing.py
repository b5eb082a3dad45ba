"""Record files are TensorFlow's, and whatever is wrong with one is seen."""

from __future__ import annotations

import pytest
import tensorflow as tf

from datasets.records import framing

RECORDS = [b'first', b'', b'x' * 3000, b'last']
STARTS = [0, 16 + 5, 32 + 5, 48 + 3005]  # 12 bytes before and 4 behind each record


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'file'
    with open(path, 'wb') as file:
        sizes = [framing.write_record(file, record) for record in RECORDS]
    assert sum(sizes) == path.stat().st_size
    return path


def _read(path):
    return [(frame.number, frame.problem) for frame in framing.read_records(str(path))]


def test_same_bytes_as_tensorflow(path, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / 'other')) as writer:
        for record in RECORDS:
            writer.write(record)
    assert path.read_bytes() == (tmp_path / 'other').read_bytes()


def test_what_was_written_is_read(path):
    frames = list(framing.read_records(str(path)))
    assert [frame.data for frame in frames] == RECORDS
    assert [frame.number for frame in frames] == [0, 1, 2, 3]
    assert not any(frame.problem for frame in frames)


@pytest.mark.parametrize('kept', range(1, 12))
def test_a_file_that_ends_inside_a_length(path, kept):
    """TensorFlow's reader takes this for the end of the file."""
    path.write_bytes(path.read_bytes()[: STARTS[3] + kept])
    assert _read(path)[3] == (3, 'the file ends inside the length of this record')


@pytest.mark.parametrize('missing', [1, 4, 5, 8])
def test_a_file_that_ends_inside_a_record(path, missing):
    path.write_bytes(path.read_bytes()[:-missing])
    assert _read(path)[3] == (3, f'the file ends {missing} bytes before this record does')


def test_damaged_bytes_are_seen_and_the_next_record_is_read(path):
    content = bytearray(path.read_bytes())
    content[STARTS[2] + 12 + 1000] ^= 1
    path.write_bytes(content)
    assert _read(path) == [
        (0, ''),
        (1, ''),
        (2, 'its bytes do not fit their checksum'),
        (3, ''),
    ]


def test_a_damaged_length_ends_the_file(path):
    content = bytearray(path.read_bytes())
    content[STARTS[1] + 3] ^= 1
    path.write_bytes(content)
    assert [number for number, _ in _read(path)] == [0, 1]
    assert 'its length is damaged' in _read(path)[1][1]
