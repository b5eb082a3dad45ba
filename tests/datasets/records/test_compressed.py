from __future__ import annotations

import gzip
import zlib

import pytest
import tensorflow as tf

from datasets.records import compressed, framing, record_files
from slim.errors import DataError

RECORDS = [bytes([number]) * 3000 + b'end' for number in range(40)]


def _plain(path, records=RECORDS):
    with open(path, 'wb') as file:
        for record in records:
            framing.write_record(file, record)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'records'


@pytest.mark.parametrize('kind', ['', 'GZIP', 'ZLIB'])
def test_what_tensorflow_writes(path, kind):
    with tf.io.TFRecordWriter(str(path), kind) as writer:
        for record in RECORDS:
            writer.write(record)
    assert record_files.compression(str(path)) == kind
    assert [frame.data for frame in framing.read_records(str(path))] == RECORDS
    assert record_files.count_records(str(path)) == len(RECORDS)


def test_gzip_files_one_behind_the_other(path):
    content = _plain(path)
    path.write_bytes(gzip.compress(content) + gzip.compress(content))
    assert [frame.data for frame in framing.read_records(str(path))] == RECORDS * 2
    assert len(list(tf.data.TFRecordDataset(str(path), 'GZIP'))) == len(RECORDS) * 2


@pytest.mark.parametrize(
    ('damage', 'problem'),
    [
        (lambda packed: packed[:-9], 'the compressed file is cut off'),
        (lambda packed: packed[:-1], 'the compressed file is cut off'),
        (lambda packed: packed[:100], 'the compressed file is cut off'),
        (lambda packed: packed[:90] + b'\xff' * 40 + packed[130:], 'the compressed bytes are dam'),
        (lambda packed: packed + b'more', 'the compressed bytes are damaged'),
    ],
)
def test_damage_is_the_last_problem_of_the_file(path, damage, problem):
    path.write_bytes(damage(gzip.compress(_plain(path))))
    *whole, last = framing.read_records(str(path))
    assert last.problem.startswith(problem)
    assert last.number == len(whole) <= len(RECORDS)
    assert [frame.data for frame in whole] == RECORDS[: len(whole)]
    with pytest.raises(DataError, match=f'records, record {len(whole)} .*{problem}'):
        record_files.count_records(str(path))


@pytest.mark.parametrize('first_bytes', [b'\x1f\x8b\x08', b'\x78\x9c'])
def test_a_length_that_looks_like_a_compressed_file(path, first_bytes):
    """Its checksum tells that it is a length."""
    length = int.from_bytes(first_bytes, 'little')
    with open(path, 'wb') as file:
        framing.write_record(file, bytes(length))
    assert path.read_bytes().startswith(first_bytes)
    assert record_files.compression(str(path)) == compressed.NONE
    assert record_files.count_records(str(path)) == 1


def test_little_is_held_of_what_is_unpacked(path):
    """A megabyte of zeros is a kilobyte in the file."""
    path.write_bytes(zlib.compress(bytes(10_000_000)))
    with open(path, 'rb') as file:
        contents = compressed.opened(file)
        assert contents.read(12) == bytes(12)
        assert len(contents._packed) + len(contents._inflate.unconsumed_tail) < 70_000


def test_a_length_beyond_all_files(path):
    """It has a sound checksum, and takes no memory."""
    with open(path, 'wb') as file:
        framing.write_record(file, b'x')
    length = (1 << 62).to_bytes(8, 'little')
    head = length + framing.masked_crc32c(length).to_bytes(4, 'little')
    path.write_bytes(path.read_bytes() + head + b'some bytes')
    first, second = framing.read_records(str(path))
    assert first.data == b'x'
    assert 'the file ends 46' in second.problem
