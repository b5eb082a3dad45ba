from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from datasets.conversion import worker_pool
from slim.errors import DataError, SuiteError

pytestmark = pytest.mark.once

ROOT = str(pathlib.Path(__file__).resolve().parents[3])


# Functions for worker processes, which import this module.


def square(number, advance):
    advance(number)
    return number * number


def process_id(number, advance):
    time.sleep(0.2)
    return os.getpid()


def fail_or_go_on(number, advance):
    if number == 1:
        raise DataError('number 1')
    for _ in range(600):
        advance(1)
        time.sleep(0.1)


def end_or_go_on(number, advance):
    return None if number == 1 else fail_or_go_on(number, advance)


def be_killed(number, advance):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)


@pytest.mark.parametrize('num_workers', [1, 3])
def test_every_task_once(num_workers):
    counts = []
    results = worker_pool.run(square, range(20), num_workers, counts.append)
    assert sorted(results) == [(number, number * number) for number in range(20)]
    assert sum(counts) == sum(range(20))


def test_no_tasks():
    assert list(worker_pool.run(square, [], 4)) == []


def test_other_processes_do_the_work():
    ids = {result for _, result in worker_pool.run(process_id, range(4), 2)}
    assert len(ids) == 2
    assert os.getpid() not in ids


def test_an_error_stops_the_others():
    begin = time.monotonic()
    with pytest.raises(DataError, match='number 1'):
        list(worker_pool.run(fail_or_go_on, range(3), 3))
    assert time.monotonic() - begin < 30  # not the minute that the others would take


def test_leaving_early_stops_the_others():
    begin = time.monotonic()
    with contextlib.closing(worker_pool.run(end_or_go_on, range(3), 3)) as results:
        assert next(results)[0] == 1
    assert time.monotonic() - begin < 30


def test_a_killed_worker_is_told():
    with pytest.raises(SuiteError, match='A worker process was killed'):
        list(worker_pool.run(be_killed, range(4), 2))


def test_ctrl_c_waits_until_all_processes_are_started():
    """Also where another thread takes the signal, which it then does for the whole process."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    steps = []
    try:
        with pytest.raises(KeyboardInterrupt), worker_pool._interrupts_are_not_inherited():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            steps.append('started')
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
        thread.join()
    assert steps == ['started']


def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    program = (
        'import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n'
        'import os, test_worker_pool as t\n'
        'from datasets.conversion import worker_pool\n'
        'if __name__ == "__main__":\n'
        '    def say(n):\n'
        '        if n: print("going", flush=True)\n'
        '    list(worker_pool.run(t.fail_or_go_on, [0, 0], 2, say))\n'
    )
    script = tmp_path / 'program.py'
    script.write_text(program)
    process = subprocess.Popen(
        [sys.executable, str(script), os.path.dirname(__file__), ROOT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == 'going\n'
    assert len(_group(process.pid)) >= 3
    process.kill()
    process.wait()
    end = time.monotonic() + 10
    while _group(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert _group(process.pid) == []


def _group(group):
    """Processes of a process group that run, from /proc."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f'/proc/{name}/stat') as file:
                fields = file.read().rpartition(')')[2].split()
                if int(fields[2]) == group and fields[0] != 'Z':
                    found.append(int(name))
    return found


def test_ctrl_c_is_not_for_the_workers():
    """Blocked where processes start, and not lost."""
    with pytest.raises(KeyboardInterrupt), worker_pool._interrupts_are_not_inherited():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.01)
        reached = True
    assert reached
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
