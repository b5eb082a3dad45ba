"""scripts/train_mobilenetdet_on_kitti.sh: what it runs, told by a Python that only says it."""

import pathlib
import subprocess

import pytest

pytestmark = pytest.mark.once

SCRIPT = pathlib.Path(__file__).parents[2] / 'scripts' / 'train_mobilenetdet_on_kitti.sh'


def commands(root, *arguments, network=''):
    done = subprocess.run(
        ['sh', str(SCRIPT), str(root), f'{root}/my work', *arguments],
        env={'PYTHON': 'echo', 'NETWORK_FLAGS': network, 'PATH': '/usr/bin:/bin'},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    return {pathlib.Path(script).name: rest for script, rest in lines}


def test_network_flags_go_to_both_and_the_rest_to_the_training(tmp_path):
    run = commands(tmp_path, '--batch_size=4', network='--model_name=mobilenet_v2')
    assert list(run) == [
        'kitti_random_split_train_val.py',
        'tf_convert_data.py',
        'train_object_detector.py',
        'eval_object_detector.py',
    ]
    training, evaluation = list(run.values())[2:]
    assert training.endswith('my work/train --model_name=mobilenet_v2 --batch_size=4')
    assert evaluation.endswith('my work/eval --model_name=mobilenet_v2')


@pytest.mark.parametrize('place', ['', 'KITTI', 'data/KITTI'])
def test_lists_that_are_there_are_kept(tmp_path, place):
    (tmp_path / place / 'ImageSets').mkdir(parents=True)
    (tmp_path / place / 'ImageSets' / 'train.txt').touch()
    assert 'kitti_random_split_train_val.py' not in commands(tmp_path)
