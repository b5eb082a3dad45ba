"""Names and places of exported files, what is read of them, and the parts of their writers."""

import json
import struct
import sys

import numpy as np
import pytest

from runtime import options
from runtime.results import exported
from runtime.results.exports import checking, fresh_process, samples, walk
from runtime.results.exports.forms import model, onnx, table, tflite_compact, tflite_metadata
from slim import errors


@pytest.mark.once
def test_several_files_get_endings_and_one_keeps_its_name():
    def paths(*arguments):
        return [target.path for target in table.targets(*arguments)]

    assert paths('tflite', 'int8', '/a/any name') == ['/a/any name']
    assert paths('saved_model', 'none', '/a/m/') == ['/a/m']
    several = ['/a/m.pb', '/a/m_saved_model', '/a/m.tflite', '/a/m_int8.tflite', '/a/m.onnx']
    for given in ('/a/m', '/a/m.pb', '/a/m.tflite', '/a/m.onnx', '/a/m_saved_model'):
        assert paths('graphdef,saved_model,tflite,onnx', 'none,int8', given) == several
    assert paths('tflite,tflite ,onnx', 'int8', 'm') == ['m.tflite', 'm.onnx']
    for wrong in (
        ('tflight', 'none', 'm'),
        ('tflite', 'int4', 'm'),
        ('onnx', 'int8', 'm'),
        ('tflite', 'none', 'm.onnx'),
    ):
        with pytest.raises(errors.UsageError) as refused:
            table.targets(*wrong)
        assert len(str(refused.value)) < 300 and '\n' not in str(refused.value)


@pytest.mark.once
@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'checkpoint_path': None}, '--checkpoint_path is missing'),
        ({'is_training': True}, '--is_training'),
        ({'quantization': 'none,int8'}, 'needs --calibration_dir'),
        ({'inference_input_type': 'uint8'}, '--inference_input_type=uint8 needs'),
        (
            {
                'inference_output_type': 'uint8',
                'quantization': 'none,int8',
                'calibration_dir': '/x',
            },
            '--inference_output_type=uint8 needs --quantization=int8 alone',
        ),
    ],
)
def test_flags_that_do_not_go_together_are_refused_before_anything_is_built(given, words):
    chosen = {'format': 'tflite', 'checkpoint_path': '/c', 'output_file': 'm', **given}
    with pytest.raises(errors.UsageError, match=words):
        walk.check_flags(options.Export(**chosen))


@pytest.mark.once
def test_a_form_whose_package_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(errors.UsageError, match=r"onnxruntime.*pip install '\.\[onnx\]'"):
        onnx.require('onnxruntime')


@pytest.mark.once
@pytest.mark.parametrize(
    'content', [b'', b'no model at all', b'\x1c\0\0\0TFL3 and no more', b'\x0a\x05damaged']
)
def test_a_file_that_is_no_network_is_one_line(tmp_path, content):
    path = tmp_path / 'm.tflite'
    path.write_bytes(content)
    with pytest.raises(errors.CheckpointError, match=r'm\.tflite') as refused:
        exported.load(str(path))
    assert len(str(refused.value)) < 350 and '\n' not in str(refused.value)


@pytest.mark.once
def test_what_a_stranger_wrote_about_a_file_is_not_believed():
    about = model.About('net', 'vgg', False, 32, 'logits', ('a', 'b'), (1.0, (-1.0, 0.0, 2.0)))
    assert model.about_of_json(about.to_json()) == about
    values = json.loads(about.to_json())
    for key, bad in {
        'kind': 'other',
        'image_size': 10**9,
        'labels': [1],
        'pixels': [0.0, [1]],
        'output': 'x',
        'model_name': None,
        'use_grayscale': 1,
    }.items():
        assert model.about_of_values({**values, key: bad}) is None, key
    assert model.about_of_json('[' * 100_000) is None


@pytest.mark.once
def test_bytes_travel_to_the_process_that_checks():
    files = [b'one', b'', b'\xff\x00three']
    assert fresh_process.unpack_bytes(fresh_process.pack_bytes(files)) == files


@pytest.mark.once
def test_differences_are_shares_of_the_largest_value():
    expected = np.array([[1.0, -4.0], [2.0, 3.0]])
    got = np.array([[1.0, -3.0], [3.5, 3.0]])
    facts = checking.compared(got, expected)
    assert facts == {'difference': 1.5 / 4, 'largest_difference': 1.5, 'top1': 0.5}
    for broken in (np.full([2, 2], np.nan), np.zeros([2, 3])):
        assert checking.compared(broken, expected)['difference'] == np.inf


@pytest.mark.once
def test_what_is_no_saved_model_is_not_replaced(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'letter').touch()
    target = table.Target('saved_model', 'none', str(tmp_path / 'mine'))
    with pytest.raises(errors.OutputError, match='no SavedModel, so it is not replaced'):
        checking.check_writable([target])
    (tmp_path / 'mine' / 'saved_model.pb').touch()
    checking.check_writable([target])


