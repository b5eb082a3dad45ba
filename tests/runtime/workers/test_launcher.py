"""Child processes: exit codes and signals reach the other side."""

import os
import signal
import subprocess
import sys
import time

import pytest

from runtime.workers import launcher

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ('code', 'expected'),
    [
        ('raise SystemExit(0)', 0),
        ('raise SystemExit(7)', 7),
        ('import os; os.kill(os.getpid(), 9)', 128 + 9),
    ],
)
def test_the_exit_code_is_the_childs(code, expected):
    assert launcher.run([sys.executable, '-c', code]) == expected


def test_commands_are_argument_lists_for_this_python():
    command = launcher.script_command('train.py', {'a': 'x y; rm', 'b': None, 'c': False})
    assert command[0] == sys.executable
    assert os.path.isabs(command[1])
    assert command[2:] == ['--a=x y; rm', '--c=False']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signals_go_on_to_the_child(tmp_path, number):
    child = (
        'import pathlib, signal, sys, time\n'
        f'signal.signal({int(number)}, lambda *_: sys.exit(55))\n'
        f'pathlib.Path({str(tmp_path / "ready")!r}).touch()\n'
        'time.sleep(60)\n'
    )
    parent = (
        'import sys\n'
        'from runtime.workers import launcher\n'
        f'sys.exit(launcher.run([sys.executable, "-c", {child!r}]))\n'
    )
    process = subprocess.Popen([sys.executable, '-c', parent])
    deadline = time.monotonic() + 30
    while not (tmp_path / 'ready').exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(30) == 55


@pytest.mark.parametrize(
    ('codes', 'restarts', 'expected', 'runs'),
    [
        ((7, 0), 1, 0, 2),
        ((7, 8, 9), 1, 8, 2),
        ((2, 0), 3, 2, 1),
        ((4, 0), 3, 4, 1),
        ((0,), 3, 0, 1),
    ],
)
def test_what_failed_by_itself_is_started_again(tmp_path, codes, restarts, expected, runs):
    count = tmp_path / 'count'
    program = (
        'import pathlib, sys\n'
        f'count = pathlib.Path({str(count)!r})\n'
        'done = len(count.read_text()) if count.exists() else 0\n'
        'count.write_text("x" * (done + 1))\n'
        f'sys.exit({codes}[done])\n'
    )
    assert launcher.run([sys.executable, '-c', program], restarts) == expected
    assert len(count.read_text()) == runs


def test_mpirun_gets_the_first_signal_as_one_that_it_hands_on(tmp_path):
    fake = tmp_path / 'mpirun'
    fake.write_text(
        f'#!{sys.executable}\n'
        'import pathlib, signal, sys, time\n'
        'signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))\n'
        f'pathlib.Path({str(tmp_path / "ready")!r}).touch()\n'
        'time.sleep(60)\n'
    )
    fake.chmod(0o755)
    parent = (
        'import sys\nfrom runtime.workers import launcher\n'
        f'sys.exit(launcher.run([{str(fake)!r}], 1))\n'
    )
    process = subprocess.Popen([sys.executable, '-c', parent])
    deadline = time.monotonic() + 30
    while not (tmp_path / 'ready').exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
