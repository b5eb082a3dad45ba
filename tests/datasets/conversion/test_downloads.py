"""Downloads from a server on this machine: whole, resumed, broken, wrong, and without a network."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import pathlib
import re
import socket
import threading

import pytest

from datasets import dataset_utils
from datasets.conversion import conversions, downloads
from datasets.conversion.downloads import DownloadError, NetworkError, RemoteFile
from slim.errors import DataError, OutputError, UsageError

CONTENTS = bytes(range(256)) * 40_000  # 10 MB


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        contents, tag = server.contents, server.tag
        if server.status != 200:
            self.send_error(server.status)
            return
        first = 0
        asked = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        if asked and self.headers.get('If-Range') in (tag, None):
            first = int(asked[1])
            if first >= len(contents):
                self.send_error(416)
                return
        self.send_response(206 if first else 200)
        if tag:
            self.send_header('ETag', tag)
        if first:
            self.send_header('Content-Range', f'bytes {first}-{len(contents) - 1}/{len(contents)}')
        if server.with_length:
            self.send_header('Content-Length', str(len(contents) - first))
        self.end_headers()
        last = len(contents) if server.break_off_after is None else first + server.break_off_after
        with contextlib.suppress(OSError):
            self.wfile.write(contents[first:last])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith('_proxy'):
            monkeypatch.delenv(name)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    server.contents, server.tag, server.status = CONTENTS, '"one"', 200
    server.break_off_after, server.with_length, server.requests = None, True, []
    server.url = f'http://127.0.0.1:{server.server_port}/a%20b/file.bin?x=1'
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def no_network(monkeypatch):
    """As on a machine without a network: names are not found, nothing can be reached."""

    def unknown(*arguments, **more):
        raise socket.gaierror(-3, 'Temporary failure in name resolution')

    def unreachable(*arguments):
        raise OSError(101, 'Network is unreachable')

    for name in list(os.environ):
        if name.lower().endswith('_proxy'):
            monkeypatch.delenv(name)
    monkeypatch.setattr(socket, 'getaddrinfo', unknown)
    monkeypatch.setattr(socket.socket, 'connect', unreachable)


SHA = f'sha256:{hashlib.sha256(CONTENTS).hexdigest()}'
MD5 = f'md5:{hashlib.md5(CONTENTS).hexdigest()}'


def _ranges(server):
    return [request.get('Range') for request in server.requests]


@pytest.mark.parametrize('checksum', [None, MD5, SHA, SHA[:7] + SHA[7:].upper()])
def test_a_whole_file(server, tmp_path, checksum):
    path = dataset_utils.download_url(server.url, str(tmp_path / 'new'), checksum)
    assert path == str(tmp_path / 'new' / 'file.bin')
    assert (tmp_path / 'new' / 'file.bin').read_bytes() == CONTENTS
    assert os.listdir(tmp_path / 'new') == ['file.bin']
    # What is there is not fetched again.
    dataset_utils.download_url(server.url, str(tmp_path / 'new'), checksum)
    assert len(server.requests) == 1


def test_a_broken_download_is_taken_up(server, tmp_path):
    server.break_off_after = 3_000_000
    with pytest.raises(DownloadError, match=r'broke off.*Start again to go on'):
        dataset_utils.download_url(server.url, str(tmp_path), SHA)
    assert sorted(os.listdir(tmp_path)) == ['file.bin.part', 'file.bin.part.version']
    part = (tmp_path / 'file.bin.part').stat().st_size
    assert 0 < part <= 3_000_000
    server.break_off_after = None
    dataset_utils.download_url(server.url, str(tmp_path), SHA)
    assert (tmp_path / 'file.bin').read_bytes() == CONTENTS
    assert os.listdir(tmp_path) == ['file.bin']
    assert _ranges(server) == [None, f'bytes={part}-']


@pytest.mark.parametrize('tag', ['"two"', 'W/"one"', ''])
def test_another_version_is_fetched_from_the_start(server, tmp_path, tag):
    server.break_off_after = 3_000_000
    with pytest.raises(DownloadError):
        dataset_utils.download_url(server.url, str(tmp_path))
    server.contents, server.tag, server.break_off_after = CONTENTS[::-1], tag, None
    dataset_utils.download_url(server.url, str(tmp_path))
    assert (tmp_path / 'file.bin').read_bytes() == CONTENTS[::-1]


@pytest.mark.parametrize('tag', ['W/"weak"', ''])
def test_what_has_no_version_is_not_continued(server, tmp_path, tag):
    server.tag, server.break_off_after = tag, 3_000_000
    with pytest.raises(DownloadError):
        dataset_utils.download_url(server.url, str(tmp_path))
    server.break_off_after = None
    dataset_utils.download_url(server.url, str(tmp_path), SHA)
    assert _ranges(server) == [None, None]


def test_a_part_that_is_too_long_is_dropped(server, tmp_path):
    (tmp_path / 'file.bin.part').write_bytes(CONTENTS + b'more')
    (tmp_path / 'file.bin.part.version').write_text('"one"')
    dataset_utils.download_url(server.url, str(tmp_path), SHA)
    assert (tmp_path / 'file.bin').read_bytes() == CONTENTS
    assert _ranges(server)[1] is None


@pytest.mark.parametrize(
    ('remote', 'message'),
    [
        ({'checksum': 'md5:' + '0' * 32}, r'file\.bin\.part has the md5 checksum .*, not 0000'),
        ({'checksum': 'sha256:' + '0' * 64}, r'has the sha256 checksum'),
        ({'size': 7}, r'has 10,240,000 bytes, not 7'),
    ],
)
def test_wrong_contents(server, tmp_path, remote, message):
    remote = RemoteFile(server.url, **remote)
    with pytest.raises(DataError, match=message):
        downloads.download(remote, str(tmp_path))
    assert os.listdir(tmp_path) == []
    # A file that was there is not touched.
    (tmp_path / 'file.bin').write_bytes(b'mine')
    with pytest.raises(DataError, match=r'file\.bin has .*Remove it'):
        downloads.download(remote, str(tmp_path))
    assert (tmp_path / 'file.bin').read_bytes() == b'mine'


def test_what_the_server_says_is_passed_on(server, tmp_path):
    server.status = 404
    with pytest.raises(DownloadError, match='answers 404 Not Found'):
        dataset_utils.download_url(server.url, str(tmp_path / 'new'))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('url', ['ftp://host/x', '/etc/passwd', 'file:///x', 'http://host/'])
def test_strange_addresses(tmp_path, url):
    with pytest.raises(UsageError, match='no address of a file'):
        dataset_utils.download_url(url, str(tmp_path))


@pytest.mark.parametrize('checksum', ['1234', 'crc:12'])
def test_strange_checksums(tmp_path, checksum):
    with pytest.raises(UsageError, match='must begin with one of md5:, sha256:'):
        dataset_utils.download_url('http://host/x', str(tmp_path), checksum)


def test_two_at_a_time(server, tmp_path):
    import fcntl

    with open(tmp_path / 'file.bin.part', 'ab') as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match=r'Another process is downloading .*file\.bin'):
            dataset_utils.download_url(server.url, str(tmp_path))


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match='cannot be written'):
        dataset_utils.download_url(server.url, str(tmp_path / 'file' / 'x'))


@pytest.mark.parametrize('with_length', [True, False])
def test_progress_in_lines(server, tmp_path, capsys, with_length):
    server.with_length = with_length
    dataset_utils.download_url(server.url, str(tmp_path), SHA)
    lines = capsys.readouterr().out.splitlines()
    if with_length:
        assert 5 <= len(lines) <= 10
        assert re.fullmatch(
            r'file\.bin: \[#{30}\] 100% of 10\.2 MB  \d+\.\d MB/s  0:00 left', lines[-1]
        )
    else:
        assert lines == []  # one for every 105 MB


def test_progress_on_a_terminal(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('sys.stdout.isatty', lambda: True)
    dataset_utils.download_url(server.url, str(tmp_path))
    out = capsys.readouterr().out
    assert out.startswith('\rfile.bin: [')
    assert out.count('\n') == 1


def test_no_network(no_network, tmp_path):
    with pytest.raises(NetworkError, match=r'http://host/x .*Temporary failure in name res'):
        dataset_utils.download_url('http://host/x', str(tmp_path / 'new'))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    'name', [n for n, row in conversions.conversions_map.items() if row.remote_files]
)
def test_no_network_says_what_is_wanted_and_where(no_network, tmp_path, name):
    out = tmp_path / 'out'
    with pytest.raises(NetworkError) as caught:
        conversions.convert(name, str(out))
    message = str(caught.value)
    assert '\n' not in message
    assert f'into {out}/downloads, or name their folder with --source_dir' in message
    for remote in conversions.conversions_map[name].remote_files:
        assert remote.name in message
        assert remote.url in message
    assert os.listdir(tmp_path) == []


def test_what_is_there_is_not_wanted(no_network, tmp_path):
    (tmp_path / 'downloads').mkdir()
    rows = conversions.conversions_map['mnist'].remote_files
    for remote in rows[:3]:
        with open(tmp_path / 'downloads' / remote.name, 'wb') as file:
            file.truncate(remote.size)
    with pytest.raises(DataError, match=r'train-images.* has the sha256 checksum'):
        conversions.convert('mnist', str(tmp_path))


def test_archives_that_are_downloaded_are_converted(server, tmp_path, monkeypatch):
    import dataclasses

    import originals

    from datasets import dataset_factory

    originals.cifar10_binary(tmp_path)
    originals.tar(tmp_path / 'cifar-10-binary.tar.gz', tmp_path / 'cifar-10-batches-bin')
    server.contents = (tmp_path / 'cifar-10-binary.tar.gz').read_bytes()
    remote = RemoteFile(
        server.url.replace('file.bin', 'cifar-10-binary.tar.gz'),
        f'md5:{hashlib.md5(server.contents).hexdigest()}',
    )
    row = conversions.conversions_map['cifar10']
    monkeypatch.setitem(
        conversions.conversions_map, 'cifar10', dataclasses.replace(row, remote_files=(remote,))
    )
    out = str(tmp_path / 'out')
    conversions.convert('cifar10', out, progress=lambda message: None)
    assert os.listdir(tmp_path / 'out' / 'downloads') == ['cifar-10-binary.tar.gz']
    assert dataset_factory.get_dataset('cifar10', 'train', out).num_samples == 15
    assert len(server.requests) == 1


def test_tarballs_and_zips_are_unpacked(server, tmp_path):
    import shutil

    (tmp_path / 'a' / 'b').mkdir(parents=True)
    (tmp_path / 'a' / 'b' / 'c.txt').write_text('text')
    for kind, function in (
        ('gztar', dataset_utils.download_and_uncompress_tarball),
        ('zip', dataset_utils.download_and_uncompress_zipfile),
    ):
        archive = shutil.make_archive(str(tmp_path / 'made'), kind, tmp_path, 'a')
        server.contents = pathlib.Path(archive).read_bytes()
        out = tmp_path / kind
        function(server.url, str(out))
        assert (out / 'a' / 'b' / 'c.txt').read_text() == 'text'
        assert sorted(os.listdir(out)) == ['a', 'file.bin']
