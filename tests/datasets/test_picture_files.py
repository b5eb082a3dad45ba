"""Which files a path of pictures means."""

import pytest

from datasets import picture_files
from slim import errors

pytestmark = pytest.mark.once


def write(folder, **content):
    for name, text in content.items():
        path = folder / name.replace('__', '/').replace('_', '.')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_file_a_folder_a_pattern_and_a_list(tmp_path, monkeypatch):
    write(tmp_path, b_JPG='1', a_png='2', sub__deep__c_jpeg='3', notes_md='4')
    write(tmp_path, **{'sub__.hidden_jpg': '5', '.git__d_jpg': '6'})
    (tmp_path / 'names.txt').write_text(f'{tmp_path}/b.JPG\n\n  sub/deep/c.jpeg \n')
    monkeypatch.chdir(tmp_path)
    inside = str(tmp_path) + '/'
    assert picture_files.find(f'{inside}b.JPG') == [f'{inside}b.JPG']
    assert picture_files.find(str(tmp_path)) == [
        f'{inside}{n}' for n in ('a.png', 'b.JPG', 'sub/deep/c.jpeg')
    ]
    assert picture_files.find('**/*.jp*g') == ['sub/deep/c.jpeg']
    assert picture_files.find('names.txt') == [f'{inside}b.JPG', 'sub/deep/c.jpeg']


@pytest.mark.parametrize(
    ('images', 'words'),
    [
        ('none.jpg', 'no such file or folder'),
        ('empty', 'the folder has no pictures'),
        ('*.jpg', 'the pattern matches no file'),
        ('empty.txt', 'the list names no pictures'),
    ],
)
def test_what_is_not_there_is_said(tmp_path, monkeypatch, images, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty.txt').write_text('\n')
    with pytest.raises(errors.DataError, match=rf'^--images={images.replace("*", ".")}: {words}'):
        picture_files.find(images)
