"""The evaluator of slim's checkpoints: every image once, its flags, its errors."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import golden_values
import keras_facts
import numpy as np
import pytest
from absl import flags as absl_flags

from mobilenet import common_modules, dataset_loader
from mobilenet.configs import archs
from mobilenet.configs import dataset as dataset_configs
from mobilenet.tf1_loader import evaluator, names, utils
from runtime import flags
from slim import errors

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def records(make_once):
    from datasets.conversion import digits

    return digits.ensure_sample(str(make_once('cache', lambda folder: None)))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Of MobileNetV1 of a quarter's width, for the ten digits."""
    config = archs.MobileNetV1Config(width_multiplier=0.25, num_classes=10, input_shape=(32, 32, 3))
    model = common_modules.mobilenet_model(config)
    for name, weight in names.variables(model, names.v1_name).items():
        weight.assign(golden_values.variable_value(name, weight.shape.as_list(), 1.0))
    prefix = str(tmp_path_factory.mktemp('digits') / 'model.ckpt-3')
    return config, model, utils.save_keras_checkpoint(model, prefix, 'slim')


def _options(records, checkpoint, **values):
    return evaluator.Evaluator(
        **{
            'dataset_name': 'digits',
            'data_dir': records,
            'checkpoint_path': checkpoint,
            'batch_size': 100,
            'image_size': 32,
            'device': 'cpu',
            **values,
        }
    )


def test_every_image_is_counted_once(records, checkpoint, capsys):
    _, model, prefix = checkpoint
    result = evaluator.evaluate(_options(records, prefix))
    assert result.images == 360
    said = capsys.readouterr().out
    assert f'MobileNetV1 from {prefix}: its last weights' in said
    assert 'MobileNetV1Config(num_classes=10, input_shape=(32, 32, 3), width_multip' in said
    assert f'images: 360/360\nAccuracy: {result.accuracy:.4f}\nRecall_5:' in said

    split = dataset_loader.open_split(
        dataset_loader.located(dataset_configs.DigitsConfig(data_dir=records, split='validation')),
        slim_preprocess=True,
    )
    right = seen = 0
    for images, labels, real in dataset_loader.evaluation_batches(split, 120):
        assert real.numpy().all()
        right += int((model(images).numpy().argmax(-1) == labels.numpy()).sum())
        seen += len(labels)
    assert (seen, right / seen) == (360, result.accuracy)
    assert 0 < result.accuracy < result.recall_5 < 1


def test_a_folder_that_says_what_it_is_needs_no_dataset_name(records, checkpoint, capsys):
    given = absl_flags.FlagValues()
    flags.define(evaluator.Evaluator, given)
    _, _, prefix = checkpoint
    given(['', f'--data_dir={records}', f'--checkpoint_path={prefix}', '--image_size=32'])
    assert evaluator.evaluate(given).images == 360
    assert ' on digits, validation\n' in capsys.readouterr().out


@pytest.mark.once
def test_what_does_not_go_together(records, checkpoint, tmp_path):
    _, _, prefix = checkpoint
    with pytest.raises(
        errors.CheckpointError,
        match=r'not of mobilenet_v2\. It fits .*give --model_name=mobilenet_v1$',
    ):
        evaluator.evaluate(_options(records, prefix, model_name='mobilenet_v2'))
    values = {
        f'MobilenetV1/{name}': np.zeros([*shape[:-1], 7] if 'Logits' in name else shape)
        for _, _, path, shape in keras_facts.CONTRACT['tf1_variables']['mobilenet_v1']
        for name in [path.partition('/')[2]]
    }
    seven = keras_facts.write_checkpoint(tmp_path / 'model.ckpt', values)
    with pytest.raises(errors.DataError, match='num_classes=7'):
        evaluator.evaluate(_options(records, seven))
    with pytest.raises(errors.CheckpointError, match='no such checkpoint or folder'):
        evaluator.evaluate(_options(records, str(tmp_path / 'nothing')))
    with pytest.raises(errors.DataError, match='nowhere'):
        evaluator.evaluate(_options(str(tmp_path / 'nowhere'), prefix))
    with pytest.raises(errors.UsageError, match="Unknown model 'mobilenet_v9'"):
        evaluator.evaluate(_options(records, prefix, model_name='mobilenet_v9'))
    with pytest.raises(errors.UsageError, match='--data_dir is missing'):
        evaluator.evaluate(_options(None, prefix))


def _run(arguments, folder, command=('-m', 'mobilenet.tf1_loader.evaluator')):
    """In an interpreter where TensorFlow cannot be imported."""
    (folder / 'tensorflow.py').write_text('raise ImportError("TensorFlow is not wanted here")\n')
    environment = {**os.environ, 'PYTHONPATH': f'{folder}:{_ROOT}', 'PYTHON': sys.executable}
    return subprocess.run(
        [*command, *arguments] if command[0] == 'sh' else [sys.executable, *command, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=60,
    )


@pytest.mark.once
def test_help_and_wrong_flags_need_no_tensorflow(tmp_path):
    helped = _run(['--help'], tmp_path, ('-m', 'research.mobilenet.tf1_loader.evaluator'))
    assert helped.returncode == 0, helped.stderr
    for flag in (
        'model_name=mobilenet_v1',
        'dataset_name=imagenette',
        'data_dir=',
        'batch_size=128',
    ):
        assert f'--{flag}' in helped.stdout
    script = _ROOT / 'mobilenet' / 'scripts' / 'load_evaluate_tf1_ckpt.sh'
    missing = _run(['--data_dir=/x'], tmp_path, ('sh', str(script)))
    assert missing.returncode == 2
    assert missing.stderr == (
        'evaluator.py: error: --checkpoint_path is missing: give the checkpoint\n'
    )
    unknown = _run(['--model_name=mobilnet_v2'], tmp_path)
    assert unknown.returncode == 2
    assert "Did you mean 'mobilenet_v2'" in unknown.stderr
