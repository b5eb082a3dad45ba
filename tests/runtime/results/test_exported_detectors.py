"""Flags, graphs and comparisons of a detector's export; its files are tested end to end."""

import struct
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from detection import suppression
from runtime import options
from runtime.results import exported, predictor
from runtime.results.exports import detections
from runtime.results.exports.forms import model, tflite_metadata
from slim import errors

FRAME = (64, 96)
ABOUT = model.About('net', 'mobilenetdet', False, 64, model.DETECTIONS, ('a', 'b'), None, 96)


@pytest.mark.once
@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'quantization': 'none,int8'}, '--quantization=int8: boxes in 8 bits would be pixels off'),
        ({'inference_input_type': 'uint8'}, 'needs pixels as input: --include_preprocessing'),
        ({'format': 'pb'}, "--format: 'pb' is none"),
    ],
)
def test_flags_that_do_not_fit_are_refused_before_anything_is_built(given, words):
    with pytest.raises(errors.UsageError, match=words):
        detections.check_flags(options.DetectionExport(output_file='m', **given))


def test_the_graph_gives_boxes_scores_and_classes_and_what_they_are_compared_with():
    weights = np.random.RandomState(3).normal(0, 1, [3, 72]).astype(np.float32)

    def function(images):
        cells = tf.nn.avg_pool2d(images, 32, 32, 'SAME')
        return tf.tensordot(cells, weights, 1), {}

    network = types.SimpleNamespace(function=function, num_classes=3)
    picture = np.random.RandomState(4).uniform(-9, 9, [1, *FRAME, 3])
    got = {}
    for suppress in (True, False):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.constant(picture, tf.float32)
            names, seen = detections.detector(network, FRAME, suppress)(images)
            assert tuple(names) == model.OF_DETECTOR
            found = session.run([f'{name}:0' for name in names])
            got[suppress] = model.boxes_in_rows(*found), session.run(seen)
            assert [one.dtype for one in found] == [np.float32, np.float32, np.int32]
    every, seen = got[False]
    assert every.shape == (1, 54, 6) and seen.shape == (1, 54, 7)
    np.testing.assert_array_equal(every[..., :4], seen[..., :4])
    np.testing.assert_allclose(every[..., 4], seen[..., 4:].max(axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(every[..., 5], seen[..., 4:].argmax(axis=-1))
    boxes, scores, classes = every[0, :, :4], every[0, :, 4], every[0, :, 5]
    kept = suppression.detections(boxes, scores, classes)
    assert 3 < len(kept) < 54
    few = got[True][0]
    assert few.shape == (1, 64, 6)
    np.testing.assert_array_equal(few[0, : len(kept)], every[0, kept])
    for suppress, (rows, _) in got.items():
        facts = detections.measure(FRAME, suppress)(rows, seen)
        assert facts['difference'] < 1e-6 and facts['found'] == 1
        rows = rows.copy()
        rows[0, 0, 4] += 0.25
        changed = detections.measure(FRAME, suppress)(rows, seen)
        assert changed['difference'] == pytest.approx(0.25, abs=1e-3)


@pytest.mark.once
@pytest.mark.parametrize('about', [True, False])
def test_what_a_file_says_of_itself_and_that_it_gives_no_classes(about):
    said = ABOUT
    assert model.about_of_json(said.to_json()) == said
    assert said.frame == FRAME and said.outputs == model.OF_DETECTOR
    for bad in (0, 9000, True, 1.5):
        assert model.about_of_json(said.to_json().replace(' 96', f' {bad!r}'.lower())) is None
    one = exported.Exported(
        'net.pb',
        'graphdef',
        exported.IMAGES,
        (*FRAME, 3),
        1,
        said if about else None,
        lambda images: images,
        model.OF_DETECTOR,
    )
    assert one.output == exported.DETECTIONS and one.image_size == 64
    with pytest.raises(errors.CheckpointError, match='finds boxes, not classes'):
        predictor.count_classes(one)


@pytest.mark.once
def test_the_metadata_of_a_tflite_file_names_boxes_scores_and_classes():
    content = tflite_metadata.described(ABOUT, 'about.json', (2 / 255, (-1.0,) * 3), False)

    def number(at, form='I'):
        return struct.unpack_from(f'<{form}', content, at)[0]

    def field(table, index):
        """Where a field of a table is."""
        return table + number(table - number(table, 'i') + 4 + 2 * index, 'H')

    def target(at):
        return at + number(at)

    def tables(table, index):
        vector = target(field(table, index))
        return [target(vector + 4 + 4 * place) for place in range(number(vector))]

    def text(table, index):
        at = target(field(table, index))
        return content[at + 4 : at + 4 + number(at)].decode()

    (subgraph,) = tables(target(0), 3)
    (given,), results = tables(subgraph, 2), tables(subgraph, 3)
    assert text(given, 1) == 'Images, 96 x 64, as the network takes them'
    size = target(field(target(field(target(field(given, 3)), 1)), 1))
    assert (number(field(size, 0)), number(field(size, 1))) == (96, 64)
    assert [text(result, 0) for result in results] == list(model.OF_DETECTOR)
    files = [tables(result, 6) for result in results]
    assert [len(found) for found in files] == [0, 0, 1]
    assert text(files[2][0], 0) == 'labels.txt'
    assert content[field(files[2][0], 2)] == 3  # TENSOR_VALUE_LABELS
