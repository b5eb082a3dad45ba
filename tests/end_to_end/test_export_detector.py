"""A detector's exports, from a trained run, and checkpoints given to the scripts of the others."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

EXPORT = 'export_object_detector.py'
LABELS = ('Pedestrian', 'Cyclist', 'Car')


def error_line(failed):
    (line,) = [line for line in failed.stderr.splitlines() if ': error: ' in line]
    return line


@pytest.fixture
def decided(detector, tmp_path):
    """The run of `detector` with a head that has something to say, and a body that says it.

    After two steps all places of all pictures have nearly the same scores.
    """
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(detector / 'run'))
    names = sorted(reader.get_variable_to_shape_map())
    values = {name: reader.get_tensor(name) for name in names}
    for name in names:
        if name.endswith('moving_variance'):
            values[name] = values[name] * np.float32(0.2)
    head = 'MobileNet/conv_predict/weights'
    values[head] = np.random.RandomState(1).normal(0, 0.05, values[head].shape).astype(np.float32)
    prefix = tmp_path / 'decided' / 'model.ckpt-2'
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[''] * len(names),
        tensors=[values[name] for name in names],
    )
    sidecar = detector / 'run' / 'model.ckpt-2.json'
    prefix.with_name(sidecar.name).write_text(sidecar.read_text())
    return prefix


_PLAIN = """
import sys
import numpy as np, tensorflow as tf
interpreter = tf.lite.Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
(given,) = interpreter.get_input_details()
picture = np.load(sys.argv[2])
interpreter.set_tensor(given['index'], picture)
interpreter.invoke()
found = [interpreter.get_tensor(one['index']) for one in interpreter.get_output_details()]
assert not any('Flex' in str(one) for one in interpreter.get_tensor_details())
np.savez(sys.argv[3], **dict(zip(('boxes', 'scores', 'classes'), found, strict=True)))
"""


@pytest.mark.slow
@pytest.mark.once
def test_detections_come_out_of_every_form_as_the_checkpoint_says_them(
    script, detector, decided, tmp_path
):
    import tensorflow as tf

    from runtime.results import exported

    out = tmp_path / 'out'
    done = script(
        EXPORT,
        f'--checkpoint_path={decided}',
        *('--format=graphdef,saved_model,tflite', '--include_preprocessing'),
        *('--inference_input_type=uint8', '--check_images=2', f'--output_file={out / "m"}'),
        f'--check_dir={detector / "scenes"}',
    )
    shown = 'mobilenetdet on frames of 160 x 64 pixels, classes: Pedestrian, Cyclist, Car\n'
    assert shown in done.stdout
    report = json.loads((out / 'export.json').read_text())['files']
    assert set(report) == {'m.pb', 'm_saved_model', 'm.tflite'}
    assert set(report['m_saved_model']['inputs']) == {'images', 'image_bytes'}
    for entry in report.values():
        for facts in entry['inputs'].values():
            assert facts['difference'] < 1e-4
            assert facts['latency_ms'] > 0 and 0.9 < facts['found'] <= 1
        assert entry['images'] == 2
        assert entry['about']['labels'] == list(LABELS)
        assert (entry['about']['image_size'], entry['about']['image_width']) == (64, 160)

    # In a fresh interpreter that knows nothing of the suite.
    pixels = np.random.RandomState(0).randint(0, 256, [1, 64, 160, 3]).astype(np.uint8)
    np.save(tmp_path / 'pixels.npy', pixels)
    path = out / 'm.tflite'
    command = [sys.executable, '-c', _PLAIN, path, tmp_path / 'pixels.npy', tmp_path / 'found.npz']
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    found = np.load(tmp_path / 'found.npz')
    shapes = {name: found[name].shape for name in found.files}
    assert shapes == {'boxes': (1, 64, 4), 'scores': (1, 64), 'classes': (1, 64)}
    assert found['classes'].dtype == np.int32 and np.all(np.diff(found['scores'][0]) <= 0)

    of_file = exported.load(str(path))
    assert (of_file.output, of_file.labels, of_file.batch_size) == ('detections', LABELS, 1)
    assert of_file.image_shape == (64, 160, 3) and of_file.about.frame == (64, 160)
    images = pixels * np.float32(2 / 255) - 1
    rows = of_file.run(np.concatenate([images, images * 0]))
    assert rows.shape == (2, 64, 6) and np.abs(rows[0] - rows[1])[:, 4].max() > 0.01
    np.testing.assert_array_equal(rows[0, :, :4], found['boxes'][0])
    np.testing.assert_array_equal(rows[0, :, 4], found['scores'][0])
    np.testing.assert_array_equal(rows[0, :, 5], found['classes'][0])
    with zipfile.ZipFile(path) as packed:
        assert packed.read('labels.txt').decode() == '\n'.join(LABELS) + '\n'

    png = tf.io.encode_png(pixels[0]).numpy()
    of_graph = exported.load(str(out / 'm.pb'))
    assert (of_graph.takes, of_graph.output) == ('image_bytes', 'detections')
    np.testing.assert_allclose(of_graph.run([png])[0, :, 4], rows[0, :, 4], atol=1e-4)
    model = tf.saved_model.load(str(out / 'm_saved_model'))
    told = model.signatures['serving_default'](image_bytes=tf.constant([png]))
    np.testing.assert_allclose(told['scores'], rows[:1, :, 4], atol=1e-4)
    names = [LABELS[number].encode() for number in told['classes'][0]]
    assert told['class_names'][0].numpy().tolist() == names


@pytest.mark.slow
@pytest.mark.once
def test_a_checkpoint_of_the_other_kind_names_the_right_scripts(
    script, detector, trained, digits, tmp_path
):
    of_detector, of_classifier = (
        f'--checkpoint_path={detector / "run"}',
        f'--checkpoint_path={trained}',
    )
    data = (f'--dataset_dir={digits}', f'--eval_dir={tmp_path / "eval"}')
    for command in (
        ('eval_image_classifier.py', of_detector, *data),
        ('export_inference_graph.py', of_detector, f'--output_file={tmp_path / "m"}'),
    ):
        line = error_line(script(*command, code=1))
        assert 'is of a detector, not of a classifier: eval_object_detector.py and export_' in line
    for command in (
        ('eval_object_detector.py', of_classifier, *data),
        (EXPORT, of_classifier, f'--output_file={tmp_path / "m"}'),
    ):
        line = error_line(script(*command, code=1))
        assert 'is of a classifier, not of a detector: eval_image_classifier.py, predict' in line
    assert list(tmp_path.iterdir()) == []
