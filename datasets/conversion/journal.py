"""The file that says how far a conversion has come, and that one process at a time works on it.

A line of JSON for what the conversion is, then one per finished part. A line is synced before the
next step is taken; what a process that was killed has left of a line is dropped.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

from slim.errors import OutputError

# File systems that know no locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


class Journal:
    """An open and locked journal. Entries that can be read are in `entries`, the first one first.

    Raises OutputError where the file cannot be written or another process has it.
    """

    def __init__(self, path: str, say: Callable[[str], object]):
        self._path = path
        try:
            self._file = open(path, 'a+b')  # noqa: SIM115 (open as long as the journal)
            self._lock(say)
            self.entries: list[dict[str, Any]] = self._read()
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f'{path} cannot be written: {error.strerror or error}') from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.entries and os.path.exists(self._path):
            os.unlink(self._path)  # Nothing was begun.
        self._file.close()

    def append(self, entry: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry).encode() + b'\n')
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f'{self._path} cannot be written: {error.strerror}') from error
        self.entries.append(entry)

    def remove(self) -> None:
        """The work is done. The lock stays until the end of the block."""
        os.unlink(self._path)

    def _lock(self, say: Callable[[str], object]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f'Another conversion is writing into {os.path.dirname(self._path)}. Wait for its '
                'end, or give another folder.'
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say(f'{self._path} cannot be locked: start no second conversion into this folder')
        if not os.path.exists(self._path) or not os.path.samestat(
            os.stat(self._path), os.fstat(self._file.fileno())
        ):
            raise OutputError(
                f'Another conversion into {os.path.dirname(self._path)} has just ended. '
                'Start the same command again.'
            )

    def _read(self) -> list[dict[str, Any]]:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b'\n') + 1]
        self._file.truncate(len(whole))
        damaged = OutputError(
            f'{self._path} is damaged, so that this conversion cannot go on. Give an empty folder.'
        )
        try:
            entries = [json.loads(line) for line in whole.splitlines()]
        except (ValueError, RecursionError) as error:
            raise damaged from error
        if not all(isinstance(entry, dict) for entry in entries):
            raise damaged
        return entries
