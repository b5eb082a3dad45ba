"""Exports to every form, from a trained run, loaded back without the suite and with it."""

import importlib.util
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

EXPORT = 'export_inference_graph.py'
HAS_ONNX = all(importlib.util.find_spec(name) for name in ('tf2onnx', 'onnx', 'onnxruntime'))
FORMS = 'graphdef,saved_model,tflite' + (',onnx' if HAS_ONNX else '')
FILES = {
    'm.pb': ('graphdef', 'none'),
    'm_saved_model': ('saved_model', 'none'),
    'm.tflite': ('tflite', 'none'),
    'm_dynamic.tflite': ('tflite', 'dynamic'),
    'm_int8.tflite': ('tflite', 'int8'),
    **({'m.onnx': ('onnx', 'none')} if HAS_ONNX else {}),
}
DIGITS = tuple('0123456789')


@pytest.fixture(scope='session')
def sharp(make_once, trained):
    """The trained run with smaller variances in its batch norms.

    After six steps they are nearly 1, by which the network divides its signal away, layer by layer:
    all images would have the same logits.
    """

    def make(folder):
        import tensorflow as tf

        reader = tf.train.load_checkpoint(str(trained))
        names = sorted(reader.get_variable_to_shape_map())
        values = [
            reader.get_tensor(name) * np.float32(0.2 if 'moving_variance' in name else 1)
            if name != 'global_step'
            else reader.get_tensor(name)
            for name in names
        ]
        prefix = str(folder / 'model.ckpt-6')
        tf.raw_ops.SaveV2(
            prefix=prefix, tensor_names=names, shape_and_slices=[''] * len(names), tensors=values
        )
        (folder / 'model.ckpt-6.json').write_text((trained / 'model.ckpt-6.json').read_text())

    return make_once('sharp', make)


@pytest.fixture(scope='session')
def exports(make_once, run_script, sharp, digits):
    """Folder with every form of the trained run, and what the script printed in `stdout`."""

    def make(folder):
        done = run_script(
            EXPORT,
            f'--checkpoint_path={sharp}',
            f'--format={FORMS}',
            '--quantization=none,dynamic,int8',
            f'--calibration_dir={digits}',
            '--calibration_images=40',
            '--check_images=20',
            f'--output_file={folder / "m.pb"}',
            cwd=folder,
        )
        (folder / 'stdout').write_text(done.stdout)

    return make_once('exports', make)


def refused(done):
    (line,) = [line for line in done.stderr.splitlines() if ': error: ' in line]
    return line


def test_each_form_is_compared_with_the_checkpoint_and_reported(exports):
    held = {path.name for path in exports.iterdir()} - {'stdout'}
    assert held == {*FILES, 'export.json'}
    report = json.loads((exports / 'export.json').read_text())['files']
    assert set(report) == set(FILES)
    printed = (exports / 'stdout').read_text()
    for name, (form, quantization) in FILES.items():
        entry = report[name]
        assert (entry['format'], entry['quantization']) == (form, quantization)
        kinds = {'images', 'image_bytes'} if form == 'saved_model' else {'images'}
        assert set(entry['inputs']) == kinds
        for facts in entry['inputs'].values():
            assert facts['difference'] < (1e-4 if quantization == 'none' else 0.25)
            assert facts['top1'] == 1 or quantization != 'none'
            assert facts['latency_ms'] > 0
        assert str(exports / name) in printed
        path = exports / name
        files = path.rglob('*') if path.is_dir() else [path]
        assert entry['size_bytes'] == sum(file.stat().st_size for file in files if file.is_file())
    assert report['m_int8.tflite']['size_bytes'] < 0.5 * report['m.tflite']['size_bytes']


def test_what_is_loaded_says_what_it_takes_and_names_its_classes(exports):
    from runtime.results import exported

    images = np.random.RandomState(0).uniform(-1, 1, [5, 32, 32, 3]).astype(np.float32)
    expected = exported.load(str(exports / 'm.pb')).run(images)
    assert expected.std(axis=0).max() > 0.05 * np.abs(expected).max()  # Images make a difference.
    for name, (form, quantization) in FILES.items():
        model = exported.load(str(exports / name), exported.IMAGES)
        assert (model.kind, model.takes, model.batch_size) == (form, 'images', None)
        assert (model.image_size, model.preprocessing_name) == (32, 'digits')
        assert (model.labels, model.output) == (DIGITS, 'logits')
        scores = model.run(images)
        assert scores.dtype == np.float32 and scores.shape == (5, 10)
        limit = 1e-4 if quantization == 'none' else 0.25
        np.testing.assert_allclose(scores, expected, rtol=0, atol=limit * np.abs(expected).max())


