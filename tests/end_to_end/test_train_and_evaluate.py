"""The main job: train, resume, evaluate, fine-tune, stop."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import processes
import pytest
import tensorflow as tf

TRAIN = [*processes.SMALL, '--train_image_size=32', '--log_every_n_steps=1']
EVALUATE = [*processes.SMALL, '--eval_image_size=32']


def variables(folder):
    reader = tf.train.load_checkpoint(str(folder))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.slow
def test_stop_and_resume_equals_one_go_and_both_are_evaluated(script, digits, trained, tmp_path):
    def train(folder, steps, *flags):
        return script(
            'train_image_classifier.py',
            f'--dataset_dir={digits}',
            f'--train_dir={tmp_path / folder}',
            *processes.TRAINED,
            f'--max_number_of_steps={steps}',
            *flags,
        ).stdout

    lines = re.findall(
        r'^global step (\d+): loss = \d+\.\d{4} \(\d+\.\d{3} sec/step\)',
        (trained / 'stdout').read_text(),
        re.M,
    )
    assert lines == [str(step) for step in range(1, 7)]
    train('parts', 3)
    assert 'has changed since' not in train('parts', 6)
    whole, parts = variables(trained), variables(tmp_path / 'parts')
    assert whole.keys() == parts.keys()
    train('several', 6, '--steps_per_run=4')
    several = variables(tmp_path / 'several')
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)
        np.testing.assert_array_equal(several[name], value, err_msg=name)
    first, second = json.loads((tmp_path / 'parts' / 'run.json').read_text())['starts']
    assert (first['first_step'], second['first_step']) == (0, 3)
    assert second['flags']['model_name'] == 'mobilenet_v1_025' and second['device'] == 'CPU'
    assert second['versions']['tensorflow'] == tf.__version__
    assert second['dataset'] == first['dataset']
    assert (first['dataset']['num_samples'], first['dataset']['split']) == (1437, 'train')

    def folder():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / 'parts').rglob('**/*')}

    before = folder()
    assert 'is at step 6' in train('parts', 6)
    assert folder() == before

    # Weights, slots, averages of weights and statistics, and the step, under the classic names.
    layer = 'MobilenetV1/Conv2d_0/'
    assert {
        'global_step',
        layer + 'weights/RMSProp',
        layer + 'weights/RMSProp_1',
        layer + 'weights/ExponentialMovingAverage',
        layer + 'BatchNorm/moving_mean/ExponentialMovingAverage',
    } <= whole.keys()

    results = []
    for decay in ('0.9999', '0'):
        out = script(
            'eval_image_classifier.py',
            f'--dataset_dir={digits}',
            f'--checkpoint_path={trained}',
            f'--eval_dir={tmp_path / "eval"}',
            f'--moving_average_decay={decay}',
            *EVALUATE,
            fresh=decay == '0',
        ).stdout
        assert 'images: 360/360\n' in out
        results.append(json.loads((tmp_path / 'eval' / 'eval_results.json').read_text()))
    assert results[0]['step'] == 6
    assert f'Accuracy: {results[1]["accuracy"]:.4f}' in out


def test_fine_tuning_trains_only_the_given_scopes(script, digits, trained, tmp_path):
    first = variables(trained)
    script(
        'train_image_classifier.py',
        f'--dataset_dir={digits}',
        '--max_number_of_steps=2',
        f'--train_dir={tmp_path / "second"}',
        f'--checkpoint_path={trained}',
        '--checkpoint_exclude_scopes=MobilenetV1/Logits',
        '--trainable_scopes=MobilenetV1/Logits',
        '--optimizer=sgd',
        '--moving_average_decay=0',
        *TRAIN,
    )
    second = variables(tmp_path / 'second')
    kept, head = (
        'MobilenetV1/Conv2d_1_pointwise/weights',
        'MobilenetV1/Logits/Conv2d_1c_1x1/weights',
    )
    np.testing.assert_array_equal(second[kept], first[kept])
    assert not np.array_equal(second[head], first[head])
    assert not any('ExponentialMovingAverage' in name or 'RMSProp' in name for name in second)


@pytest.mark.once
@pytest.mark.slow
def test_sigterm_finishes_the_step_saves_and_ends_with_its_code(digits, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            str(processes.ROOT / 'demo_mobilenetv2.py'),
            f'--dataset_dir={digits}',
            f'--train_dir={tmp_path}',
            '--max_number_of_steps=100000',
            *TRAIN,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith('global step 3:'):
            process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM, ''.join(lines)
    saved = tf.train.latest_checkpoint(str(tmp_path))
    last = max(int(step) for step in re.findall(r'^global step (\d+):', ''.join(lines), re.M))
    assert saved.endswith(f'model.ckpt-{last}')
    assert not any('running' in line and 'eval' in line for line in lines)


@pytest.mark.slow
@pytest.mark.once
def test_the_demo_trains_and_evaluates_the_sample_in_any_folder(script, tmp_path):
    out = script(
        'demo_mobilenetv2.py',
        '--max_number_of_steps=3',
        f'--train_dir={tmp_path / "run"}',
        environment={'PYTHONPATH': ''}.items(),
    ).stdout
    assert re.search(r'^global step 3: loss = ', out, re.M)
    assert 'images: 360/360\n' in out
    assert sorted(os.listdir(tmp_path)) == ['run']
    assert (tmp_path / 'run' / 'eval' / 'eval_results.json').exists()
    out = script(
        'demo_mobilenetv2.py',
        '--computation_type=validation',
        f'--train_dir={tmp_path / "run"}',
        '--max_num_batches=2',
    ).stdout
    assert 'images: 128/360\n' in out
    assert 'train_image_classifier' not in out


def test_two_clones_train_as_one(script, digits, tmp_path):
    script(
        'train_image_classifier.py',
        f'--dataset_dir={digits}',
        f'--train_dir={tmp_path}',
        '--num_clones=2',
        '--clone_on_cpu',
        '--device=cpu',
        '--max_number_of_steps=2',
        '--train_image_size=32',
        *processes.PLAIN,
    )
    names = variables(tmp_path)
    assert 'CifarNet/conv1/weights' in names
    assert not any(name.startswith('clone_') for name in names)


def test_nothing_is_written_into_the_dataset_folder(script, digits, tmp_path):
    before = {name: os.stat(os.path.join(digits, name)).st_mtime for name in os.listdir(digits)}
    time.sleep(0.01)
    script(
        'train_image_classifier.py',
        f'--dataset_dir={digits}',
        f'--train_dir={tmp_path}',
        '--max_number_of_steps=1',
        '--train_image_size=32',
        *processes.PLAIN,
    )
    after = {name: os.stat(os.path.join(digits, name)).st_mtime for name in os.listdir(digits)}
    assert after == before


@pytest.mark.once
@pytest.mark.slow
def test_own_pictures_become_records_that_train_and_evaluate(script, digits, tmp_path):
    images = os.path.join(digits, 'images')
    out = script(
        'preprocess_imagenet.py',
        f'--raw_data_dir={images}',
        f'--local_scratch_dir={tmp_path / "records"}',
        '--train_shards=3',
        '--validation_shards=2',
        '--nogcs_upload',
    ).stdout
    assert 'train: 1437 images in 3 shards' in out
    common = [f'--dataset_dir={tmp_path / "records"}', *processes.PLAIN]
    trained = script(
        'train_image_classifier.py',
        *common,
        f'--train_dir={tmp_path / "run"}',
        '--train_image_size=32',
        '--max_number_of_steps=1',
        '--save_histograms',
        '--profile_steps=1,1',
    )
    assert variables(tmp_path / 'run')['CifarNet/logits/biases'].shape == (11,)
    assert 'trace of steps 1 to 1' in trained.stdout
    assert (tmp_path / 'run' / 'trace_1_1.json').exists()
    (events,) = (tmp_path / 'run').glob('events*')
    summaries = [event.summary for event in tf.compat.v1.train.summary_iterator(str(events))]
    told = {value.tag for summary in summaries for value in summary.value}
    assert {'activations/conv1', 'weights/CifarNet/conv1/weights', 'input/image/7'} <= told
    evaluated = script(
        'eval_image_classifier.py',
        *common,
        f'--checkpoint_path={tmp_path / "run"}',
        f'--eval_dir={tmp_path / "eval"}',
        '--eval_image_size=32',
    )
    assert 'images: 360/360\n' in evaluated.stdout
