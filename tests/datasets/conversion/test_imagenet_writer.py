from __future__ import annotations

import os
import shutil
import unicodedata

import pytest

from datasets import dataset_factory
from datasets.conversion import imagenet_writer
from datasets.records.description import read_description
from slim.errors import DataError, UsageError

pytestmark = pytest.mark.once

_CLASSES = ('n02', 'n01', 'n03')  # not in their sorted order


@pytest.fixture
def tree(tmp_path, image_bytes):
    """tree(train, validation): class folders of 4 training and 2 validation images per class."""

    def tree(train='train', validation='validation'):
        raw = tmp_path / 'raw'
        for folder, count in ((train, 4), (validation, 2)):
            for class_number, synset in enumerate(_CLASSES):
                class_dir = raw / folder / synset
                class_dir.mkdir(parents=True)
                for number in range(count):
                    content = image_bytes(seed=class_number * 10 + number)
                    (class_dir / f'{synset}_{folder}_{number}.JPEG').write_bytes(content)
        return raw

    return tree


@pytest.fixture
def flat_tree(tree):
    """The published layout of validation: no class folders, but synset_labels.txt."""
    raw = tree()
    files = sorted((raw / 'validation').rglob('*.JPEG'), key=lambda path: path.name[::-1])
    for number, path in enumerate(files):
        path.rename(raw / 'validation' / f'val_{number:08d}.JPEG')
    (raw / 'synset_labels.txt').write_text(
        ''.join(f'{path.parent.name}\n' for path in files), encoding='utf-8'
    )
    for synset in _CLASSES:
        (raw / 'validation' / synset).rmdir()
    return raw


@pytest.fixture
def convert(tmp_path):
    def convert(raw, train_shards=2, validation_shards=2, **kwargs):
        output = tmp_path / 'out'
        messages = []
        imagenet_writer.convert(
            str(raw),
            str(output),
            train_shards,
            validation_shards,
            progress=messages.append,
            **kwargs,
        )
        return output, messages

    return convert


def _labels_by_file(output, split, read_back):
    dataset = dataset_factory.get_dataset('imagenet', split, str(output))
    items = read_back(dataset)
    assert len(items) == dataset.num_samples
    return {item['filename'].decode(): int(item['label']) for item in items}


@pytest.mark.parametrize('layout', [('train', 'validation'), ('img_train', 'img_val')])
def test_class_folders_round_trip(tree, convert, read_back, layout):
    output, _ = convert(tree(*layout))
    for split, folder, count in (('train', layout[0], 4), ('validation', layout[1], 2)):
        # 1, 2, 3 in the order of the sorted synsets; 0 is the background.
        assert _labels_by_file(output, split, read_back) == {
            f'n0{label}_{folder}_{number}.JPEG': label
            for label in (1, 2, 3)
            for number in range(count)
        }
    assert sorted(path.name for path in output.rglob('*-of-*')) == [
        'train-00000-of-00002',
        'train-00001-of-00002',
        'validation-00000-of-00002',
        'validation-00001-of-00002',
    ]


def test_description(tree, convert):
    output, _ = convert(tree())
    about = read_description(str(output))
    assert (about.num_classes, about.has_background) == (4, True)
    assert about.label_names == ('background', 'n01', 'n02', 'n03')
    train, validation = about.splits['train'], about.splits['validation']
    assert (train.num_samples, train.num_shards) == (12, 2)
    assert (validation.num_samples, validation.num_shards) == (6, 2)


def test_flat_validation(flat_tree, convert, read_back):
    lines = (flat_tree / 'synset_labels.txt').read_text().split()
    output, _ = convert(flat_tree)
    assert _labels_by_file(output, 'validation', read_back) == {
        f'val_{number:08d}.JPEG': int(synset[1:]) for number, synset in enumerate(lines)
    }