_PLAIN_TENSORFLOW = """
import json, sys
import numpy as np
import tensorflow as tf
folder, files = sys.argv[1], sys.argv[2:]
contents = [open(file, 'rb').read() for file in files]
loaded = tf.saved_model.load(folder)
assert sorted(loaded.signatures) == ['image_bytes', 'images', 'serving_default']
new = loaded.signatures['serving_default'](image_bytes=tf.constant(contents))
v1 = tf.compat.v1
with tf.Graph().as_default() as graph, v1.Session() as session:
    meta = v1.saved_model.load(session, ['serve'], folder)
    signature = meta.signature_def['image_bytes']
    names = {name: info.name for name, info in signature.outputs.items()}
    old = session.run(names, {signature.inputs['image_bytes'].name: contents})
    functions = graph.as_graph_def().library.function
    operations = {node.op for function in functions for node in function.node_def}
    operations |= {operation.type for operation in graph.get_operations()}
for name in ('classes', 'class_ids', 'probabilities', 'logits'):
    assert np.array_equal(new[name].numpy(), old[name]), name
assert 'runtime' not in sys.modules and 'slim' not in sys.modules
print(json.dumps({
    'classes': [[name.decode() for name in row] for row in old['classes']],
    'class_ids': old['class_ids'].tolist(),
    'probabilities': old['probabilities'].tolist(),
    'logits': old['logits'].tolist(),
    'operations': sorted(operations),
}))
"""


@pytest.mark.once
@pytest.mark.slow
def test_a_saved_model_needs_nothing_of_the_suite(exports, digits, tmp_path):
    import pathlib

    from runtime.results import exported

    pictures = sorted(pathlib.Path(digits, 'images', 'validation').rglob('*.jp*g'))[::60]
    command = [sys.executable, '-c', _PLAIN_TENSORFLOW, str(exports / 'm_saved_model')]
    done = subprocess.run(
        [*command, *map(str, pictures)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    logits = np.array(said['logits'])
    best = np.argsort(-logits, axis=1)[:, :5]
    assert said['class_ids'] == best.tolist()
    assert said['classes'] == [[DIGITS[index] for index in row] for row in best]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(
        said['probabilities'], np.take_along_axis(shares, best, 1), rtol=1e-4
    )
    assert not [name for name in said['operations'] if 'TfSlim' in name]
    # Ours loads the same, by pictures and by what the evaluation makes of them.
    model = exported.load(str(exports / 'm_saved_model'))
    assert model.takes == 'image_bytes'
    contents = [picture.read_bytes() for picture in pictures]
    np.testing.assert_allclose(model.run(contents), logits, rtol=1e-5, atol=1e-5)


def test_a_tflite_file_has_labels_and_metadata_where_tools_look(exports):
    path = exports / 'm_int8.tflite'
    with zipfile.ZipFile(path) as packed:
        assert packed.read('labels.txt').decode().split() == list(DIGITS)
    # By TensorFlow Lite's own reader of its format.
    schema = importlib.import_module('tensorflow.lite.python.schema_py_generated')
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i) for i in range(model.MetadataLength())}
    assert b'min_runtime_version' in entries
    held = model.Buffers(entries[b'TFLITE_METADATA'].Buffer()).DataAsNumpy().tobytes()
    assert held[4:8] == b'M001' and b'labels.txt' in held and b'mobilenet_v1_025' in held


