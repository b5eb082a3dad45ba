"""Child processes: exit codes and signals reach the other side."""

import os
import signal
import subprocess
import sys
import time

import pytest

from slim import launcher


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
        'from slim import launcher\n'
        f'sys.exit(launcher.run([sys.executable, "-c", {child!r}]))\n'
    )
    process = subprocess.Popen([sys.executable, '-c', parent])
    deadline = time.monotonic() + 30
    while not (tmp_path / 'ready').exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(30) == 55
