"""The encoding is TensorFlow's, byte by byte, and what TensorFlow writes is read."""

from __future__ import annotations

import pytest
import tensorflow as tf

from datasets.records import example_encoding as encoding

INTEGERS = [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)]
FLOATS = [0.0, 0.5, -1.25, 3e38]
BYTES = [b'', b'x', b'\xff' * 200, 'ä'.encode()]


def _message():
    features = {
        'numbers': tf.train.Feature(int64_list=tf.train.Int64List(value=INTEGERS)),
        'floats': tf.train.Feature(float_list=tf.train.FloatList(value=FLOATS)),
        'bytes': tf.train.Feature(bytes_list=tf.train.BytesList(value=BYTES)),
        'no floats': tf.train.Feature(float_list=tf.train.FloatList()),
        'no numbers': tf.train.Feature(int64_list=tf.train.Int64List()),
        'k' * 200: tf.train.Feature(bytes_list=tf.train.BytesList()),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def test_same_bytes_as_tensorflow():
    ours = encoding.example(
        {
            'numbers': encoding.int64_feature(*INTEGERS),
            'floats': encoding.float_feature(*FLOATS),
            'bytes': encoding.bytes_feature(*BYTES),
            'no floats': encoding.float_feature(),
            'no numbers': encoding.int64_feature(),
            'k' * 200: encoding.bytes_feature(),
        }
    )
    assert ours == _message().SerializeToString(deterministic=True)


def test_what_tensorflow_wrote_is_read():
    features = encoding.decode(_message().SerializeToString())
    assert features['numbers'] == INTEGERS
    assert features['floats'] == pytest.approx(FLOATS)
    assert features['bytes'] == BYTES
    assert features['no floats'] == features['no numbers'] == features['k' * 200] == []


def test_numbers_that_are_not_packed_are_read():
    # Field 3 (Int64List), in it field 1 twice, each a number of its own.
    feature = bytes([3 << 3 | 2, 4, 1 << 3, 7, 1 << 3, 9])
    assert encoding.decode(encoding.example({'x': feature})) == {'x': [7, 9]}


@pytest.mark.parametrize(
    'damage',
    [lambda b: b[:-3], lambda b: b'\xff' * 40, lambda b: b'\x0b' + b, lambda b: b + b'\x0a\x7f'],
    ids=['cut off', 'no number', 'group', 'longer than the message'],
)
def test_damaged_bytes_are_refused(damage):
    with pytest.raises(ValueError):
        encoding.decode(damage(_message().SerializeToString(deterministic=True)))
