"""Files that are there whole or not at all: a hidden name, synced, then renamed."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

from slim.errors import OutputError, SuiteError

_TEMPORARY_NAME = re.compile(r'\..+\.\d+\.tmp')


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


def write_text(path: str, content: str) -> None:
    """Writes a text file. OutputError where it cannot."""
    with (
        new_file(path) as temporary,
        writing(path),
        open(temporary, 'w', encoding='utf-8') as file,
    ):
        file.write(content)


def remove_temporaries(folder: str) -> None:
    """Removes what killed processes have left in `folder`, where nobody may be writing now."""
    with writing(folder):
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if _TEMPORARY_NAME.fullmatch(name):
                os.unlink(os.path.join(folder, name))


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns what the file system says into an OutputError that names `path`."""
    try:
        yield
    except SuiteError:
        raise
    except OSError as error:
        raise OutputError(f'{path} cannot be written: {error.strerror or error}') from error
    except Exception as error:
        # Not imported for this: nobody raises such an error who has not done it.
        tensorflow = sys.modules.get('tensorflow')
        if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
            raise
        raise OutputError(f'{path} cannot be written: {error.message}') from error


def sync(path: str) -> None:
    """Waits until the file or folder is on the disk."""
    descriptor = os.open(path or '.', os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
