"""Ends a worker that no longer gets on, and names the worker that hangs.

Each worker has a thread that looks how long ago the last step ended. Horovod finds a worker that
does not take part while its background thread lives; it cannot find one whose process stands still
or whose host is gone, as all wait for it in MPI. So workers also tell rank 0 every second, by UDP,
that they live. All of it is of the standard library, and works while the main thread waits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from runtime.workers import cluster as cluster_lib

_INTERVAL_SECS = 1.0
# Rank 0 knows more than the others, so it speaks first.
_LATER_SECS = 5.0
_EXIT_CODE = 1


@dataclasses.dataclass(frozen=True)
class Meeting:
    """Where rank 0 hears the others."""

    host: str
    port: int
    token: str  # tells the messages of this run from others'


class Watchdog:
    """Ends this process when no step has ended for `timeout_secs`."""

    def __init__(
        self,
        rank: int,
        hosts: Sequence[str],
        timeout_secs: float,
        meeting: Meeting,
        connection: socket.socket,
    ) -> None:
        self._rank, self._hosts, self._timeout = rank, hosts, timeout_secs
        self._meeting, self._socket = meeting, connection
        self._step, self._beat_time = 0, time.monotonic()
        self._heard = dict.fromkeys(range(1, len(hosts)), self._beat_time)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name='watchdog', daemon=True)

    def beat(self, step: int) -> None:
        """The worker got on: step `step` has ended."""
        self._step, self._beat_time = step, time.monotonic()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _watch(self) -> None:
        limit = self._timeout + (_LATER_SECS if self._rank else 0.0)
        while not self._ended.wait(_INTERVAL_SECS):
            self._listen() if self._rank == 0 else self._tell()
            waited = time.monotonic() - self._beat_time
            if waited > limit:
                # No print: the main thread may hold the lock of the stream.
                os.write(2, (self.verdict(waited) + '\n').encode())
                os._exit(_EXIT_CODE)

    def _tell(self) -> None:
        message = json.dumps([self._meeting.token, self._rank]).encode()
        here = self._hosts[self._rank] == self._meeting.host
        with contextlib.suppress(OSError):  # One lost message says nothing yet.
            host = '127.0.0.1' if here else self._meeting.host
            self._socket.sendto(message, (host, self._meeting.port))

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(ValueError):
                    token, rank = json.loads(self._socket.recv(1024))
                    if token == self._meeting.token and rank in self._heard:
                        self._heard[rank] = time.monotonic()

    def verdict(self, waited: float) -> str:
        """What to say of a run that has stood still for `waited` seconds."""
        now = time.monotonic()
        silent = [
            f'rank {rank} on {self._hosts[rank]}'
            for rank, heard in self._heard.items()
            if now - heard > min(self._timeout, 10 * _INTERVAL_SECS)
        ]
        if self._rank:
            what = f'rank 0 on {self._hosts[0]} does not end the run, so it hangs itself'
        elif silent:
            what = f'{", ".join(silent)} no longer answers: hung, or its host is gone'
        else:
            what = 'all processes live, so one waits for its input, its device or the network'
        return (
            f'Rank {self._rank} on {self._hosts[self._rank]} ends the run: no step has ended for '
            f'{waited:.0f} seconds after step {self._step} (--worker_timeout_secs='
            f'{self._timeout:.0f}); {what}'
        )


class Guard(Protocol):
    """What the loop tells."""

    def beat(self, step: int) -> None:
        """Step `step` has ended."""


class _Nobody:
    """For a run of one worker, for which nobody waits."""

    def beat(self, step: int) -> None: ...


@contextlib.contextmanager
def watching(cluster: cluster_lib.Cluster, timeout_secs: float) -> Iterator[Guard]:
    """Watches while the body runs; collective, as the workers agree where they meet."""
    if cluster.size == 1:
        yield _Nobody()
        return
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.setblocking(False)
    place: list[object] = []
    if cluster.rank == 0:
        connection.bind(('', 0))
        place = [cluster.hosts[0], connection.getsockname()[1], secrets.token_hex(8)]
    meeting = Meeting(*cluster.gather(place)[0])
    watchdog = Watchdog(cluster.rank, cluster.hosts, timeout_secs, meeting, connection)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()
