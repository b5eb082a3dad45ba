"""A worker that dies or hangs, and a signal to the launcher, while two workers train."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import processes
import pytest
import tensorflow as tf

pytest.importorskip('horovod', reason='Horovod is not installed; make horovod builds it')
# Of mpirun, signals and the watchdog; what Horovod computes is tested on both stacks.
pytestmark = pytest.mark.once


@pytest.fixture
def launch(cache, digits, tmp_path):
    """Starts the launcher, training with two workers; it saves about every second."""
    started = []

    def start(*flags):
        started.append(
            subprocess.Popen(
                [
                    sys.executable,
                    str(processes.ROOT / 'demo_mobilenetv2.py'),
                    '--computation_type=train',
                    '--use_horovod',
                    '--num_workers=2',
                    '--map_by=none',
                    f'--dataset_dir={digits}',
                    f'--train_dir={tmp_path}',
                    '--train_image_size=16',
                    '--save_interval_secs=1',
                    '--log_every_n_steps=1',
                    *processes.PLAIN,
                    *flags,
                ],
                env=processes.worker_environment(cache),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[0]

    yield start
    # Where the test has failed: mpirun ends when its workers do.
    started[0].kill()
    for process in workers(tmp_path).values():
        os.kill(process, signal.SIGKILL)


def workers(train_dir):
    """Process number by rank of the workers that write to `train_dir`."""
    found = {}
    for process in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            command = (process / 'cmdline').read_text()
            environment = (process / 'environ').read_bytes().split(b'\0')
        except OSError:  # It has ended, or is of another user.
            continue
        rank = [word for word in environment if word.startswith(b'OMPI_COMM_WORLD_RANK=')]
        if rank and 'train_image_classifier.py' in command and str(train_dir) in command:
            found[int(rank[0].split(b'=')[1])] = int(process.name)
    return found


def saved_steps(train_dir):
    return sorted(
        int(re.search(r'-(\d+)\.index', path.name)[1]) for path in train_dir.glob('*.index')
    )


def wait_for_a_checkpoint(launcher, train_dir):
    deadline = time.monotonic() + 200
    while not saved_steps(train_dir):
        assert launcher.poll() is None, launcher.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def finish(launcher, code):
    out, _ = launcher.communicate(timeout=400)
    assert launcher.returncode == code, out
    return out


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_and_a_restart_finishes_it(launch, tmp_path):
    steps = 150
    launcher = launch(
        f'--max_number_of_steps={steps}',
        '--max_restarts=1',
        '--stop_grace_secs=3',
    )
    wait_for_a_checkpoint(launcher, tmp_path)
    victim = workers(tmp_path)
    assert victim.keys() == {0, 1}
    os.kill(victim[1], signal.SIGKILL)
    out = finish(launcher, 0)
    assert 'exit code 137: starting again' in out
    assert re.search(r'rank 1 .*exited on signal 9', out), out
    assert saved_steps(tmp_path)[-1] == steps
    assert not workers(tmp_path)


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves_and_ends_all_workers(launch, tmp_path):
    launcher = launch('--max_number_of_steps=100000', '--max_restarts=1')
    wait_for_a_checkpoint(launcher, tmp_path)
    launcher.send_signal(signal.SIGTERM)
    out = finish(launcher, 128 + signal.SIGTERM)
    assert 'starting again' not in out
    stopped = json.loads((tmp_path / 'metrics.jsonl').read_text().splitlines()[-1])['step']
    assert stopped < 100000
    assert saved_steps(tmp_path)[-1] == stopped
    assert tf.train.load_checkpoint(str(tmp_path)).get_tensor('global_step') == stopped
    assert not workers(tmp_path)


@pytest.mark.slow
def test_a_hung_worker_is_named_and_ends_the_run(launch, tmp_path):
    launcher = launch(
        '--max_number_of_steps=100000',
        '--worker_timeout_secs=30',
        '--stop_grace_secs=5',
        f'--mpi_log_dir={tmp_path / "logs"}',
    )
    wait_for_a_checkpoint(launcher, tmp_path)
    os.kill(workers(tmp_path)[1], signal.SIGSTOP)
    finish(launcher, 1)
    logs = ''.join(path.read_text() for path in tmp_path.glob('logs/**/rank.0/std*'))
    # mpirun puts its tags wherever it has cut what it read.
    said = re.sub(r'\[1,0\]<std(out|err)>:|\n', '', logs)
    assert re.search(r'Rank 0 on \S+ ends the run.*rank 1 on \S+ no longer answers', said), said
    assert not workers(tmp_path)
