"""Downloads of single files: resumable, checked, with a progress bar. Standard library only.

A file is received as NAME.part and gets its name when it is whole. NAME.part.version remembers
which version of the file the server was sending, so that the rest of another version is never put
behind it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from datasets.records import atomic_files
from slim.errors import DataError, OutputError, UsageError

_CHUNK = 1 << 20  # bytes
_TIMEOUT_SECS = 60.0
_BAR_WIDTH = 30
_MIN_SECS_BETWEEN_UPDATES = 0.2
_BYTES_PER_LINE = 100 << 20  # between two lines where the size is unknown

_HASHES: dict[str, Callable[[], Any]] = {'md5': hashlib.md5, 'sha256': hashlib.sha256}


class DownloadError(DataError):
    """A file that could not be fetched; what was received stays for the next start."""


class NetworkError(DownloadError):
    """The server could not be reached at all."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to download. `checksum` is 'md5:HEX' or 'sha256:HEX', `size` in bytes."""

    url: str
    checksum: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        return os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(self.url).path))


def download(remote: RemoteFile, folder: str) -> str:
    """Downloads `remote` into `folder` and returns its path there.

    A file that is there already is checked and not fetched again. Raises UsageError for an address
    or checksum that is none, NetworkError where there is no way to the server, DownloadError where
    it does not give the file, DataError for a wrong checksum or size (the file is removed then),
    OutputError where the folder cannot be written.
    """
    _check_arguments(remote)
    path = os.path.join(folder, remote.name)
    if os.path.exists(path):
        _check_contents(remote, path)
        return path
    response = _open(remote, path)  # before anything is made: there may be no network
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: response.close())
        with atomic_files.writing(path):
            os.makedirs(folder, exist_ok=True)
            part = stack.enter_context(open(f'{path}.part', 'ab'))
            _lock(part, path)
        position = _resume_at(response, part, path)
        _receive(response, part, position, remote)
    part_path = f'{path}.part'
    try:
        _check_contents(remote, part_path)
    except DataError:
        _remove(part_path, f'{part_path}.version')
        raise
    with atomic_files.writing(path):
        atomic_files.sync(part_path)
        os.replace(part_path, path)
        atomic_files.sync(folder)
    _remove(f'{part_path}.version')
    return path


def _check_arguments(remote: RemoteFile) -> None:
    if urllib.parse.urlsplit(remote.url).scheme not in ('http', 'https') or not remote.name:
        raise UsageError(f'{remote.url!r} is no address of a file: expected http(s)://HOST/NAME')
    kind, colon, _ = (remote.checksum or 'md5:').partition(':')
    if not colon or kind not in _HASHES:
        raise UsageError(
            f'The checksum {remote.checksum!r} must begin with one of '
            f'{", ".join(f"{name}:" for name in _HASHES)}'
        )


def _open(remote: RemoteFile, path: str) -> http.client.HTTPResponse:
    """The server's answer, which is the rest of the file where a part of it is here."""
    headers = {'User-Agent': 'tf-slim-suite'}
    position, version = _received(path)
    if position and version:
        headers |= {'Range': f'bytes={position}-', 'If-Range': version}
    request = urllib.request.Request(remote.url, headers=headers)
    with _talking_to(remote.url):
        try:
            return urllib.request.urlopen(request, timeout=_TIMEOUT_SECS)
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            # The part is as long as the file or longer, so it is of no use.
            request.remove_header('Range')
            return urllib.request.urlopen(request, timeout=_TIMEOUT_SECS)


def _received(path: str) -> tuple[int, str]:
    """How many bytes of the file are here, and of which version; the version may be ''."""
    try:
        with open(f'{path}.part.version', encoding='utf-8') as file:
            return os.path.getsize(f'{path}.part'), file.read()
    except (FileNotFoundError, NotADirectoryError):
        return 0, ''


