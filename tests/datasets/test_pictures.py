"""Samples of pictures out of folders, of pictures and of records."""

import os

import pytest

from datasets import dataset_factory, pictures
from runtime import lookup, options
from slim import errors


def no_records():
    raise AssertionError('the folder has no records')


@pytest.mark.once
def test_every_class_folder_has_its_share(tmp_path):
    for name in ('a', 'b', 'c'):
        (tmp_path / name).mkdir()
        for number in range(10):
            (tmp_path / name / f'{number}.JPG').write_bytes(f'{name}{number}'.encode())
    (tmp_path / 'a' / 'notes.txt').write_bytes(b'no picture')
    (tmp_path / 'a' / '.hidden.png').write_bytes(b'no picture')
    found = pictures.of_folder(str(tmp_path), 6, no_records)
    assert [content[:1] for _, content in found] == [b'a', b'a', b'b', b'b', b'c', b'c']
    assert all(os.path.isfile(name) for name, _ in found)
    assert len(pictures.of_folder(str(tmp_path), 1000, no_records)) == 30


@pytest.mark.once
def test_a_folder_without_pictures_is_one_line(tmp_path):
    for folder in (tmp_path, tmp_path / 'nowhere'):
        with pytest.raises(errors.DataError, match='pictures') as refused:
            pictures.of_folder(str(folder), 5, no_records)
        assert str(folder) in str(refused.value) and len(str(refused.value)) < 300


def test_records_give_pictures_of_every_file(tmp_path):
    from datasets.conversion import digits

    folder = digits.ensure_sample(str(tmp_path), progress=lambda _: None)

    def as_records():
        return dataset_factory.get_dataset('digits', 'validation', folder)

    found = pictures.of_folder(folder, 8, as_records)
    assert len(found) == 8 and all(content[:2] == b'\xff\xd8' for _, content in found)
    files = {name.split(' of ')[1] for name, _ in found}
    assert len(files) == 4 and all('validation-' in file for file in files)
    # An export finds them also where its network was trained on another set.
    chosen = options.Export(
        dataset_name='five', calibration_dir=folder, calibration_split='validation'
    )
    assert lookup.pictures_for_export(chosen, 8) == found
    with open(sorted(files)[0], 'r+b') as file:
        file.seek(40)
        file.write(b'damage')
    with pytest.raises(errors.DataError, match=r'validation-0.* cannot be read: ') as refused:
        pictures.of_folder(folder, 8, as_records)
    assert '\n' not in str(refused.value)
