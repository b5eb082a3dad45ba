"""Files that are there as a whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

from slim.errors import DataError, OutputError

_TEMPORARY_NAME = re.compile(r'\..+\.\d+\.tmp')


@contextlib.contextmanager
def new_file(path: str) -> Iterator[str]:
    """Gives a hidden name to write to, which becomes `path` when the block ends well."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f'.{name}.{os.getpid()}.tmp')
    try:
        with writing(path):
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(folder)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def write_text(path: str, content: str) -> None:
    """Writes a text file that is there as a whole or not at all."""
    with new_file(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
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
    except (DataError, OutputError):
        raise
    except OSError as error:
        raise OutputError(f'{path} cannot be written: {error.strerror or error}') from error


def _sync(path: str) -> None:
    descriptor = os.open(path or '.', os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