@pytest.mark.once
def test_pixels_are_what_the_preprocessing_scaled():
    from preprocessing import preprocessing_factory

    pixels = np.random.RandomState(0).randint(0, 256, [1, 8, 8, 3])
    for name, module in preprocessing_factory.preprocessing_fn_map.items():
        for channels in (1, 3):
            scale = preprocessing_factory.pixel_scale(name, channels)
            if scale is None:
                assert module.__name__.endswith('cifarnet_preprocessing')
                continue
            about = model.About(name, name, False, 8, 'logits', None, scale)
            images = pixels[..., :channels] * np.float32(scale[0]) + np.array(scale[1], np.float32)
            back = model.to_pixels(images.astype(np.float32), about, np.uint8)
            np.testing.assert_array_equal(back, pixels[..., :channels])
            # A picture of one colour has no crop and no size that matters.
            plain = np.broadcast_to(pixels[0, 0, 0], [300, 300, 3]).astype(np.uint8)
            whole = preprocessing_factory.get_preprocessing(name, use_grayscale=channels == 1)(
                plain, 8, 8
            )
            weights = np.array([0.2989, 0.587, 0.114])
            colour = plain[0, 0] @ weights if channels == 1 else plain[0, 0]
            expected = colour * scale[0] + np.array(scale[1])
            np.testing.assert_allclose(np.array(whole)[4, 4], expected, atol=0.6 * scale[0])


@pytest.mark.once
def test_made_pictures_are_the_same_every_time():
    first, again = samples.made(2), samples.made(3)
    assert first == again[:2] and first[0][1] != first[1][1]


@pytest.fixture(scope='module')
def int8_model():
    """A TFLite model of two layers with the same number of channels, 8 bits throughout."""
    import tensorflow as tf

    random = np.random.RandomState(0)
    kernels = [random.normal(size=[3, 3, 3, 64]), random.normal(size=[3, 3, 64, 64])]

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3])])
    def network(images):
        for kernel in kernels:
            images = tf.nn.relu(tf.nn.conv2d(images, kernel.astype(np.float32), 2, 'SAME'))
        return tf.reshape(images, [1, -1])

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    pictures = random.uniform(-1, 1, [8, 1, 8, 8, 3]).astype(np.float32)
    converter.representative_dataset = lambda: ([picture] for picture in pictures)
    return converter.convert()


def outputs(content):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    images = np.random.RandomState(1).uniform(-1, 1, given['shape']).astype(given['dtype'])
    interpreter.set_tensor(given['index'], images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]['index'])


def test_a_model_with_shared_zero_points_is_smaller_and_says_the_same(int8_model):
    smaller = tflite_compact.compacted(int8_model)
    # Of the four lists of 64 zeros one stays; cuts are multiples of 16 bytes.
    assert len(int8_model) - len(smaller) >= 3 * 512
    np.testing.assert_array_equal(outputs(smaller), outputs(int8_model))
    assert tflite_compact.compacted(smaller) == smaller


def test_a_model_with_parts_that_are_not_known_stays_as_it_is(int8_model, monkeypatch):
    monkeypatch.setattr(tflite_compact, '_PLAIN_OPTIONS', frozenset())
    assert tflite_compact.compacted(int8_model) == int8_model


def test_metadata_is_put_in_front_and_files_behind(int8_model):
    about = model.About('net', 'digits', False, 8, 'logits', ('a', 'b'))
    metadata = tflite_metadata.described(about, model.ABOUT_NAME, (2 / 255, (-1.0,) * 3), False)
    content = tflite_metadata.packed(int8_model, metadata, {'labels.txt': b'a\nb\n'})
    np.testing.assert_array_equal(outputs(content), outputs(int8_model))
    assert content == tflite_metadata.packed(int8_model, metadata, {'labels.txt': b'a\nb\n'})
    at = content.index(metadata)
    assert at % 16 == 0 and struct.unpack_from('<I', content, at - 4)[0] == len(metadata)


@pytest.mark.parametrize(('form', 'operation'), [('tflite', 'AvgPool3D'), ('onnx', 'Lgamma')])
def test_an_operation_that_a_form_cannot_express_is_named_with_its_network(
    tmp_path, form, operation
):
    import tensorflow.compat.v1 as tf

    from runtime.results.exports.forms import source as sources

    for package in table.FORMS[form].packages:
        pytest.importorskip(package)
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, 8, 8, 3], sources.INPUT)
        videos = tf.reshape(images, [1, 2, 4, 8, 3])
        made = {
            'AvgPool3D': lambda: tf.nn.avg_pool3d(videos, 2, 1, 'VALID'),
            'Lgamma': lambda: tf.math.lgamma(images),
        }[operation]()
        tf.reshape(made, [1, -1], name=model.OF_CLASSIFIER[0])
        graph_def = graph.as_graph_def()
    about = model.About('my_net', 'digits', False, 8, 'logits', None)
    source = sources.Source(
        graph_def, [1, 8, 8, 3], about, None, lambda *_: None, options.Export(), lambda: ()
    )
    path = tmp_path / 'm'
    with pytest.raises(sources.UnsupportedError, match=rf'^my_net cannot .*: (tf\.)?{operation}$'):
        table.FORMS[form].imported().write(source, str(path), 'none')
    assert not path.exists()
