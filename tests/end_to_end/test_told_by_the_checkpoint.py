"""What evaluation and export take from the file beside a checkpoint, and numbers to rely on."""

import importlib
import json
import shutil

import numpy as np
import processes
import pytest
import tensorflow.compat.v1 as tf

TRAIN, EVALUATE = 'train_image_classifier.py', 'eval_image_classifier.py'
EXPORT = 'export_inference_graph.py'


def variables(folder):
    reader = tf.train.load_checkpoint(str(folder))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def error_line(failed):
    (line,) = [line for line in failed.stderr.splitlines() if ': error: ' in line]
    return line


@pytest.mark.once
def test_evaluation_needs_no_flags_of_the_training_and_says_what_it_evaluates(
    script, digits, trained, tmp_path
):
    evaluate = [EVALUATE, f'--dataset_dir={digits}', f'--eval_dir={tmp_path / "eval"}']
    out = script(*evaluate, f'--checkpoint_path={trained}').stdout
    assert 'images: 360/360\n' in out
    assert f'evaluating {trained}/model.ckpt-6, step 6: its moving averages\n' in out
    assert (
        'mobilenet_v1_025 with 10 classes at 32 x 32 pixels (its own: 224), preprocessing digits\n'
    ) in out
    result = json.loads((tmp_path / 'eval' / 'eval_results.json').read_text())
    assert (result['model_name'], result['image_size'], result['step']) == (
        'mobilenet_v1_025',
        32,
        6,
    )
    assert (result['preprocessing_name'], result['weights']) == ('digits', 'moving averages')

    refused = script(*evaluate, f'--checkpoint_path={trained}', '--eval_image_size=64', code=2)
    assert '--eval_image_size=64' in error_line(refused) and '32' in error_line(refused)
    classic = [f'--checkpoint_path={trained}', '--eval_image_size=64', *processes.SMALL]
    out = script(*evaluate, *classic, '--ignore_sidecar', '--max_num_batches=1').stdout
    assert 'at 64 x 64 pixels' in out

    # One that somebody else has put there.
    shutil.copytree(trained, tmp_path / 'run')
    (tmp_path / 'run' / 'model.ckpt-6.json').write_text('[' * 10_000)
    refused = script(*evaluate, f'--checkpoint_path={tmp_path / "run"}', code=1)
    assert 'model.ckpt-6.json is damaged' in error_line(refused)


@pytest.mark.once
def test_export_needs_no_flags_of_the_training(script, trained, tmp_path):
    path = tmp_path / 'frozen.pb'
    out = script(EXPORT, f'--checkpoint_path={trained}', f'--output_file={path}').stdout
    assert 'mobilenet_v1_025 with 10 classes at 32 x 32 pixels' in out
    assert 'step 6, its moving averages' in out
    nodes = {node.name: node for node in tf.GraphDef.FromString(path.read_bytes()).node}
    assert [d.size for d in nodes['input'].attr['shape'].shape.dim] == [-1, 32, 32, 3]
    failed = script(
        EXPORT,
        f'--checkpoint_path={trained}',
        f'--output_file={tmp_path / "other.pb"}',
        '--model_name=mobilenet_v2',
        '--ignore_sidecar',
        code=1,
    )
    assert 'it looks like MobilenetV1: give its --model_name' in error_line(failed)
    assert 'evaluat' not in error_line(failed)
    assert not (tmp_path / 'other.pb').exists()


def test_the_classic_two_steps_export_and_freeze(script, digits, trained, tmp_path):
    graph, frozen = tmp_path / 'graph.pb', tmp_path / 'frozen.pb'
    network = ['--model_name=mobilenet_v1_025', '--image_size=32', f'--dataset_dir={digits}']
    out = script(EXPORT, *network, f'--output_file={graph}').stdout
    assert 'freeze_graph' in out
    module = importlib.import_module('tensorflow.python.tools.freeze_graph')
    module.freeze_graph(
        input_graph=str(graph),
        input_saver='',
        input_binary=True,
        input_checkpoint=f'{trained}/model.ckpt-6',
        output_node_names='output',
        restore_op_name='',
        filename_tensor_name='',
        output_graph=str(frozen),
        clear_devices=True,
        initializer_nodes='',
    )
    images = np.random.RandomState(0).uniform(-1, 1, [2, 32, 32, 3]).astype(np.float32)
    last = tmp_path / 'last.pb'
    script(
        EXPORT, f'--checkpoint_path={trained}', f'--output_file={last}', '--moving_average_decay=0'
    )
    logits = []
    for path in (frozen, last):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.import_graph_def(tf.GraphDef.FromString(path.read_bytes()), name='')
            logits.append(session.run('output:0', {'input:0': images}))
    np.testing.assert_allclose(*logits, rtol=0, atol=1e-5 * np.abs(logits[1]).max())


@pytest.mark.once
@pytest.mark.parametrize('offset', [10, 11, 2147483647, -1])
@pytest.mark.parametrize('name', [TRAIN, EVALUATE, EXPORT])
def test_an_offset_that_leaves_no_class_is_a_usage_error(
    script, digits, trained, tmp_path, name, offset
):
    flags = {
        TRAIN: [f'--train_dir={tmp_path / "run"}'],
        EVALUATE: [f'--checkpoint_path={trained}', f'--eval_dir={tmp_path}', '--ignore_sidecar'],
        EXPORT: [f'--output_file={tmp_path / "out.pb"}', '--model_name=cifarnet'],
    }[name]
    failed = script(name, f'--dataset_dir={digits}', *flags, f'--labels_offset={offset}', code=2)
    assert f'--labels_offset={offset}' in error_line(failed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.once
def test_two_clones_and_the_largest_seed_give_the_same_weights_each_time(script, digits, tmp_path):
    def train(folder, steps):
        script(
            TRAIN,
            f'--dataset_dir={digits}',
            f'--train_dir={tmp_path / folder}',
            f'--max_number_of_steps={steps}',
            *processes.PLAIN,
            '--num_clones=2',
            '--clone_on_cpu',
            '--device=cpu',
            '--seed=2147483647',
        )

    train('whole', 6)
    train('again', 6)
    train('parts', 3)
    train('parts', 6)
    whole = variables(tmp_path / 'whole')
    for folder in ('again', 'parts'):
        other = variables(tmp_path / folder)
        assert other.keys() == whole.keys()
        for name, value in whole.items():
            np.testing.assert_array_equal(other[name], value, err_msg=name)


@pytest.mark.once
def test_a_loss_that_is_not_finite_has_an_exit_code_of_its_own(script, digits, tmp_path):
    train = [
        TRAIN,
        f'--dataset_dir={digits}',
        *processes.PLAIN,
        '--optimizer=sgd',
        '--learning_rate=1e30',
        '--learning_rate_decay_type=fixed',
        '--max_number_of_steps=9',
    ]
    failed = script(*train, f'--train_dir={tmp_path / "stop"}', code=4)
    line = error_line(failed)
    assert 'with learning rate 1e+30; no checkpoint was written since the start' in line
    assert '--on_nan=skip' in line
    skipping = ['--on_nan=skip', '--max_nan_steps=2', f'--train_dir={tmp_path / "skip"}']
    failed = script(*train, *skipping, code=4)
    assert failed.stdout.count(': the step is left out, ') == 2
    assert 'one more than --max_nan_steps=2' in error_line(failed)
