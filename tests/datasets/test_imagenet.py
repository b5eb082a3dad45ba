from __future__ import annotations

import dataclasses
import inspect
import json

import pytest
import tensorflow as tf

from datasets import dataset_factory, imagenet
from datasets.records.description import Split
from slim.errors import DataError, UsageError

_DESCRIBED = {
    'name': 'pets',
    'num_classes': 3,
    'has_background': True,
    'label_names': ['background', 'cat', 'dog'],
    'splits': {'train': {'num_samples': 5, 'num_shards': 2}, 'test': {'num_samples': 2}},
}


@pytest.fixture
def folder(tmp_path, write_records):
    """train: 5 records in 2 files, flat; validation: 3 in 3 files, in its own folder."""
    write_records(tmp_path / 'train-00000-of-00002', [1, 2, 3])
    write_records(tmp_path / 'train-00001-of-00002', [4, 5])
    for index in range(3):
        write_records(tmp_path / 'validation' / f'validation-{index:05d}-of-00003', [index])
    return tmp_path


def _get(folder, split='train', **kwargs):
    return dataset_factory.get_dataset('imagenet', split, str(folder), **kwargs)


def _names(dataset):
    return [source.rsplit('/', 1)[1] for source in dataset.data_sources]


def _describe(folder, **changes):
    (folder / 'dataset.json').write_text(json.dumps(_DESCRIBED | changes))


def test_classic_signatures():
    for function, expected in (
        (dataset_factory.get_dataset, ['name', 'split_name', 'dataset_dir']),
        (imagenet.get_split, ['split_name', 'dataset_dir']),
    ):
        parameters = inspect.signature(function).parameters
        assert list(parameters) == [*expected, 'file_pattern', 'reader']
        assert parameters['file_pattern'].default is parameters['reader'].default is None


def test_what_is_there_is_counted_where_it_is_far_from_the_published(folder, capsys):
    train, validation = _get(folder), _get(folder, 'validation')
    assert (train.num_samples, validation.num_samples) == (5, 3)
    notes = capsys.readouterr().err.splitlines()
    assert 'no dataset.json. It has 5 records of the split' in notes[0]
    assert 'not the 1281167 of imagenet' in notes[0] and 'not the 50000 of imagenet' in notes[1]
    assert train.num_classes == 1001
    assert train.has_background
    assert train.labels_to_names == imagenet.create_readable_names_for_imagenet_labels()
    assert (train.name, train.split_name) == ('imagenet', 'train')


def test_published_numbers_without_a_description(folder, monkeypatch, capsys):
    """Nothing is counted where the files can be the published ones."""
    splits = {'train': Split(6), 'validation': Split(4)}
    published = dataclasses.replace(imagenet.PUBLISHED, splits=splits)
    monkeypatch.setattr(imagenet, 'PUBLISHED', published)
    train, validation = _get(folder), _get(folder, 'validation')
    assert (train.num_samples, validation.num_samples) == (6, 4)
    assert train.num_classes == 1001
    assert capsys.readouterr().err == ''


def test_the_folder_of_a_split_is_no_set(folder):
    """Its dataset.json lies one level up; it is not taken for ImageNet."""
    _describe(folder, splits={'train': {'num_samples': 5}, 'validation': {'num_samples': 3}})
    for name in ('validation', 'validation/'):
        with pytest.raises(DataError, match=rf"split 'validation' of the set 'pets'.*={folder}"):
            _get(f'{folder}/{name}', 'validation')
    with pytest.raises(DataError, match="split 'validation' of the set 'pets'"):
        dataset_factory.get_description('imagenet', f'{folder}/validation')
    (folder / 'other').mkdir()
    (folder / 'other' / 'train-00000-of-00001').write_bytes(b'')
    with pytest.raises(DataError, match='have no records'):
        _get(folder / 'other')


def test_a_labels_file_of_another_set_leads_to_the_description(folder):
    (folder / 'labels.txt').write_text('0:cat\n1:dog\n')
    with pytest.raises(DataError, match=r'own write that file, else mend this one') as failure:
        _get(folder)
    assert 'as there is no dataset.json' in str(failure.value)


def test_a_record_file_that_is_a_dead_link(folder):
    (folder / 'train-00001-of-00002').unlink()
    (folder / 'train-00001-of-00002').symlink_to('nowhere')
    with pytest.raises(DataError, match=r'train-00001-of-00002 cannot be read.*link'):
        _get(folder)


def test_a_description_that_is_nested_too_deeply(folder):
    (folder / 'dataset.json').write_text('[' * 100_000)
    with pytest.raises(DataError, match=r'dataset\.json is not JSON'):
        _get(folder)


