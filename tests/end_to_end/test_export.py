"""Graphs written by export_inference_graph.py, read back and run."""

import numpy as np
import processes
import pytest
import tensorflow.compat.v1 as tf
from google.protobuf import text_format

NETWORK = ['--model_name=mobilenet_v1_025', '--image_size=32']


def read(path, as_text=False):
    if as_text:
        return text_format.Parse(path.read_text(), tf.GraphDef())
    return tf.GraphDef.FromString(path.read_bytes())


def shape_of(graph_def, name):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name='')
        return graph.get_tensor_by_name(f'{name}:0').shape.as_list()


@pytest.mark.slow
@pytest.mark.parametrize('as_text', [False, True])
def test_a_graph_without_weights(script, tmp_path, as_text):
    path = tmp_path / 'new' / 'graph.pb'
    text = ['--write_text_graphdef'] if as_text else []
    script('export_inference_graph.py', *NETWORK, *text, f'--output_file={path}', fresh=as_text)
    graph_def = read(path, as_text)
    assert shape_of(graph_def, 'input') == [None, 32, 32, 3]
    assert shape_of(graph_def, 'output') == [None, 1001]
    assert 'MobilenetV1/Logits/SpatialSqueeze' in {node.name for node in graph_def.node}
    assert [entry.name for entry in path.parent.iterdir()] == ['graph.pb']


def test_flags_rule_the_shapes(script, tmp_path):
    path = tmp_path / 'graph.pb'
    script(
        'export_inference_graph.py',
        *NETWORK,
        f'--output_file={path}',
        '--batch_size=4',
        '--use_grayscale',
        '--labels_offset=1',
    )
    assert shape_of(read(path), 'input') == [4, 32, 32, 1]
    assert shape_of(read(path), 'output') == [4, 1000]


@pytest.mark.parametrize('decay', ['0', '0.9999'])
def test_a_frozen_graph_computes_what_the_checkpoint_says(script, digits, trained, tmp_path, decay):
    path = tmp_path / 'frozen.pb'
    script(
        'export_inference_graph.py',
        *NETWORK,
        f'--dataset_dir={digits}',
        f'--checkpoint_path={trained}',
        f'--moving_average_decay={decay}',
        f'--output_file={path}',
    )
    images = np.random.RandomState(0).uniform(-1, 1, [2, 32, 32, 3]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(read(path), name='')
        got = session.run('output:0', {'input:0': images})

    from nets import nets_factory

    reader = tf.train.load_checkpoint(str(trained))
    suffix = '/ExponentialMovingAverage' if float(decay) else ''
    with tf.Graph().as_default(), tf.Session() as session:
        logits, _ = nets_factory.get_network_fn('mobilenet_v1_025', 10)(tf.constant(images))
        for variable in tf.global_variables():
            variable.load(reader.get_tensor(variable.op.name + suffix), session)
        expected = session.run(logits)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


BY_HAND = """\
import tensorflow.compat.v1 as tf
import export_inference_graph

tf.app.flags.FLAGS.output_file = 'graph.pb'
tf.app.flags.FLAGS.model_name = 'mobilenet_v1_025'
tf.app.flags.FLAGS.dataset_dir = '.'
raise SystemExit(export_inference_graph.main(None))
"""


def test_main_can_be_called_with_flags_set_by_hand(server, cache, tmp_path):
    """As scripts from years ago do; absl has parsed no command line then."""
    program = tmp_path / 'by_hand.py'
    program.write_text(BY_HAND)
    environment = {**processes.user_environment(cache), 'PYTHONPATH': str(processes.ROOT)}
    done = server.run(program, [], cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert shape_of(read(tmp_path / 'graph.pb'), 'input') == [None, 224, 224, 3]