@pytest.mark.once
@pytest.mark.slow
def test_pixels_go_in_and_a_fixed_batch_takes_any_number(script, exports, sharp, tmp_path):
    from runtime.results import exported

    script(
        EXPORT,
        f'--checkpoint_path={sharp}',
        '--format=tflite',
        '--include_preprocessing',
        '--inference_input_type=uint8',
        '--output=probabilities',
        '--batch_size=2',
        '--check_images=3',
        f'--output_file={tmp_path / "p.tflite"}',
    )
    model = exported.load(str(tmp_path / 'p.tflite'))
    assert (model.batch_size, model.output) == (2, 'probabilities')
    pixels = np.random.RandomState(1).randint(0, 256, [3, 32, 32, 3])
    images = pixels.astype(np.float32) * (2 / 255) - 1
    logits = exported.load(str(exports / 'm.tflite')).run(images)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model.run(images), shares, atol=1e-5)
    report = json.loads((tmp_path / 'export.json').read_text())
    assert report['files']['p.tflite']['about']['pixels'] == [2 / 255, [-1, -1, -1]]
    # The file itself takes bytes.
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(tmp_path / 'p.tflite'))
    assert interpreter.get_input_details()[0]['dtype'] == np.uint8


@pytest.mark.once
@pytest.mark.slow
def test_features_come_out_of_a_graph_that_takes_image_files(script, trained, digits, tmp_path):
    import pathlib

    from runtime.results import exported

    path = tmp_path / 'features.pb'
    script(
        EXPORT,
        f'--checkpoint_path={trained}',
        '--output=features',
        '--include_preprocessing',
        '--check_images=2',
        f'--output_file={path}',
    )
    model = exported.load(str(path))
    assert (model.takes, model.output, model.labels) == ('image_bytes', 'features', None)
    picture = next(pathlib.Path(digits, 'images').rglob('*.jp*g'))
    assert model.run([picture.read_bytes()]).shape == (1, 256)


@pytest.mark.once
@pytest.mark.slow
def test_a_file_that_differs_stays_under_another_name(script, trained, tmp_path):
    done = script(
        EXPORT,
        f'--checkpoint_path={trained}',
        '--format=tflite',
        '--quantization=float16',
        '--tolerance=1e-9',
        '--check_images=2',
        f'--output_file={tmp_path / "new" / "m.tflite"}',
        code=1,
    )
    line = refused(done)
    assert 'm.tflite.unchecked (tflite float16) differs from the checkpoint by' in line
    assert len(line) < 400
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['m.tflite.unchecked']


@pytest.mark.once
@pytest.mark.parametrize(
    ('flags', 'code', 'words'),
    [
        (['--quantization=int8', '--format=tflite'], 2, '--calibration_dir'),
        (['--quantization=int8', '--format=tflite', '--calibration_dir=EMPTY'], 3, 'has no pictur'),
        (['--quantization=int8', '--format=tflite', '--calibration_dir=FEW'], 3, 'has 1 pictures;'),
        (['--format=tflite', '--calibration_dir=BROKEN'], 3, 'broken.png cannot be decoded'),
        (['--format=onnx', '--output_file=m.pb'], 2, 'ends as a file of --format=graphdef'),
        (['--format=tflite', '--model_name=lenet', '--ignore_sidecar'], 1, 'holds nothing of this'),
        (['--format=tflite', '--output_file=/proc/m.tflite'], 1, '/proc/m.tflite'),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    script, trained, digits, tmp_path, flags, code, words
):
    import pathlib

    folders = {name: tmp_path / name.lower() for name in ('EMPTY', 'FEW', 'BROKEN')}
    for folder in folders.values():
        folder.mkdir()
    picture = next(pathlib.Path(digits, 'images').rglob('*.jp*g'))
    (folders['FEW'] / 'one.jpg').write_bytes(picture.read_bytes())
    (folders['BROKEN'] / 'broken.png').write_bytes(b'no picture')
    flags = [flag.replace(n, str(f)) for flag in flags for n, f in folders.items() if n in flag] + [
        flag for flag in flags if not any(name in flag for name in folders)
    ]
    if not any(flag.startswith('--output_file') for flag in flags):
        flags.append(f'--output_file={tmp_path / "new" / "m.tflite"}')
    if 'onnx' in ' '.join(flags) and not HAS_ONNX:
        pytest.skip('ONNX is not here')
    line = refused(script(EXPORT, f'--checkpoint_path={trained}', *flags, code=code))
    assert words in line and len(line) < 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ['broken', 'empty', 'few']
