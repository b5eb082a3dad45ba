from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from datasets.records import example_format

# The keys of ImageNet's published records: a name changed here breaks everybody's files.
_KEYS = {
    'image/encoded',
    'image/format',
    'image/filename',
    'image/height',
    'image/width',
    'image/colorspace',
    'image/channels',
    'image/class/label',
    'image/class/synset',
    'image/class/text',
    'image/object/bbox/ymin',
    'image/object/bbox/xmin',
    'image/object/bbox/ymax',
    'image/object/bbox/xmax',
    'image/object/bbox/label',
}


def _evaluate(build):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        return session.run(build())


def _parse(example):
    return _evaluate(lambda: example_format.parse_example(example.SerializeToString()))


def test_keys_are_the_published_ones():
    example = example_format.make_example(b'x', 1, 2, 3)
    assert set(example.features.feature) == _KEYS


def test_what_is_made_is_parsed():
    boxes = [(0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.7, 0.8)]
    made = example_format.make_example(b'bytes', 7, 2, 3, filename='a.JPEG', bboxes=boxes)
    parsed = _parse(made)
    assert parsed['encoded'] == b'bytes'
    assert parsed['label'] == 7
    assert parsed['filename'] == b'a.JPEG'
    np.testing.assert_allclose(parsed['bbox'], [boxes], rtol=1e-6)
    assert list(made.features.feature['image/object/bbox/label'].int64_list.value) == [7, 7]


def test_types_and_shapes_without_boxes():
    with tf.Graph().as_default():
        parsed = example_format.parse_example(tf.constant(b''))
        assert {key: value.dtype for key, value in parsed.items()} == {
            'encoded': tf.string,
            'label': tf.int64,
            'bbox': tf.float32,
            'filename': tf.string,
        }
        assert parsed['label'].shape == parsed['encoded'].shape == parsed['filename'].shape == []
        assert parsed['bbox'].shape.as_list() == [1, None, 4]
    assert _parse(example_format.make_example(b'x', 1, 2, 3))['bbox'].shape == (1, 0, 4)


def test_a_record_of_another_writer_needs_image_and_label_only():
    example = tf.train.Example()
    example.features.feature['image/encoded'].bytes_list.value.append(b'x')
    example.features.feature['image/class/label'].int64_list.value.append(3)
    parsed = _parse(example)
    assert (parsed['label'], parsed['filename']) == (3, b'')

    del example.features.feature['image/class/label']
    with pytest.raises(tf.errors.InvalidArgumentError, match='image/class/label'):
        _parse(example)


@pytest.mark.parametrize('image_format', ['JPEG', 'PNG'])
@pytest.mark.parametrize('mode', ['RGB', 'L'])
@pytest.mark.parametrize('channels', [1, 3])
def test_decode(image_bytes, image_format, mode, channels):
    encoded = image_bytes(image_format, mode)
    decoded = _evaluate(lambda: example_format.decode_image(tf.constant(encoded), channels))
    assert decoded.shape == (8, 12, channels)
    assert decoded.dtype == np.uint8
    assert decoded.std() > 10


def test_decoded_rank_is_static():
    with tf.Graph().as_default():
        decoded = example_format.decode_image(tf.compat.v1.placeholder(tf.string, []))
        assert decoded.shape.as_list() == [None, None, 3]
