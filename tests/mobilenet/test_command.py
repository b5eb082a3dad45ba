"""The trainer as it is started: by both of its names, by its shell scripts, with exit codes."""

import os
import pathlib
import subprocess
import sys

import pytest

from datasets.conversion.digits import CACHE_VARIABLE

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / 'mobilenet' / 'mobilenet_trainer.py'
SHELL = ROOT / 'mobilenet' / 'scripts'


def user_environment(digits=''):
    ours = {name: value for name, value in os.environ.items() if not name.startswith('TF_')}
    return {**ours, 'PYTHONPATH': str(ROOT), CACHE_VARIABLE: digits.rpartition('/')[0]}


@pytest.fixture
def trainer(server, digits, tmp_path):
    """trainer(*flags, code=0): a run in an empty folder; its output and what it said of errors."""

    def trainer(*flags, code=0):
        done = server.run(SCRIPT, flags, cwd=tmp_path, env=user_environment(digits), timeout=400)
        assert done.returncode == code, done.stdout + done.stderr
        assert 'Traceback' not in done.stderr
        return done.stdout, done.stderr

    return trainer


@pytest.mark.once
@pytest.mark.parametrize('name', ['mobilenet', 'research.mobilenet'])
def test_help_needs_no_tensorflow(name, tmp_path):
    for package in ('tensorflow', 'tf_keras', 'numpy', 'horovod'):
        (tmp_path / f'{package}.py').write_text('raise SystemExit("imported")')
    environment = {**os.environ, 'PYTHONPATH': f'{tmp_path}:{ROOT}'}
    command = [sys.executable, '-m', f'{name}.mobilenet_trainer', '--help']
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert 'flags of mobilenet_trainer.py' in done.stdout
    assert '--learning_scheduler_name=exponential' in done.stdout


@pytest.mark.parametrize(
    ('flags', 'code', 'words'),
    [
        (['--model_name=mobilnet_v2'], 2, ["Did you mean 'mobilenet_v2'"]),
        (['--learning_scheduler_name=cosin'], 2, ["Did you mean 'cosine'"]),
        (['--width_multiplier=0'], 2, ['must be above 0']),
        (['--resume_checkpoint', '--device=cpu'], 1, ['./tmp holds no checkpoint']),
        (['--data_dir=nowhere'], 3, ["no dataset folder 'nowhere'", '--data_dir']),
        (['--num_devices=2', '--device=gpu'], 5, ['no GPU']),
    ],
)
def test_what_is_wrong_is_one_line(trainer, tmp_path, flags, code, words):
    _, said = trainer(*flags, code=code)
    assert said.count('\n') == 1 and said.startswith('mobilenet_trainer.py: error: ')
    for word in words:
        assert word in said
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_without_flags_it_trains_the_digits_in_an_empty_folder(trainer, tmp_path):
    out, _ = trainer('--epochs=1', '--width_multiplier=0.25', '--image_size=16')
    assert 'MobileNetV1, width 0.25, 10 classes, 16 x 16 pixels' in out
    assert 'data set digits' in out and '1 epochs of 22 steps of 64 images, into ./tmp' in out
    assert os.path.exists(tmp_path / 'tmp' / 'model.ckpt-0001.index')
    _, said = trainer(code=1)
    assert '--model_dir=./tmp holds a run already' in said


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.exhaustive
def test_the_digits_are_learnt_to_98_percent(trainer):
    out, _ = trainer()
    accuracy = float(out.partition('evaluated after the last epoch: accuracy ')[2][:6])
    assert accuracy >= 0.98


# Of each script: network, batches to train and to test, and some of its settings.
SETTINGS = {
    'train_mbnv1.sh': ('mobilenet_v1', 64, 8, ['--lr=0.045', '--lr_decay_rate=0.94']),
    'train_mbnv2.sh': ('mobilenet_v2', 96, 4, ['--lr_decay_rate=0.98', '--lr_decay_epochs=1.0']),
    'train_mbnv3.sh': ('mobilenet_v3_large', 192, 4, ['--lr=0.02', '--ma_decay_rate=0.9999']),
}


def shell(script, *arguments, code=0, **variables):
    """What a script would start."""
    done = subprocess.run(
        ['sh', script, *arguments],
        cwd=SHELL,
        env={'PATH': os.environ['PATH'], 'PYTHON': 'echo', **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return (done.stdout + done.stderr).split()


@pytest.mark.once
@pytest.mark.parametrize('script', SETTINGS)
def test_shell_scripts(script):
    from mobilenet.training import options
    from runtime import flags

    network, batch, test_batch, settings = SETTINGS[script]
    words = shell(script, 'train', '--seed=3', DATA_DIR='/data/imagenet', MODEL_DIR='/data/run')
    assert words[:2] == ['-m', 'mobilenet.mobilenet_trainer']
    common = ['--dataset_name=imagenet2012', '--data_dir=/data/imagenet', '--epochs=30']
    for word in (*common, *settings, f'--batch_size={batch}', '--model_dir=/data/run'):
        assert word in words
    assert f'--model_name={network}' in words and words[-1] == '--seed=3'
    assert {word.partition('=')[0][2:] for word in words[2:]} <= flags.names(options.Trainer)
    local = shell(script, 'test')
    assert f'--batch_size={test_batch}' in local and '--dataset_name=digits' in local
    assert f'--model_dir=./tmp/{network}' in local
    assert 'DATA_DIR=/data/imagenet' in shell(script, 'train', code=2)
    assert 'train|test' in shell(script, 'tset', code=2)


@pytest.mark.once
def test_start_tensorboard():
    words = shell('start_tensorboard.sh', '--port=1', MODEL_DIR='/x')
    assert words == ['-m', 'tensorboard.main', '--logdir=/x', '--port=1']


@pytest.mark.once
def test_the_old_names_are_the_same_modules():
    code = """
import sys
from research.mobilenet import mobilenet_trainer
from research.mobilenet.configs import archs
import research.mobilenet.configs.dataset as dataset
import mobilenet.configs.archs, mobilenet.configs.dataset, mobilenet.mobilenet_trainer
assert archs is mobilenet.configs.archs and dataset is mobilenet.configs.dataset
assert mobilenet_trainer is mobilenet.mobilenet_trainer
for module in (archs, dataset, mobilenet_trainer):
    assert module.__spec__.name == module.__name__ and module.__name__.startswith('mobilenet.')
assert 'tensorflow' not in sys.modules
try:
    import research.mobilenet.nothing
except ModuleNotFoundError as error:
    assert error.name == 'research.mobilenet.nothing'
else:
    raise SystemExit('found nothing')
import importlib.util
for old, new in (('mobilenet_v1_model', 'v1'), ('tf1_loader.mobilenet_v1_loader', 'v1_loader')):
    assert new in importlib.util.find_spec('research.mobilenet.' + old).origin
"""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