def test_training_is_shuffled_and_repeatable(tree, convert, read_back, tmp_path):
    raw = tree()
    output, _ = convert(raw)
    labels = [*_labels_by_file(output, 'train', read_back).values()]
    assert labels != sorted(labels)
    output.rename(tmp_path / 'first')
    output, _ = convert(raw)
    for path in (tmp_path / 'first').rglob('*'):
        if path.is_file():
            assert path.read_bytes() == (output / path.relative_to(tmp_path / 'first')).read_bytes()


def test_odd_files_are_reported(tree, convert, image_bytes):
    raw = tree()
    (raw / 'train' / 'n01' / 'n01_train_0.JPEG').write_bytes(image_bytes('PNG'))
    _, messages = convert(raw)
    assert any('1 files were not RGB' in line and 'n01_train_0.JPEG' in line for line in messages)


def test_a_run_after_an_interruption_replaces_its_own_shards(tree, convert):
    raw = tree()
    bad = raw / 'validation' / 'n03' / 'n03_validation_1.JPEG'
    content = bad.read_bytes()
    bad.write_bytes(b'no image')
    with pytest.raises(DataError, match='n03_validation_1'):
        convert(raw)
    bad.write_bytes(content)
    output, _ = convert(raw)
    assert read_description(str(output)).splits['validation'].num_samples == 6


def test_unfinished_run_has_no_description(tree, convert, tmp_path):
    raw = tree()
    (raw / 'validation' / 'n03' / 'n03_validation_1.JPEG').write_bytes(b'no image')
    with pytest.raises(DataError):
        convert(raw)
    assert not (tmp_path / 'out' / 'dataset.json').exists()


# What can be wrong. Nothing is written then.


@pytest.fixture
def refuses(convert, tmp_path):
    def refuses(raw, error, match, **kwargs):
        with pytest.raises(error, match=match):
            convert(raw, **kwargs)
        assert not (tmp_path / 'out').exists()

    return refuses


def test_missing_raw_folder(refuses, tmp_path):
    refuses(tmp_path / 'nowhere', DataError, 'no folder .*nowhere.*--raw_data_dir')


def test_wrong_layout_says_what_was_found(refuses, tree):
    raw = tree('training', 'validation')
    refuses(raw, DataError, r'train/ and validation/ .*img_train/ .*found training, validation')


def test_no_class_folders(refuses, tree):
    raw = tree()
    for synset in _CLASSES:
        for path in (raw / 'train' / synset).iterdir():
            path.unlink()
        (raw / 'train' / synset).rmdir()
    refuses(raw, DataError, 'train has no class folders')


def test_class_folder_without_images(refuses, tree):
    raw = tree()
    (raw / 'train' / 'n09').mkdir()
    refuses(raw, DataError, 'n09 has no images')


def test_files_beside_class_folders(refuses, tree):
    raw = tree()
    (raw / 'train' / 'stray.JPEG').touch()
    refuses(raw, DataError, r'both class folders and files \(stray.JPEG\)')


def test_folders_inside_a_class_folder(refuses, tree):
    raw = tree()
    (raw / 'train' / 'n01' / 'images').mkdir()
    refuses(raw, DataError, 'n01 has folders in it')


def test_validation_class_without_training(refuses, tree):
    raw = tree()
    (raw / 'validation' / 'n01').rename(raw / 'validation' / 'n07')
    refuses(raw, DataError, "'n07', for which there is no training folder")


def test_flat_validation_without_synsets(refuses, flat_tree):
    (flat_tree / 'synset_labels.txt').unlink()
    refuses(flat_tree, DataError, 'no .*synset_labels.txt')


@pytest.mark.parametrize('lines', [5, 7])
def test_synset_file_of_another_length(refuses, flat_tree, lines):
    (flat_tree / 'synset_labels.txt').write_text('n01\n' * lines)
    refuses(flat_tree, DataError, f'has {lines} lines, but .* has 6 images')


def test_unknown_synset(refuses, flat_tree):
    (flat_tree / 'synset_labels.txt').write_text('n01\n' * 5 + 'n99\n')
    refuses(flat_tree, DataError, "'n99', for which there is no training folder")