@pytest.mark.parametrize('name', ['../train', '/etc', 'a/b', '..', '*', 'x\n', '', 'x' * 65])
def test_a_split_cannot_lead_out_of_the_folder(folder, name):
    _describe(folder, splits={name: {'num_samples': 1}})
    with pytest.raises(DataError, match='the name of a split must be'):
        _get(folder)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'num_classes': 2**40}, 'at most'),
        ({'name': 'a\x1b[2J'}, 'printable'),
        ({'name': 'x' * 999}, 'at most'),
    ],
)
def test_values_without_measure(folder, changes, message):
    _describe(folder, **changes)
    with pytest.raises(DataError, match=message) as failure:
        _get(folder)
    assert '\x1b' not in str(failure.value)


def test_flat_and_nested_files_in_order(folder, read_back):
    train, validation = _get(folder), _get(folder, 'validation')
    assert _names(train) == ['train-00000-of-00002', 'train-00001-of-00002']
    assert _names(validation) == [f'validation-0000{index}-of-00003' for index in range(3)]
    assert [item['label'] for item in read_back(train)] == [1, 2, 3, 4, 5]


def test_no_tensor_is_made(folder):
    with tf.Graph().as_default() as graph:
        _get(folder)
        assert graph.get_operations() == []


def test_nothing_is_written(folder):
    before = sorted(folder.rglob('*'))
    _get(folder)
    assert sorted(folder.rglob('*')) == before


def test_description_overrides_the_published_numbers(folder):
    _describe(folder)
    train = _get(folder)
    assert (train.name, train.num_samples, train.num_classes) == ('pets', 5, 3)
    assert train.labels_to_names == {0: 'background', 1: 'cat', 2: 'dog'}


def test_labels_file_names_labels(folder):
    names = {label: f'thing: {label}' for label in range(1001)}
    (folder / 'labels.txt').write_text(''.join(f'{k}:{v}\n' for k, v in names.items()))
    assert _get(folder).labels_to_names == names


@pytest.mark.parametrize('line', ['tench', 'one:x', '-1:x'])
def test_malformed_labels_file(folder, line):
    (folder / 'labels.txt').write_text(f'0:background\n{line}\n')
    with pytest.raises(DataError, match=r'labels\.txt, line 2: .*' + line):
        _get(folder)


def test_labels_file_of_the_wrong_length(folder):
    (folder / 'labels.txt').write_text('0:background\n1:tench\n')
    with pytest.raises(DataError, match=r'labels\.txt names 2 labels, but .* 1001 classes'):
        _get(folder)


def test_readable_names():
    names = imagenet.create_readable_names_for_imagenet_labels()
    assert list(names) == list(range(1001))
    known = {
        0: 'background',
        1: 'tench, Tinca tinca',
        2: 'goldfish, Carassius auratus',
        283: 'tiger cat',
        1000: 'toilet tissue, toilet paper, bathroom tissue',
    }
    assert {label: names[label] for label in known} == known
    synsets = list(imagenet.synsets_to_names())
    assert synsets == sorted(set(synsets))
    assert all(len(synset) == 9 and synset[0] == 'n' for synset in synsets)


def test_described_synsets_become_readable_where_wanted(folder, monkeypatch):
    _describe(folder, label_names=['background', 'n02123159', 'dog'])
    assert _get(folder).labels_to_names == {0: 'background', 1: 'tiger cat', 2: 'dog'}
    monkeypatch.setattr(imagenet, 'LOAD_READABLE_NAMES', False)
    assert _get(folder).labels_to_names == {0: 'background', 1: 'n02123159', 2: 'dog'}
    (folder / 'dataset.json').unlink()
    assert _get(folder).labels_to_names is None


def test_a_described_set_without_names_has_none(folder):
    _describe(folder, label_names=None)
    assert _get(folder).labels_to_names is None


@pytest.mark.parametrize('pattern', ['train-*', '%s-*', '%s-?????-of-00002'])
def test_file_patterns(folder, pattern):
    train = _get(folder, file_pattern=pattern)
    assert _names(train) == ['train-00000-of-00002', 'train-00001-of-00002']
    assert train.num_samples == 5


def test_a_part_chosen_by_pattern_is_counted(folder):
    assert _get(folder, file_pattern='train-00000-*').num_samples == 3
    _describe(folder)
    assert _get(folder, file_pattern='%s-00001-*').num_samples == 2


def test_files_of_other_names_are_counted(folder, write_records):
    write_records(folder / 'mine.tfrecord', [1, 1, 1, 1])
    assert _get(folder, file_pattern='mine.tfrecord').num_samples == 4


def test_signs_of_patterns_in_the_folder_are_literal(tmp_path, write_records):
    write_records(tmp_path / 'set[1]*' / 'train-00000-of-00001', [1])
    assert len(_get(tmp_path / 'set[1]*').data_sources) == 1


def test_unfinished_and_strange_files_are_no_shards(folder):
    (folder / '.train-00000-of-00002.77.tmp').touch()
    (folder / 'train-notes.txt').touch()
    assert len(_get(folder).data_sources) == 2


