"""Reads tar and zip archives; no link is followed and nothing is written outside the folder."""

from __future__ import annotations

import contextlib
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import IO

from datasets.records import atomic_files
from slim.errors import DataError, SuiteError

_CHUNK = 1 << 20  # bytes
_DRIVE = re.compile('[A-Za-z]:')

# (name in the archive, function that opens the contents)
_Entry = tuple[str, Callable[[], IO[bytes]]]


def extract(path: str, folder: str) -> None:
    """Unpacks the files of an archive into `folder`, which is made; files there are replaced.

    The whole archive is looked through first. DataError for one that is missing, cut off or of
    another format, or that holds a link, a device or a name that leads out of `folder`.
    """
    for _ in _entries(path):
        pass
    for name, open_entry in _entries(path):
        target = os.path.join(folder, name)
        with atomic_files.writing(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(_chunks(open_entry, path), target)


def read_files(
    path: str, names: Collection[str], optional: Collection[str] = ()
) -> dict[str, bytes]:
    """The contents of the files of those names in an archive, in whatever folder of it they are.

    DataError as in `extract`, and for a name of `names` that is missing or any that occurs twice.
    """
    found: dict[str, bytes] = {}
    for entry, open_entry in _entries(path):
        name = os.path.basename(entry)
        if name in found:
            raise DataError(f'{path} holds two files {name}.')
        if name in names or name in optional:
            found[name] = b''.join(_chunks(open_entry, path))
    missing = sorted(set(names) - set(found))
    if missing:
        raise DataError(f'{path} lacks {", ".join(missing)}.')
    return found


def _entries(path: str) -> Iterator[_Entry]:
    """The files of an archive, one after the other; each name is checked."""
    with _reading(path):
        is_zip = zipfile.is_zipfile(path)
    yield from (_zip_entries if is_zip else _tar_entries)(path)


def _tar_entries(path: str) -> Iterator[_Entry]:
    with contextlib.ExitStack() as stack:
        with _reading(path):
            archive = stack.enter_context(tarfile.open(path))
        while True:
            with _reading(path):
                member = archive.next()
            if member is None:
                with _reading(path):
                    _read_to_the_end(archive)
                return
            if member.isdir():
                continue
            if not member.isfile():
                raise DataError(f'{path} holds {member.name}, which is no file but a link or such.')
            yield _safe_name(member.name, path), _opener(archive, member)


def _read_to_the_end(archive: tarfile.TarFile) -> None:
    """Only the end of a packed file has the checksum of what was in it."""
    assert archive.fileobj is not None
    while archive.fileobj.read(_CHUNK):
        pass


def _opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def open_member() -> IO[bytes]:
        contents = archive.extractfile(member)
        assert contents is not None  # as it is a file
        return contents

    return open_member


def _zip_entries(path: str) -> Iterator[_Entry]:
    with contextlib.ExitStack() as stack:
        with _reading(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
        for member in archive.infolist():
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise DataError(
                    f'{path} holds {member.filename}, which is no file but a link or such.'
                )
            name = _safe_name(member.filename, path)
            yield name, lambda member=member: archive.open(member)  # type: ignore[misc]


def _safe_name(name: str, path: str) -> str:
    parts = [part for part in name.replace('\\', '/').split('/') if part not in ('', '.')]
    absolute = name.startswith(('/', '\\')) or _DRIVE.match(name)
    if absolute or '..' in parts or not parts or '\0' in name:
        raise DataError(
            f'{path} holds the name {name!r}, which leads out of the folder; nothing is unpacked.'
        )
    return '/'.join(parts)


def _chunks(open_entry: Callable[[], IO[bytes]], path: str) -> Iterator[bytes]:
    with contextlib.ExitStack() as stack:
        with _reading(path):
            contents = stack.enter_context(open_entry())
        while True:
            with _reading(path):
                chunk = contents.read(_CHUNK)
            if not chunk:
                return
            yield chunk


def _write(chunks: Iterator[bytes], target: str) -> None:
    """Under a hidden name first. Not synced: an archive can be unpacked again."""
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f'.{name}.{os.getpid()}.tmp')
    try:
        with atomic_files.writing(target), open(temporary, 'wb') as file:
            for chunk in chunks:
                file.write(chunk)
        with atomic_files.writing(target):
            os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turns whatever is wrong with an archive into a DataError that names it."""
    try:
        yield
    except SuiteError:
        raise
    except FileNotFoundError as error:
        raise DataError(f'There is no file {path}.') from error
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        OSError,
        NotImplementedError,
        RuntimeError,  # a zip with a password
    ) as error:
        raise DataError(
            f'{path} cannot be unpacked: it is cut off, damaged or no archive '
            f'({str(error).partition(":")[0] or type(error).__name__}).'
        ) from error