def test_no_validation_images(refuses, flat_tree):
    for path in (flat_tree / 'validation').iterdir():
        path.unlink()
    refuses(flat_tree, DataError, 'validation has no images')


@pytest.mark.parametrize('flag', ['train_shards', 'validation_shards'])
def test_number_of_shards(refuses, tree, flag):
    refuses(tree(), UsageError, f'--{flag} must be at least 1, not 0', **{flag: 0})


def test_records_do_not_go_among_the_images(tree):
    raw = tree()
    with pytest.raises(UsageError, match='cannot go into the folder of the images'):
        imagenet_writer.convert(str(raw), str(raw))


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_folder_that_cannot_be_read(refuses, tree):
    raw = tree()
    (raw / 'train' / 'n01').chmod(0)
    refuses(raw, DataError, 'n01 cannot be read: Permission denied')


def test_class_with_a_name_that_is_no_text(refuses, tree):
    raw = tree()
    os.mkdir(os.fsencode(raw / 'train') + b'/\xff')
    refuses(raw, DataError, 'a name that cannot be used')


def test_boxes_from_xml_files(tree, tmp_path, convert, read_back):
    raw = tree()
    boxes = tmp_path / 'boxes'
    for name, xmin in (('n02/n02_train_1.xml', 3), ('val/n01_validation_0.xml', 6)):
        path = boxes / name
        path.parent.mkdir(parents=True)
        path.write_text(
            '<annotation><size><width>12</width><height>8</height></size><object><bndbox>'
            f'<xmin>{xmin}</xmin><ymin>2</ymin><xmax>9</xmax><ymax>4</ymax></bndbox></object>'
            '</annotation>'
        )
    output, _ = convert(raw, bounding_box_dir=str(boxes))
    found = {}
    for split in ('train', 'validation'):
        for item in read_back(dataset_factory.get_dataset('imagenet', split, str(output))):
            if item['bbox'].size:
                found[item['filename'].decode()] = item['bbox'].tolist()
    assert found == {
        'n02_train_1.JPEG': [[[0.25, 0.25, 0.5, 0.75]]],
        'n01_validation_0.JPEG': [[[0.25, 0.5, 0.5, 0.75]]],
    }


def test_boxes_of_unknown_images(refuses, tree, tmp_path):
    (tmp_path / 'boxes' / 'n01').mkdir(parents=True)
    (tmp_path / 'boxes' / 'n01' / 'n01_99.xml').touch()
    folder = str(tmp_path / 'boxes')
    refuses(tree(), DataError, r'not there: n01/n01_99\.xml', bounding_box_dir=folder)


# Names, links and what lies about.


@pytest.mark.parametrize('place', ['train/n01/x.JPEG', 'train/n09', 'validation', 'validation/n09'])
def test_links_that_lead_nowhere(refuses, tree, place):
    raw = tree()
    if place == 'validation':
        (raw / 'validation').rename(raw / 'elsewhere')
    (raw / place).symlink_to('nowhere')
    name = place.rpartition('/')[2]
    refuses(raw, DataError, rf'1 links that lead nowhere: {name}\. Mend or remove')


def test_links_that_lead_somewhere_are_followed(tree, convert, tmp_path):
    raw = tree()
    (raw / 'train').rename(tmp_path / 'elsewhere')
    (raw / 'train').symlink_to(tmp_path / 'elsewhere')
    link = tmp_path / 'elsewhere' / 'n01' / 'n01_train_0.JPEG'
    link.rename(tmp_path / 'image')
    link.symlink_to(tmp_path / 'image')
    output, _ = convert(raw)
    assert read_description(str(output)).splits['train'].num_samples == 12


def test_what_is_no_file_is_no_image(refuses, tree):
    raw = tree()
    os.mkfifo(raw / 'train' / 'n01' / 'pipe.JPEG')  # To open it would hang.
    refuses(raw, DataError, r'entries that are no files: pipe\.JPEG')


