"""Files that are there whole or not at all: a hidden name, synced, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from slim.errors import OutputError, SuiteError


@contextlib.contextmanager
def new_file(path: str) -> Iterator[str]:
    """Gives a hidden name to write to, which becomes `path` when the block ends well.

    Raises OutputError where it cannot; what the block itself raises is left as it is.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f'.{name}.{os.getpid()}.tmp')
    try:
        yield temporary
        with writing(path):
            sync(temporary)
            os.replace(temporary, path)
            sync(folder)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns what the file system says into an OutputError that names `path`."""
    try:
        yield
    except SuiteError:
        raise
    except OSError as error:
        raise OutputError(f'{path} cannot be written: {error.strerror or error}') from error
    except tf.errors.OpError as error:
        raise OutputError(f'{path} cannot be written: {error.message}') from error


def sync(path: str) -> None:
    """Waits until the file or folder is on the disk."""
    descriptor = os.open(path or '.', os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