def _resume_at(response: http.client.HTTPResponse, part: IO[bytes], path: str) -> int:
    """Makes the part ready for what the server sends; the number of bytes that are kept of it."""
    position = os.fstat(part.fileno()).st_size
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        sent = re.match(r'bytes (\d+)-', response.headers.get('Content-Range', ''))
        if sent is None or int(sent[1]) != position:
            raise DownloadError(
                f'{response.url} sends another range than asked for. Remove {path}.part and start '
                'again.'
            )
        return position
    version = response.headers.get('ETag', '')
    if not version or version.startswith('W/'):  # a weak tag does not promise the same bytes
        version = response.headers.get('Last-Modified', '')
    with atomic_files.writing(path):
        part.truncate(0)
        with open(f'{path}.part.version', 'w', encoding='utf-8') as file:
            file.write(version)
    return 0


def _receive(
    response: http.client.HTTPResponse, part: IO[bytes], position: int, remote: RemoteFile
) -> None:
    length = response.headers.get('Content-Length')
    total = position + int(length) if length else None
    bar = _Bar(remote.name, total, position)
    try:
        while True:
            with _talking_to(remote.url):
                chunk = response.read(_CHUNK)
            if not chunk:
                break
            with atomic_files.writing(part.name):
                part.write(chunk)
            position += len(chunk)
            bar.show(position)
        with atomic_files.writing(part.name):
            part.flush()
    finally:
        bar.end()
    if total is not None and position < total:
        raise DownloadError(
            f'{remote.url} broke off after {position:,} of {total:,} bytes. Start again to go on.'
        )


def _check_contents(remote: RemoteFile, path: str) -> None:
    size = os.path.getsize(path)
    if remote.size is not None and size != remote.size:
        raise DataError(
            f'{path} has {size:,} bytes, not {remote.size:,}. Remove it and fetch {remote.url} '
            'anew.'
        )
    if remote.checksum is None:
        return
    kind, _, expected = remote.checksum.partition(':')
    digest = _HASHES[kind]()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != expected.lower():
        raise DataError(
            f'{path} has the {kind} checksum {digest.hexdigest()}, not {expected}. Remove it and '
            f'fetch {remote.url} anew.'
        )


@contextlib.contextmanager
def _talking_to(url: str) -> Iterator[None]:
    """Turns what the network says into one line."""
    try:
        yield
    except urllib.error.HTTPError as error:
        raise DownloadError(f'{url}: the server answers {error.code} {error.reason}') from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, 'strerror', None) or error.reason
        raise NetworkError(f'{url} cannot be reached ({reason})') from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(
            f'{url} broke off ({str(error) or type(error).__name__}). Start again to go on.'
        ) from error


def _lock(part: IO[bytes], path: str) -> None:
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f'Another process is downloading {path}. Wait for it.') from error


def _remove(*paths: str) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class _Bar:
    """One line that is rewritten on a terminal; elsewhere a line for every tenth."""

    def __init__(self, name: str, total: int | None, position: int):
        self._name, self._total, self._first = name, total, position
        self._start = self._shown_at = time.monotonic()
        self._on_terminal = sys.stdout.isatty()
        self._lines = self._line_number(position)

    def show(self, position: int) -> None:
        now = time.monotonic()
        if self._on_terminal:
            if now - self._shown_at > _MIN_SECS_BETWEEN_UPDATES or position == self._total:
                self._shown_at = now
                print(f'\r{self._text(position, now)}\033[K', end='', flush=True)
        elif self._line_number(position) > self._lines:
            self._lines = self._line_number(position)
            print(self._text(position, now), flush=True)

    def end(self) -> None:
        if self._on_terminal:
            print()

    def _line_number(self, position: int) -> int:
        return position * 10 // self._total if self._total else position // _BYTES_PER_LINE

    def _text(self, position: int, now: float) -> str:
        rate = (position - self._first) / max(now - self._start, 1e-6)
        speed = f'{rate / 1e6:.1f} MB/s'
        if not self._total:
            return f'{self._name}: {position / 1e6:.1f} MB  {speed}'
        part = position / self._total
        bar = '#' * int(part * _BAR_WIDTH)
        left = int((self._total - position) / max(rate, 1.0))
        return (
            f'{self._name}: [{bar:<{_BAR_WIDTH}}] {part:4.0%} of {self._total / 1e6:.1f} MB  '
            f'{speed}  {left // 60}:{left % 60:02d} left'
        )
