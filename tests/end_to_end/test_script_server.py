"""The server of scripts: a start through it is like a start by Python."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import processes
import pytest


@pytest.fixture
def program(tmp_path):
    """Writes a script; returns its path."""

    def write(source):
        path = tmp_path / 'program.py'
        path.write_text(textwrap.dedent(source))
        return path

    return write


def _both(server, path, *arguments, **how):
    """The same start in a fresh interpreter and by the server."""
    command = [sys.executable, str(path), *arguments]
    fresh = subprocess.run(command, capture_output=True, text=True, timeout=100, **how)
    return fresh, server.run(path, arguments, timeout=100, **how)


@pytest.mark.parametrize(
    ('end', 'code'),
    [
        ('pass', 0),
        ('sys.exit()', 0),
        ('sys.exit(7)', 7),
        ('sys.exit("words")', 1),
        ('raise ValueError("wrong")', 1),
        ('os.kill(os.getpid(), signal.SIGKILL)', -signal.SIGKILL),
        (
            'signal.signal(2, signal.default_int_handler); os.kill(os.getpid(), 2)',
            -signal.SIGINT,
        ),
        ('atexit.register(os.write, 2, b"at exit")', 0),
    ],
)
def test_a_script_ends_as_with_python(server, program, cache, tmp_path, end, code):
    path = program(f"""\
        import atexit, os, signal, sys
        print('not flushed', end='')
        {end}
        """)
    fresh, done = _both(server, path, cwd=tmp_path, env=processes.user_environment(cache))
    assert fresh.returncode == done.returncode == code
    assert fresh.stdout == done.stdout
    # The traceback has the server's own lines besides.
    assert fresh.stderr.splitlines()[-1:] == done.stderr.splitlines()[-1:]
    assert ('File "' in fresh.stderr) == (f'File "{path}", line 3' in done.stderr)


def test_a_script_finds_what_it_finds_with_python(server, program, cache, tmp_path):
    path = program("""\
        '''Says where it is.'''
        import __main__, json, os, signal, sys
        import tensorflow  # sets variables of the environment
        print(json.dumps([
            sys.argv, sys.path, os.getcwd(), os.isatty(0), sys.stdin.read(), dict(os.environ),
            __name__, __file__, __doc__, __main__.__doc__, sys.modules['__main__'].__file__,
            [str(signal.getsignal(number)) for number in (2, 10, 13, 15)],
            sorted(name for name in sys.modules if name.split('.')[0] in ('slim', 'tf_slim')),
        ]))
        """)
    (tmp_path / 'elsewhere').mkdir()
    environment = {**processes.user_environment(cache), 'PYTHONPATH': '/one:/two', 'OURS': 'x y'}
    fresh = subprocess.run(
        [sys.executable, str(path), '--a=1', 'b c'],
        cwd=tmp_path / 'elsewhere',
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
    )
    done = server.run(
        path, ['--a=1', 'b c'], cwd=tmp_path / 'elsewhere', env=environment, timeout=200
    )
    assert json.loads(fresh.stdout) == json.loads(done.stdout)


def test_a_script_that_takes_too_long_is_ended(server, program, cache, tmp_path):
    path = program("""\
        import os, pathlib, time
        pathlib.Path('number').write_text(str(os.getpid()))
        time.sleep(100)
        """)
    begin = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        server.run(path, [], cwd=tmp_path, env=processes.user_environment(cache), timeout=2)
    assert not _runs(int((tmp_path / 'number').read_text()))
    assert time.monotonic() - begin < 60
    # And the next one runs.
    environment = processes.user_environment(cache)
    assert (
        server.run(program('print(1)'), [], cwd=tmp_path, env=environment, timeout=9).stdout
        == '1\n'
    )


def _runs(pid):
    """Whether there is a process of this number that has not ended."""
    # It may end between the opening of the file and the reading.
    try:
        return ') Z ' not in pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_is_read_at_the_start_needs_a_fresh_interpreter(server, program, cache, tmp_path):
    for name in ('TF_CPP_MIN_LOG_LEVEL', 'CUDA_VISIBLE_DEVICES', 'PYTHONHASHSEED'):
        environment = {**processes.user_environment(cache), name: '1'}
        with pytest.raises(ValueError, match=name):
            server.run(program('pass'), [], cwd=tmp_path, env=environment, timeout=9)


def test_tensorflow_has_started_no_thread_before_the_fork(server, program, cache, tmp_path):
    """A fork has the thread that calls it alone. numpy's BLAS knows this, and starts its anew."""
    path = program('import os; print(os.getppid())')
    done = server.run(path, [], cwd=tmp_path, env=processes.user_environment(cache), timeout=60)
    libraries = 2  # numpy's and scipy's
    blas = libraries * (len(os.sched_getaffinity(0)) - 1)
    assert len(os.listdir(f'/proc/{done.stdout.strip()}/task')) <= 1 + blas


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_whatever_ends_the_tests(program, tmp_path, how):
    script = program("""\
        import os, pathlib, time
        folder = pathlib.Path(__file__).parent
        (folder / 'unfinished').write_text(f'{os.getpid()} {os.getppid()}')
        (folder / 'unfinished').rename(folder / 'numbers')
        time.sleep(100)
        """)
    # With a TensorFlow that is imported at once.
    (tmp_path / 'stub' / 'tensorflow' / 'compat').mkdir(parents=True)
    for name in ('__init__.py', 'compat/__init__.py', 'compat/v1.py'):
        (tmp_path / 'stub' / 'tensorflow' / name).touch()
    tests = tmp_path / 'tests.py'
    tests.write_text(
        f'import os, script_server, signal\n'
        f'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        f'with script_server.Server() as server:\n'
        f'    server._environment["PYTHONPATH"] = {str(tmp_path / "stub")!r}\n'
        f'    server.run({str(script)!r}, [], cwd="/", env=dict(os.environ), timeout=100)\n'
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith('TF_')},
        'PYTHONPATH': str(processes.ROOT / 'tests'),
    }
    process = subprocess.Popen([sys.executable, str(tests)], env=environment)
    _wait_until(lambda: (tmp_path / 'numbers').exists())
    numbers = [int(number) for number in (tmp_path / 'numbers').read_text().split()]
    assert len(numbers) == 2 and all(_runs(number) for number in numbers)
    process.send_signal(how)
    process.wait(60)
    _wait_until(lambda: not any(_runs(number) for number in numbers))


def _wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
