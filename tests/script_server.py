"""Starts scripts in forks of a process that has imported TensorFlow already.

Importing it takes five seconds of processor time, most of what a script needs to refuse a flag. Here
it is paid once per test process:

    with script_server.Server() as server:
        done = server.run('/path/script.py', ['--flag=1'], cwd='/tmp', env={...}, timeout=60)
        started = server.start('/path/script.py', ['--flag=1'], cwd='/tmp', env={...})

`run` is like `subprocess.run(..., capture_output=True, text=True)`, `start` like `subprocess.Popen`
with `stdout=PIPE, stderr=STDOUT, text=True`. The script is `__main__` in a process and a session of
its own, with the working folder, environment, arguments, module path, exit code and traceback that
it has when Python starts it, and ends as Python ends.

Not the same, so a test that is about one of these starts a fresh interpreter:
- whether and when TensorFlow is imported, and what it writes by that;
- environment variables that are read at the start (READ_AT_START): the server refuses others than
  its own;
- the seed of `hash`, which is one for all scripts of a server.

This file, started as a program, imports TensorFlow and waits at a socket. It lists no device and runs
no operation, so it has no thread of TensorFlow's that a fork would lose. A request is a message of
JSON and three files: standard output, standard error, and a socket for process number and exit code.
When the first socket ends, in whatever way the tests have ended, the server ends what still runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

# Beginnings of the names of what Python, TensorFlow and the libraries below it read at the start.
READ_AT_START = ('CUDA', 'LD_', 'MKL_', 'NVIDIA_', 'OMP_', 'OPENBLAS_', 'PYTHON', 'TF_', 'XLA_')
# Read later, or by the server for Python.
_NOT_AT_START = ('PYTHONPATH', 'TF_SLIM_SUITE_CACHE')
_GRACE_SECONDS = 10
_LARGEST_REQUEST = 2**17

_Path = str | os.PathLike[str]


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(READ_AT_START) and name not in _NOT_AT_START
    }


class Started:
    """A running script, in the manner of subprocess.Popen."""

    def __init__(self, pid: int, exit_code: socket.socket, stdout: IO[str] | None = None) -> None:
        self.pid = pid
        self.stdout = stdout  # output and errors, of `start`
        self.returncode: int | None = None
        self._exit_code = exit_code

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, -n for signal n; TimeoutExpired where there is none after `timeout`."""
        if self.returncode is None:
            if not select.select([self._exit_code], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f'process {self.pid}', timeout or 0)
            with self._exit_code:
                said = self._exit_code.recv(16)
            self.returncode = int(said) if said else -signal.SIGKILL  # of the server
        return self.returncode

    def poll(self) -> int | None:
        """The exit code; None while the script runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """The rest of the output, after the end of the script."""
        assert self.stdout is not None
        with self.stdout:
            text = self.stdout.read()
        self.wait(timeout)
        return text, None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """Ends the script where it still runs: SIGTERM, with time to hand it on, then SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.poll() is None:
                os.killpg(self.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.wait(_GRACE_SECONDS)


class Server:
    """Starts scripts; its process comes up with the first one, and ends with `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        # That of a user who has set nothing of TensorFlow's.
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith('TF_') and name != 'PYTHONPATH'
        }

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the server and what it has started."""
        if self._process and self._requests:
            self._requests.close()
            self._process.wait()
            self._process = self._requests = None

    def run(
        self,
        script: _Path,
        arguments: Sequence[str],
        *,
        cwd: _Path,
        env: Mapping[str, str],
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end; ends it after `timeout` seconds, with TimeoutExpired."""
        # Files, lest a full pipe stop the script.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            started = Started(*self._fork(script, arguments, cwd, env, out.fileno(), err.fileno()))
            try:
                code = started.wait(timeout)
            finally:
                started.end()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors='replace'))
        return subprocess.CompletedProcess([os.fspath(script), *arguments], code, *texts)

    def start(
        self, script: _Path, arguments: Sequence[str], *, cwd: _Path, env: Mapping[str, str]
    ) -> Started:
        """Starts a script, to read its output line by line and to send it signals."""
        reading, writing = os.pipe()
        with open(writing, 'wb'):
            stdout = open(reading, encoding='utf-8')
            return Started(*self._fork(script, arguments, cwd, env, writing, writing), stdout)

    def _fork(
        self,
        script: _Path,
        arguments: Sequence[str],
        cwd: _Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
    ) -> tuple[int, socket.socket]:
        """The process number of a script, and the socket that will give its exit code."""
        different = _read_at_start(env).items() ^ _read_at_start(self._environment).items()
        if different:
            names = ', '.join(sorted({name for name, _ in different}))
            raise ValueError(f'{names}: read at the start; this test needs a fresh interpreter')
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = [os.fspath(script), list(arguments), os.fspath(cwd), dict(env)]
        with theirs:
            files = [stdout, stderr, theirs.fileno()]
            socket.send_fds(self._connected(), [json.dumps(request).encode()], files)
        pid = mine.recv(16)
        if not pid:
            raise RuntimeError('the server of scripts has ended; its last words are on stderr')
        return int(pid), mine

    def _connected(self) -> socket.socket:
        if self._requests is None:
            self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, os.path.abspath(__file__), str(theirs.fileno())],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C reaches the tests, which end the server.
                )
        return self._requests


# The other side: the program.


def _import_tensorflow() -> dict[str, str]:
    """Imports it as slim.startup does, without reports of success; what that has set for others."""
    before = dict(os.environ)
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
    import tensorflow.compat.v1  # noqa: F401

    del os.environ['TF_CPP_MIN_LOG_LEVEL']
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def _serve(requests: socket.socket, set_by_import: Mapping[str, str]) -> str:
    """Forks for each request. Returns in the new processes only: the script to run."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by its pidfd: process number, exit code
    events = select.poll()
    events.register(requests, select.POLLIN)
    while True:
        for ready, _ in events.poll():
            if ready != requests.fileno():
                events.unregister(ready)
                os.close(ready)
                pid, exit_code = running.pop(ready)
                status = os.waitpid(pid, 0)[1]
                with exit_code, contextlib.suppress(OSError):  # Nobody may want to know any more.
                    exit_code.send(str(os.waitstatus_to_exitcode(status)).encode())
                continue
            message, files, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, 3)
            if not message:
                _end([pid for pid, _ in running.values()])
                sys.exit()
            pid = os.fork()
            if pid == 0:
                requests.close()
                for pidfd, (_, exit_code) in running.items():
                    os.close(pidfd)
                    exit_code.close()
                return _become(files, set_by_import, *json.loads(message))
            os.close(files[0])
            os.close(files[1])
            pidfd = os.pidfd_open(pid)
            running[pidfd] = pid, socket.socket(fileno=files[2])
            events.register(pidfd, select.POLLIN)


def _become(
    files: Sequence[int],
    set_by_import: Mapping[str, str],
    script: str,
    arguments: Sequence[str],
    cwd: str,
    environment: Mapping[str, str],
) -> str:
    """Makes this process what it is at the first line of a script that Python starts."""
    os.setsid()
    with socket.socket(fileno=files[2]) as exit_code:
        exit_code.send(str(os.getpid()).encode())
    for place, file in zip((1, 2), files, strict=False):
        os.dup2(file, place)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update({**environment, **set_by_import})
    sys.argv = [script, *arguments]
    places = [place for place in environment.get('PYTHONPATH', '').split(os.pathsep) if place]
    sys.path[:1] = [os.path.dirname(script), *places]
    return script


def _end(processes: Sequence[int]) -> None:
    """Ends scripts: SIGTERM, with time to hand it on to what they have started, then SIGKILL."""
    remaining = set(processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in remaining:
            os.kill(pid, number)
        deadline = time.monotonic() + _GRACE_SECONDS
        while remaining and time.monotonic() < deadline:
            remaining -= {pid for pid in remaining if os.waitpid(pid, os.WNOHANG)[0]}
            time.sleep(0.02)


if __name__ == '__main__':
    import gc
    import runpy

    _set_by_import = _import_tensorflow()
    gc.freeze()  # The pages that all scripts share stay shared.
    _script = _serve(socket.socket(fileno=int(sys.argv[1])), _set_by_import)
    runpy.run_path(_script, run_name='__main__')
