"""A batch in parts is the larger batch in a run: in weights, counts and logs, and at a stop."""

import json

import numpy as np
import processes
import pytest

# The loop in the graph is tested on both stacks by tests/runtime/training/test_accumulation.py.
pytestmark = [pytest.mark.slow, pytest.mark.once]

PROGRAM = processes.ROOT / 'tests' / 'end_to_end' / 'equal_runs.py'
COMMON = ['--preprocessing_name=digits', '--train_image_size=32', '--log_every_n_steps=1']
MOMENTUM = ['--optimizer=momentum', '--learning_rate=0.05', '--clip_global_norm=2']


@pytest.fixture(scope='module')
def runs(server, cache, digits, tmp_path_factory):
    """Small networks, each in one way to train; they draw no random numbers."""
    folder = tmp_path_factory.mktemp('parts')
    batch_norm = ['mobilenet', *MOMENTUM, '--batch_size=4', '--accumulate_steps=2', '--on_nan=skip']
    batch_norm += ['--recalibrate_batch_norm=2', '--moving_average_decay=0.9']
    stopped = [*batch_norm, f'--train_dir={folder}/stopped']
    cases = {
        'whole': ['plain', *MOMENTUM, '--batch_size=24', '--max_number_of_steps=4'],
        'parts': [
            'plain',
            *MOMENTUM,
            '--batch_size=8',
            '--accumulate_steps=3',
            '--max_number_of_steps=4',
        ],
        'yellowfin': [
            'plain',
            '--optimizer=yellowfin',
            '--batch_size=8',
            '--max_number_of_steps=4',
        ],
        'in_one_go': [*batch_norm, '--max_number_of_steps=3'],
        'before': [*stopped, '--max_number_of_steps=1'],
        'after': [*stopped, '--max_number_of_steps=3'],
    }
    flags = [f'--dataset_dir={digits}', *COMMON]
    order = json.dumps({'folder': str(folder), 'flags': flags, 'cases': cases})
    done = server.run(
        PROGRAM, [order], cwd=processes.ROOT, env=processes.worker_environment(cache), timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def values(folder, case, moment):
    with np.load(folder / case / f'{moment}-0.npz') as held:
        return dict(held)


def metrics(folder, case):
    return [json.loads(line) for line in (folder / case / 'checkpoints/metrics.jsonl').open()]


def test_without_batch_norm_it_is_the_larger_batch(runs):
    folder, out = runs
    assert out.count('4 steps of 24 images') == 2
    expected, found = (values(folder, case, 'after_step_4') for case in ('whole', 'parts'))
    begun = values(folder, 'whole', 'start')
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
        if name.endswith('/weights'):
            assert np.abs(value - begun[name]).max() > 1e-3
    for one, other in zip(metrics(folder, 'whole'), metrics(folder, 'parts'), strict=True):
        for name in ('step', 'learning_rate', 'epoch', 'left_out_steps'):
            assert one[name] == other[name]
        np.testing.assert_allclose(one['loss'], other['loss'], rtol=1e-5)


def test_a_run_stopped_and_resumed_has_the_same_bits(runs):
    folder, out = runs
    assert out.count('computed anew over 2 batches') == 3
    expected, found = (values(folder, case, 'after_step_3') for case in ('in_one_go', 'after'))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_yellowfin_logs_the_rate_that_it_found(runs):
    folder, _ = runs
    held = values(folder, 'yellowfin', 'after_step_4')
    assert held['YellowFin/step'] == 4
    rates = [line['learning_rate'] for line in metrics(folder, 'yellowfin')]
    np.testing.assert_allclose(rates[0], 0.045, rtol=1e-6)
    np.testing.assert_allclose(rates[-1], held['YellowFin/lr'], rtol=1e-6)
    assert 0 < rates[-1] != rates[0]
