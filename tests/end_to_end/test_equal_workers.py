"""Many workers compute what one does: the same on all ranks, and the same as one worker."""

import json
import subprocess
import sys

import numpy as np
import processes
import pytest

pytest.importorskip('horovod', reason='Horovod is not installed; make horovod builds it')

PROGRAM = processes.ROOT / 'tests' / 'end_to_end' / 'equal_runs.py'
STATISTICS = ('moving_mean', 'moving_variance')
EQUAL_CASES = {
    'sgd': ['plain', '--optimizer=sgd', '--learning_rate=0.05'],
    'momentum': ['plain', '--optimizer=momentum', '--learning_rate=0.01'],
    'rmsprop': ['plain', '--optimizer=rmsprop', '--learning_rate=0.01'],
    'lars': ['plain', '--optimizer=lars', '--learning_rate=1.0'],
    # It takes its rate from the gradients that it has seen: of all workers.
    'yellowfin': ['plain', '--optimizer=yellowfin', '--learning_rate=0.05'],
    'batch_norm': [
        'mobilenet',
        '--optimizer=momentum',
        '--learning_rate=0.0005',
        '--cross_replica_batch_norm',
    ],
}


def run(server, cache, digits, folder, workers, batch_size, steps, cases):
    """Runs equal_runs.py, under mpirun where there is more than one worker."""
    flags = [
        f'--dataset_dir={digits}',
        '--preprocessing_name=digits',
        '--train_image_size=32',
        f'--batch_size={batch_size}',
        f'--max_number_of_steps={steps}',
        '--lr_scaling=none',
    ]
    if workers > 1:
        flags += ['--use_horovod', f'--num_workers={workers}']
    order = json.dumps({'folder': str(folder), 'flags': flags, 'cases': cases})
    how = {'cwd': processes.ROOT, 'env': processes.worker_environment(cache), 'timeout': 500}
    if workers > 1:
        command = [*processes.mpirun(workers), sys.executable, str(PROGRAM), order]
        done = subprocess.run(command, capture_output=True, text=True, **how)
    else:
        done = server.run(PROGRAM, [order], **how)
    assert done.returncode == 0, done.stdout + done.stderr


def values(folder, case, moment, rank=0):
    with np.load(folder / case / f'{moment}-{rank}.npz') as held:
        return dict(held)


def assert_equal_on_all_ranks(folder, case, moment, workers):
    first = values(folder, case, moment)
    for rank in range(1, workers):
        other = values(folder, case, moment, rank)
        assert other.keys() == first.keys()
        for name, value in first.items():
            np.testing.assert_array_equal(other[name], value, err_msg=f'{name} of rank {rank}')


@pytest.mark.slow
@pytest.mark.parametrize(
    'names',
    [
        pytest.param(['momentum'], id='momentum'),
        pytest.param(
            [name for name in EQUAL_CASES if name != 'momentum'],
            id='the others',
            marks=pytest.mark.once,
        ),
    ],
)
def test_two_workers_equal_one_with_twice_the_batch(server, cache, digits, tmp_path, names):
    one, two = tmp_path / 'one', tmp_path / 'two'
    cases = {name: EQUAL_CASES[name] for name in names}
    run(server, cache, digits, one, 1, 16, 20, cases)
    run(server, cache, digits, two, 2, 8, 20, cases)
    for case in cases:
        for moment in ('start', 'after_step_20'):
            assert_equal_on_all_ranks(two, case, moment, workers=2)
        begun, expected = values(one, case, 'start'), values(one, case, 'after_step_20')
        actual = values(two, case, 'after_step_20')
        assert actual.keys() == expected.keys()
        for name, value in expected.items():
            scale = np.abs(value).max()
            if name.endswith('weights'):
                assert np.abs(value - begun[name]).max() > 1e-3 * scale, f'{case}: {name}'
                assert np.abs(value - actual[name]).max() < 1e-5 * scale, f'{case}: {name}'
            elif name.endswith(('biases', 'gamma', 'beta', *STATISTICS)):
                # Of the order of 1; some are 0 but for rounding.
                assert np.abs(value - actual[name]).max() < 1e-5 * max(scale, 1), f'{case}: {name}'


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize('workers', [2, pytest.param(4, marks=pytest.mark.exhaustive)])
def test_weights_stay_bit_identical_and_statistics_are_once_saved(
    server, cache, digits, tmp_path, workers
):
    network = ['mobilenet', '--learning_rate=0.01', f'--train_dir={tmp_path / "checkpoints"}']
    cases = {
        'first': [*network, '--max_number_of_steps=20', '--check_workers_every_n_steps=10'],
        # Rank 0 alone reads the checkpoint.
        'resumed': [*network, '--max_number_of_steps=50'],
    }
    run(server, cache, digits, tmp_path, workers, 4, 50, cases)
    for case, moment in (
        ('first', 'start'),
        ('first', 'after_step_10'),
        ('first', 'after_step_20'),
        ('resumed', 'start'),
        ('resumed', 'after_step_50'),
    ):
        assert_equal_on_all_ranks(tmp_path, case, moment, workers)
    saved, resumed = (
        values(tmp_path, *place) for place in (('first', 'after_step_20'), ('resumed', 'start'))
    )
    for name, value in saved.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    before = [values(tmp_path, 'resumed', 'before_step_50', rank) for rank in range(workers)]
    after = values(tmp_path, 'resumed', 'after_step_50')
    name = 'MobilenetV2/Conv/BatchNorm/moving_mean'
    for suffix in ('', '/ExponentialMovingAverage'):
        own = [held[name + suffix] for held in before]
        assert not np.array_equal(own[0], own[1])
        np.testing.assert_allclose(after[name + suffix], np.mean(own, axis=0), rtol=1e-5, atol=1e-7)
    weights = 'MobilenetV2/Conv/weights'
    np.testing.assert_array_equal(after[weights], before[1][weights])
    assert not np.array_equal(after[weights], saved[weights])
