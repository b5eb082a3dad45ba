"""One run at a time has a folder."""

import errno
import fcntl
import os
import random
import signal

import pytest

from runtime.checkpoints import lock
from slim import errors

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, '_PAUSE_SECS', 0)


def test_a_second_run_is_told_who_has_the_folder(tmp_path):
    with lock.held(str(tmp_path)):
        for attempt in (lock.check_free, lambda folder: lock.held(folder).__enter__()):
            with pytest.raises(errors.OutputError) as failure:
                attempt(str(tmp_path))
            assert f'process {os.getpid()} on {os.uname().nodename} is training' in str(
                failure.value
            )
    with lock.held(str(tmp_path)):
        pass


def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    hears, says = os.pipe()
    child = os.fork()
    if not child:
        with lock.held(str(tmp_path)):
            os.write(says, b'held')
            signal.pause()
    assert os.read(hears, 4) == b'held'
    with pytest.raises(errors.OutputError, match=f'process {child} on '):
        lock.check_free(str(tmp_path))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    lock.check_free(str(tmp_path))
    with lock.held(str(tmp_path)):
        pass


def test_looking_writes_nothing(tmp_path):
    lock.check_free(str(tmp_path / 'nowhere'))
    lock.check_free(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_file_system_without_locks_is_said_and_tolerated(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', refuse)
    said = []
    with lock.held(str(tmp_path), said.append):
        assert said == [f'{tmp_path}/run.lock cannot be locked: start no second training there']
    lock.check_free(str(tmp_path))


def test_a_link_in_its_place_is_not_written_through(tmp_path):
    target = tmp_path / 'target'
    target.write_text('mine')
    os.symlink(target, tmp_path / 'run.lock')
    with pytest.raises(errors.OutputError, match=r'run.lock cannot be written'):
        lock.held(str(tmp_path)).__enter__()
    assert target.read_text() == 'mine'


def test_whatever_the_file_holds_the_refusal_is_one_line(tmp_path):
    numbers = random.Random(3)
    notes = [b'', b'[' * 9000, b'{"host": "\\u001b[2J", "pid": 1e999}', b'{"host": [], "pid": "7"}']
    notes += [numbers.randbytes(50) for _ in range(50)]
    with open(tmp_path / 'run.lock', 'w+b') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for note in notes:
            file.truncate(0)
            os.pwrite(file.fileno(), note, 0)
            with pytest.raises(errors.OutputError) as failure:
                lock.check_free(str(tmp_path))
            line = str(failure.value)
            assert len(line) < 300 + len(str(tmp_path)) and line.isprintable()