@pytest.mark.parametrize('reader', [None, tf.compat.v1.TFRecordReader])
def test_classic_readers(folder, reader):
    assert _get(folder, reader=reader).num_samples == 5


def test_other_readers_are_refused(folder):
    with pytest.raises(UsageError, match='TextLineReader'):
        _get(folder, reader=tf.compat.v1.TextLineReader)


# What can be wrong.


def test_unknown_dataset(folder):
    with pytest.raises(UsageError, match=r"'imagnet'.*'imagenet'"):
        dataset_factory.get_dataset('imagnet', 'train', str(folder))


@pytest.mark.parametrize(
    ('split', 'described', 'hint'),
    [('validate', False, "Did you mean 'validation'"), ('validation', True, 'train, test')],
)
def test_unknown_split(folder, split, described, hint):
    if described:
        _describe(folder)
    with pytest.raises(UsageError, match=f'Unknown split {split!r}.*{hint}'):
        _get(folder, split)


@pytest.mark.parametrize('dataset_dir', [None, ''])
def test_no_folder_given(dataset_dir):
    with pytest.raises(UsageError, match='--dataset_dir'):
        dataset_factory.get_dataset('imagenet', 'train', dataset_dir)


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r'no dataset folder .*nowhere'):
        _get(tmp_path / 'nowhere')


def test_a_file_for_a_folder(folder):
    with pytest.raises(DataError, match='no dataset folder'):
        _get(folder / 'train-00000-of-00002')


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match='is empty'):
        _get(tmp_path)


def test_split_without_files_says_what_is_there(folder):
    _describe(folder)
    with pytest.raises(DataError, match=r"split 'test'.*test-\?.*found dataset\.json, train-00000"):
        _get(folder, 'test')


def test_pattern_without_files(folder):
    with pytest.raises(DataError, match=r'looked for other-\*'):
        _get(folder, file_pattern='other-*')


def test_missing_shards_are_named(folder):
    (folder / 'validation' / 'validation-00001-of-00003').unlink()
    with pytest.raises(DataError, match='lacks 1 of 3 shards: validation-00001-of-00003'):
        _get(folder, 'validation')


def test_mixed_sets(folder, write_records):
    write_records(folder / 'train-00000-of-00001', [1])
    with pytest.raises(DataError, match='mixes sets of 00001 and 00002 shards'):
        _get(folder)


def test_the_same_split_in_two_places(folder, write_records):
    write_records(folder / 'train' / 'train-00000-of-00001', [1])
    with pytest.raises(DataError, match='both in itself and in train/'):
        _get(folder)


def test_other_number_of_shards_than_described(folder):
    _describe(folder, splits={'train': {'num_samples': 5, 'num_shards': 4}})
    with pytest.raises(DataError, match=r'holds 2 shards, but dataset.json says 4'):
        _get(folder)


def test_cut_off_file_is_found_when_counted(folder):
    path = folder / 'train-00000-of-00002'
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match='train-00000-of-00002 ends inside record 2'):
        _get(folder, file_pattern='train-00000-*')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'num_classes': 'ten'}, "'num_classes' must be a whole number of at least 2, not ten"),
        ({'num_classes': True}, "'num_classes' must be a whole number"),
        ({'num_classes': 1}, "'num_classes' must be .* at least 2"),
        ({'has_background': 1}, "'has_background' must be true or false, not 1"),
        ({'name': 3}, "'name' must be a string"),
        ({'label_names': ['cat']}, "'label_names' must be a list of 3 strings.*not 1 entries"),
        ({'label_names': 'cat'}, "'label_names' must be a list, not cat"),
        ({'splits': {}}, "'splits' must be an object with at least one"),
        ({'splits': ['train']}, "'splits' must be an object"),
        ({'splits': {'train': 5}}, "'splits.train' must be an object"),
        ({'splits': {'train': {}}}, "'splits.train.num_samples' is missing"),
        ({'splits': {'train': {'num_samples': 0}}}, "'splits.train.num_samples' must be .* not 0"),
        (
            {'splits': {'train': {'num_samples': 1, 'num_shards': 1.5}}},
            "'splits.train.num_shards' must be .* not 1.5",
        ),
    ],
)
def test_malformed_description_names_the_key(folder, changes, message):
    _describe(folder, **changes)
    with pytest.raises(DataError, match=r'dataset\.json: .*' + message):
        _get(folder)


@pytest.mark.parametrize('key', ['name', 'num_classes', 'has_background', 'splits'])
def test_missing_key(folder, key):
    content = {k: v for k, v in _DESCRIBED.items() if k != key}
    (folder / 'dataset.json').write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"the key '{key}' is missing"):
        _get(folder)


@pytest.mark.parametrize('content', [b'{"name": ', b'\xff\xfe', b''])
def test_description_that_is_no_json(folder, content):
    (folder / 'dataset.json').write_bytes(content)
    with pytest.raises(DataError, match=r'dataset\.json is not JSON'):
        _get(folder)
