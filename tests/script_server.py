"""Runs scripts in forks of a process that has imported TensorFlow already.

Importing it takes five seconds of processor time, most of what a script needs to say that a file is
missing. Here it is paid once per test process:

    with script_server.Server() as server:
        done = server.run('/path/script.py', ['--flag=1'], cwd='/tmp', env={...}, timeout=60)
        print(done.returncode, done.stdout, done.stderr)

like `subprocess.run([sys.executable, ...], capture_output=True, text=True, ...)`. The script is
`__main__` in a process and a session of its own, with the working folder, environment, arguments,
module path, exit code and traceback that it has when Python starts it, and ends as Python ends.

Not the same, so a test that is about one of these starts a fresh interpreter:
- whether and when TensorFlow is imported, and what it writes by that;
- environment variables that are read at the start (READ_AT_START): the server refuses others than
  its own;
- signals, and output while the script runs;
- the seed of `hash`, which is one for all scripts of a server.

This file, started as a program, imports TensorFlow and waits at a socket. It lists no device and
runs no operation, so it has no thread of TensorFlow's that a fork would lose. A request is a line
of JSON and two files for the output, its answer the exit code. When the socket ends, in whatever
way the tests have ended, the script that runs is ended, and the server ends.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

# Beginnings of the names of what Python, TensorFlow and the libraries below it read at the start.
READ_AT_START = ('CUDA', 'LD_', 'MKL_', 'NVIDIA_', 'OMP_', 'OPENBLAS_', 'PYTHON', 'TF_', 'XLA_')
# Read later, or by the server for Python.
_NOT_AT_START = ('PYTHONPATH', 'TF_SLIM_SUITE_CACHE')
_GRACE_SECONDS = 10
_LARGEST_REQUEST = 2**17
_END = b'end'  # Instead of a request: what runs is to be ended.

_Path = str | os.PathLike[str]


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(READ_AT_START) and name not in _NOT_AT_START
    }


class Server:
    """Runs scripts, one at a time; its process comes up with the first one, ends with `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
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
        if self._process and self._socket:
            self._socket.close()
            self._process.wait()
            self._process = self._socket = None

    def run(
        self,
        script: _Path,
        arguments: Sequence[str],
        *,
        cwd: _Path,
        env: Mapping[str, str],
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end; ends it after `timeout` seconds, with TimeoutExpired."""
        different = _read_at_start(env).items() ^ _read_at_start(self._environment).items()
        if different:
            names = ', '.join(sorted({name for name, _ in different}))
            raise ValueError(f'{names}: read at the start; this test needs a fresh interpreter')
        words = [os.fspath(script), *arguments]
        request = json.dumps([words, os.fspath(cwd), dict(env)]).encode()
        # Files, lest a full pipe stop the script.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            connection = self._connected()
            socket.send_fds(connection, [request], [out.fileno(), err.fileno()])
            try:
                if not select.select([connection], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(words, timeout)
            except BaseException:
                connection.send(_END)
                connection.recv(16)
                raise
            code = connection.recv(16)
            if not code:
                raise RuntimeError('the server of scripts has died; its last words are on stderr')
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors='replace'))
        return subprocess.CompletedProcess(words, int(code), *texts)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, os.path.abspath(__file__), str(theirs.fileno())],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C reaches the tests, which end the server.
                )
        return self._socket


# The other side: the program.


def _import_tensorflow() -> dict[str, str]:
    """Imports it as runtime.startup does, without reports of success; what that sets for others."""
    before = dict(os.environ)
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
    if not importlib.metadata.version('tensorflow').startswith('2.15.'):
        os.environ['TF_USE_LEGACY_KERAS'] = '1'
    import tensorflow.compat.v1  # noqa: F401

    # The scripts set what they need of this themselves.
    for name in ('TF_CPP_MIN_LOG_LEVEL', 'TF_USE_LEGACY_KERAS'):
        os.environ.pop(name, None)
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def _serve(tests: socket.socket, set_by_import: Mapping[str, str]) -> str:
    """Forks for each request. Returns in the new processes only: the script to run."""
    while True:
        message, files, _, _ = socket.recv_fds(tests, _LARGEST_REQUEST, 2)
        if not message:
            sys.exit()
        if message == _END:  # The script has ended just before.
            continue
        pid = os.fork()
        if pid == 0:
            tests.close()
            return _become(files, set_by_import, *json.loads(message))
        for file in files:
            os.close(file)
        ended = os.pidfd_open(pid)
        # The tests wait for the answer, so that anything from them before it is the end.
        if ended not in select.select([ended, tests], [], [])[0]:
            message = tests.recv(16)
            # With time to hand it on to what the script has started.
            os.kill(pid, signal.SIGTERM)
            if not select.select([ended], [], [], _GRACE_SECONDS)[0]:
                os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(ended)
        if not message:
            sys.exit()
        tests.send(str(code).encode())


def _become(
    files: Sequence[int],
    set_by_import: Mapping[str, str],
    words: Sequence[str],
    cwd: str,
    environment: Mapping[str, str],
) -> str:
    """Makes this process what it is at the first line of a script that Python starts."""
    os.setsid()
    for place, file in zip((1, 2), files, strict=True):
        os.dup2(file, place)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update({**environment, **set_by_import})
    sys.argv = list(words)
    places = [place for place in environment.get('PYTHONPATH', '').split(os.pathsep) if place]
    sys.path[:1] = [os.path.dirname(words[0]), *places]
    return words[0]


if __name__ == '__main__':
    import gc
    import runpy

    _set_by_import = _import_tensorflow()
    gc.freeze()  # The pages that all scripts share stay shared.
    _script = _serve(socket.socket(fileno=int(sys.argv[1])), _set_by_import)
    runpy.run_path(_script, run_name='__main__')