CAFE = {form: unicodedata.normalize(form, 'café') for form in ('NFC', 'NFD')}


def test_two_forms_of_a_name_are_one_class(tree, convert):
    raw = tree()
    (raw / 'train' / 'n01').rename(raw / 'train' / CAFE['NFC'])
    (raw / 'validation' / 'n01').rename(raw / 'validation' / CAFE['NFD'])
    output, _ = convert(raw)
    about = read_description(str(output))
    assert about.label_names == ('background', CAFE['NFC'], 'n02', 'n03')
    assert about.splits['validation'].num_samples == 6


def test_two_forms_of_a_name_in_one_folder(refuses, tree):
    raw = tree()
    (raw / 'train' / 'n01').rename(raw / 'train' / CAFE['NFC'])
    (raw / 'train' / 'n02').rename(raw / 'train' / CAFE['NFD'])
    refuses(raw, DataError, r"two folders 'café'.*forms of Unicode \(NFC and NFD\)")


def test_class_names_that_are_not_utf8(refuses, tree):
    raw = tree()
    os.rename(raw / 'train' / 'n01', os.path.join(os.fsencode(raw / 'train'), b'caf\xe9'))
    refuses(raw, DataError, r"name that cannot be used: 'caf\\udce9'")


def test_file_names_that_are_not_utf8(tree, convert, read_back):
    raw = tree()
    folder = os.fsencode(raw / 'train' / 'n01')
    os.rename(folder + b'/n01_train_0.JPEG', folder + b'/caf\xe9.JPEG')
    output, _ = convert(raw)
    dataset = dataset_factory.get_dataset('imagenet', 'train', str(output))
    assert b'caf\xe9.JPEG' in {item['filename'] for item in read_back(dataset)}


# What need not be there.


@pytest.mark.parametrize('validation', ['validation', 'val'])
def test_a_set_to_evaluate_on(tree, convert, read_back, validation):
    raw = tree(validation=validation)
    shutil.rmtree(raw / 'train')
    output, messages = convert(raw)
    assert any('for evaluation only' in line for line in messages)
    about = read_description(str(output))
    assert (list(about.splits), about.num_classes) == (['validation'], 4)
    labels = _labels_by_file(output, 'validation', read_back)
    assert labels['n03_' + validation + '_1.JPEG'] == 3
    assert 'nothing to do' in convert(raw)[1][-1]


def test_a_flat_set_to_evaluate_on(flat_tree, convert, read_back):
    shutil.rmtree(flat_tree / 'train')
    lines = (flat_tree / 'synset_labels.txt').read_text().split()
    output, _ = convert(flat_tree)
    assert _labels_by_file(output, 'validation', read_back) == {
        f'val_{number:08d}.JPEG': int(synset[1:]) for number, synset in enumerate(lines)
    }


def test_val_is_validation(tree, convert):
    raw = tree('train', 'val')
    output, _ = convert(raw)
    assert list(read_description(str(output)).splits) == ['train', 'validation']


def test_two_folders_for_a_split(refuses, tree):
    raw = tree()
    (raw / 'val').mkdir()
    refuses(raw, DataError, 'holds both validation/ and val/')


# What the set is called.


def test_own_classes_are_not_imagenet(tree, convert, tmp_path):
    raw = tree()
    assert read_description(str(convert(raw)[0])).name == 'raw'
    shutil.rmtree(tmp_path / 'out')
    raw.rename(tmp_path / 'imagenet')
    assert read_description(str(convert(tmp_path / 'imagenet')[0])).name == 'my_imagenet'
    shutil.rmtree(tmp_path / 'out')
    assert read_description(str(convert(tmp_path / 'imagenet', name='ants')[0])).name == 'ants'


def test_the_thousand_synsets_are_imagenet(convert, monkeypatch, tree):
    monkeypatch.setattr(
        imagenet_writer, 'synsets_to_names', lambda: dict.fromkeys(sorted(_CLASSES))
    )
    assert read_description(str(convert(tree())[0])).name == 'imagenet'
