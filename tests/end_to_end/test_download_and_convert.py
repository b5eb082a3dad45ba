"""From original archives to a trained network, and what can be wrong on the way."""

import os
import pathlib
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
import types

import pytest

ROOT = pathlib.Path(__file__).parents[2]
originals = types.SimpleNamespace(
    **runpy.run_path(str(ROOT / 'tests' / 'datasets' / 'conversion' / 'originals.py'))
)

SCRIPT = 'download_and_convert_data.py'
# A closed port: whoever asks for a way out is refused, as on a machine without a network.
NO_NETWORK = dict.fromkeys(('http_proxy', 'https_proxy'), 'http://127.0.0.1:9') | {'no_proxy': ''}


@pytest.mark.once
def test_help_needs_no_tensorflow(script, tmp_path):
    (tmp_path / 'poison').mkdir()
    for package in ('tensorflow', 'tf_slim', 'PIL', 'numpy'):
        (tmp_path / 'poison' / f'{package}.py').write_text('raise SystemExit("imported")')
    poisoned = {'PYTHONPATH': str(tmp_path / 'poison')}
    shown = script(SCRIPT, '--help', environment=poisoned.items(), fresh=True)
    for flag in ('dataset_name', 'dataset_dir', 'source_dir', 'small_object_area_threshold=0.005'):
        assert f'--{flag}' in shown.stdout
    assert '--foreground_class_of_interest=person' in shown.stdout


@pytest.mark.once
@pytest.mark.slow
def test_cifar10_from_its_archive_to_a_trained_network(script, tmp_path):
    originals.cifar10_binary(tmp_path / 'source', originals.cifar10_batches(8))
    originals.tar(
        tmp_path / 'source' / 'cifar-10-binary.tar.gz',
        tmp_path / 'source' / 'cifar-10-batches-bin',
    )
    records = tmp_path / 'records'
    out = script(
        SCRIPT,
        '--dataset_name=cifar10',
        f'--dataset_dir={records}',
        f'--source_dir={tmp_path / "source"}',
    ).stdout
    assert 'train: 40 images\ntest: 8 images\ncifar10: 10 classes in ' in out
    common = ['--dataset_name=cifar10', f'--dataset_dir={records}', '--model_name=cifarnet']
    before = {path.name: path.stat().st_mtime_ns for path in records.iterdir()}
    trained = script(
        'train_image_classifier.py',
        *common,
        '--preprocessing_name=cifarnet',
        f'--train_dir={tmp_path / "run"}',
        '--train_image_size=32',
        '--batch_size=8',
        '--max_number_of_steps=3',
        '--log_every_n_steps=1',
    ).stdout
    assert 'global step 3: loss = ' in trained
    evaluated = script(
        'eval_image_classifier.py',
        *common,
        '--preprocessing_name=cifarnet',
        '--dataset_split_name=test',
        f'--checkpoint_path={tmp_path / "run"}',
        f'--eval_dir={tmp_path / "eval"}',
        '--eval_image_size=32',
        '--batch_size=5',
    ).stdout
    assert 'images: 8/8\n' in evaluated
    assert {path.name: path.stat().st_mtime_ns for path in records.iterdir()} == before


# arguments, exit code, words of the message
WRONG = [
    ([], 2, ['--dataset_name']),
    (['--dataset_name=mnist'], 2, ['--dataset_dir']),
    (['--dataset_name=mnits', '--dataset_dir=OUT'], 2, ["'mnits'", "'mnist'"]),
    (
        ['--dataset_name=mnist', '--dataset_dir=OUT', '--source_dir=.'],
        3,
        ['train-images-idx3-ubyte.gz', 'https://'],
    ),
    (
        ['--dataset_name=cifar10', '--dataset_dir=OUT'],
        3,
        ['cannot be reached', 'Put cifar-10-binary.tar.gz into OUT/downloads', '--source_dir'],
    ),
]


@pytest.mark.once
@pytest.mark.parametrize(('arguments', 'code', 'words'), WRONG, ids=lambda value: str(value)[:60])
def test_wrong_input_is_one_line_and_leaves_nothing(script, tmp_path, arguments, code, words):
    failed = script(SCRIPT, *arguments, code=code, environment=NO_NETWORK.items())
    assert len(failed.stderr.splitlines()) == 1, failed.stderr
    assert failed.stderr.startswith(f'{SCRIPT}: error: ')
    for word in words:
        assert word in failed.stderr
    assert os.listdir(tmp_path) == []


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _killed(arguments, out, seconds, how, cwd):
    """Starts a conversion, ends it `seconds` after its first sign of work; its exit code."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / SCRIPT), *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    while not (out / '.conversion').exists() and process.poll() is None:
        time.sleep(0.001)
    time.sleep(seconds)
    process.send_signal(how)
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize('kills', [2, 10, pytest.param(30, marks=pytest.mark.exhaustive)])
def test_after_a_kill_a_new_start_ends_with_the_same_bytes(script, tmp_path, kills):
    # 1,500 images: a second or so.
    originals.cifar10_binary(tmp_path / 'source', originals.cifar10_batches(250))
    source = f'--source_dir={tmp_path / "source"}'
    script(SCRIPT, '--dataset_name=cifar10', f'--dataset_dir={tmp_path / "whole"}', source)
    expected = _contents(tmp_path / 'whole')
    out = tmp_path / 'out'
    arguments = ['--dataset_name=cifar10', f'--dataset_dir={out}', source]
    draw = random.Random(kills)
    # The first one at once, so that one at least is not too late on a fast machine.
    delays = [0.0, *(draw.random() * 0.8 for _ in range(kills - 1))]
    ended = []
    for delay in delays:
        ended.append(_killed(arguments, out, delay, signal.SIGKILL, tmp_path))
        if (out / 'dataset.json').exists():  # it was faster
            shutil.rmtree(out)
            continue
        # Nothing that looks finished and is not.
        for name, contents in _contents(out).items():
            assert name.startswith('.') or contents == expected[name]
    assert -signal.SIGKILL in ended
    script(SCRIPT, *arguments)
    assert _contents(out) == expected


@pytest.mark.once
@pytest.mark.slow
def test_ctrl_c_leaves_nothing(tmp_path):
    originals.cifar10_binary(tmp_path / 'source', originals.cifar10_batches(500))
    out = tmp_path / 'out'
    arguments = [
        '--dataset_name=cifar10',
        f'--dataset_dir={out}',
        f'--source_dir={tmp_path / "source"}',
    ]
    assert _killed(arguments, out, 0.1, signal.SIGINT, tmp_path) == 130
    assert sorted(os.listdir(tmp_path)) == ['source']
