"""Nothing outside the folder is written, whatever the archive says."""

from __future__ import annotations

import io
import os
import pathlib
import stat
import tarfile
import zipfile

import pytest

from datasets.conversion import archives
from slim.errors import DataError

pytestmark = pytest.mark.once

NAMES = ['../evil', 'a/../../evil', '/evil', 'a/..\\..\\evil', 'C:\\evil', '\\evil']


def _tar(path, *members):
    with tarfile.open(path, 'w:gz') as archive:
        for member, contents in members:
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return str(path)


def _zip(path, *members):
    with zipfile.ZipFile(path, 'w') as archive:
        for member, contents in members:
            archive.writestr(member, contents)
    return str(path)


_MAKERS = {'tar': (_tar, tarfile.TarInfo), 'zip': (_zip, zipfile.ZipInfo)}


@pytest.fixture(params=_MAKERS)
def make(request, tmp_path):
    """make(*(name, contents)): an archive of either kind."""
    write, member = _MAKERS[request.param]
    return lambda *files: write(
        tmp_path / 'archive', *((member(name), contents) for name, contents in files)
    )


def _refuses(tmp_path, path, message):
    out = tmp_path / 'deep' / 'out'
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        archives.extract(path, str(out))
    assert '\n' not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before
    with pytest.raises(DataError, match=message):
        archives.read_files(path, ['never'])


def test_files_are_unpacked_and_replaced(tmp_path, make):
    path = make(('./a/b.txt', b'one'), ('c.txt', b'two'))
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'c.txt').write_bytes(b'old')
    archives.extract(path, str(tmp_path / 'out'))
    assert (tmp_path / 'out' / 'a' / 'b.txt').read_bytes() == b'one'
    assert (tmp_path / 'out' / 'c.txt').read_bytes() == b'two'
    assert sorted(os.listdir(tmp_path / 'out')) == ['a', 'c.txt']
    assert archives.read_files(path, ['b.txt'], ['c.txt', 'd.txt']) == {
        'b.txt': b'one',
        'c.txt': b'two',
    }


@pytest.mark.parametrize('name', NAMES)
def test_names_that_lead_out(tmp_path, make, name):
    _refuses(tmp_path, make(('good', b'x'), (name, b'x')), 'leads out of the folder')


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path, kind):
    member = tarfile.TarInfo('link')
    member.type, member.linkname = kind, '/etc/passwd'
    _refuses(tmp_path, _tar(tmp_path / 'x.tar.gz', (member, b'')), 'holds link, which is no file')


def test_links_in_a_zip(tmp_path):
    member = zipfile.ZipInfo('link')
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    _refuses(tmp_path, _zip(tmp_path / 'x.zip', (member, b'/etc')), 'holds link, which is no file')


def test_cut_off_damaged_or_no_archive(tmp_path, make):
    path = make(('a', os.urandom(50_000)), ('b', os.urandom(50_000)))
    contents = pathlib.Path(path).read_bytes()
    for spoilt in (contents[:60_000], contents[:-10_000], b'', b'no archive'):
        with open(path, 'wb') as file:
            file.write(spoilt)
        _refuses(tmp_path, path, 'archive cannot be unpacked: it is cut off, damaged or no archive')


def test_damage_in_the_middle_leaves_no_such_file(tmp_path, make):
    path = make(('a', os.urandom(50_000)))
    contents = bytearray(pathlib.Path(path).read_bytes())
    contents[25_000:25_100] = bytes(100)
    with open(path, 'wb') as file:
        file.write(contents)
    with pytest.raises(DataError, match='damaged'):
        archives.extract(path, str(tmp_path / 'out'))
    assert not (tmp_path / 'out' / 'a').exists()


def test_missing_archive_and_members(tmp_path, make):
    with pytest.raises(DataError, match=r'There is no file .*nowhere'):
        archives.extract(str(tmp_path / 'nowhere'), str(tmp_path / 'out'))
    with pytest.raises(DataError, match='archive lacks b, c'):
        archives.read_files(make(('x/a', b'')), ['a', 'b', 'c'])
    with pytest.raises(DataError, match='two files a'):
        archives.read_files(make(('x/a', b''), ('y/a', b'')), ['a'])
