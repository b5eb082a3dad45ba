"""One run at a time writes a folder: a lock that the system lets go of when its process ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from runtime import folders
from slim import errors

LOCK_FILE = 'run.lock'
# File systems that know no locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)
# `check_free` of a third process holds the lock for a moment.
_TRIES, _PAUSE_SECS = 10, 0.1
_NOTE_LIMIT = 10_000


def check_free(folder: str, flag: str = 'train_dir') -> None:
    """OutputError, which names the flag, where another run has the folder; writes nothing."""
    try:
        descriptor = os.open(os.path.join(folder, LOCK_FILE), os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return  # None has ever begun there, or it cannot be written: that is said later.
    try:
        _lock(descriptor, folder, flag)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(
    folder: str, say: Callable[[str], object] = print, flag: str = 'train_dir'
) -> Iterator[None]:
    """Has the folder, which is there, for the length of the block.

    The file stays and says who had it last. Nothing is locked behind a URL.

    Raises:
      OutputError: another run has it, or the file cannot be written.
    """
    if '://' in folder:
        yield
        return
    path = os.path.join(folder, LOCK_FILE)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise folders.cannot_write(path, error) from error
    try:
        if not _lock(descriptor, folder, flag):
            say(f'{path} cannot be locked: start no second training there')
        note = {'host': socket.gethostname(), 'pid': os.getpid(), 'since': time.time()}
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(note).encode() + b'\n', 0)
        except OSError as error:
            raise folders.cannot_write(path, error) from error
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: str, flag: str) -> bool:
    """Locks the file; False where the file system cannot. OutputError where another process has."""
    for left in range(_TRIES, 0, -1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if left > 1:
                time.sleep(_PAUSE_SECS)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise folders.cannot_write(os.path.join(folder, LOCK_FILE), error) from error
            return False
    raise errors.OutputError(
        f'--{flag}={folder}: {_holder(descriptor)} is training there. Wait for its end, or give '
        'another folder'
    )


def _holder(descriptor: int) -> str:
    """Who has the lock, as that process has written it down."""
    try:
        note: Any = json.loads(os.pread(descriptor, _NOTE_LIMIT, 0))
        host, pid = str(note['host'])[:100], int(note['pid'])
    except (OSError, ValueError, LookupError, TypeError, RecursionError, OverflowError):
        return 'another process'
    return f'process {pid} on {host if host.isprintable() else "another host"}'
