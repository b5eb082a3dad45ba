"""kill -9 at random moments, in a save too: nothing is lost but the step that was under way."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import processes
import pytest
import tensorflow as tf

from runtime.checkpoints import listing

# More than a round can take before it is killed.
STEPS_OF_A_ROUND = 12


def variables(folder, step):
    reader = tf.train.load_checkpoint(str(folder / f'model.ckpt-{step}'))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def crash(digits, folder, cache, rounds, seed):
    """Kills a run `rounds` times; compares its end with that of one in one go."""
    program = pathlib.Path(__file__).with_name('crashing.py')
    last = rounds * STEPS_OF_A_ROUND
    finished = subprocess.run(
        [sys.executable, str(program), digits, str(folder), str(rounds), str(last), str(seed)],
        env={**processes.user_environment(cache), 'PYTHONPATH': str(processes.ROOT)},
        capture_output=True,
        text=True,
        timeout=60 * (rounds + 2),
    )
    log = folder / 'crashed.log'
    said = log.read_text() if log.exists() else ''
    assert finished.returncode == 0, finished.stderr + said[-3000:]
    assert 'Traceback' not in said, said
    killed = json.loads(finished.stdout.splitlines()[-1])
    assert sum(killed.values()) == rounds
    whole, crashed = variables(folder / 'whole', last), variables(folder / 'crashed', last)
    assert whole.keys() == crashed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(crashed[name], value, err_msg=name)
    # Three checkpoints, and nothing that a killed save has left.
    kept = [name for name in os.listdir(folder / 'crashed') if name.startswith('model.ckpt')]
    assert not any('tempstate' in name for name in kept)
    assert {listing.prefix_of(name) for name in kept} == {
        f'model.ckpt-{step}' for step in (last - 2, last - 1, last)
    }
    # Each start went on from where the one before had been.
    starts = json.loads((folder / 'crashed' / 'run.json').read_text())['starts']
    first_steps = [start['first_step'] for start in starts]
    assert first_steps == sorted(first_steps) and first_steps[-1] >= rounds // 2, first_steps
    return killed


@pytest.mark.slow
@pytest.mark.once
def test_crashes_change_nothing(digits, tmp_path, cache, exhaustive):
    rounds = 100 if exhaustive else 12
    killed = crash(digits, tmp_path, cache, rounds, seed=2)
    assert killed['save'] >= rounds // 10, killed
    assert killed['start'] >= rounds // 20, killed
