"""Checkpoints of a folder, told by the names of its files; what stays and what goes."""

import os
import random

import pytest

from runtime.checkpoints import files, keeping, listing
from slim import errors

pytestmark = pytest.mark.once


def make(folder, *prefixes, shards=1):
    """Empty files of checkpoints: their names are what is looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix in prefixes:
        (folder / f'{prefix}.index').write_text('')
        for shard in range(shards):
            (folder / f'{prefix}.data-{shard:05d}-of-{shards:05d}').write_text('')


def names(found):
    return [checkpoint.name for checkpoint in found]


@pytest.mark.parametrize(
    'state',
    [
        None,
        b'',
        b'\xff\x00{garbage',
        b'model_checkpoint_path: "/moved/away/model.ckpt-9"',
        b'model_checkpoint_path: "model.ckpt-2"\nall_model_checkpoint_paths: "model.ckpt-2"',
    ],
    ids=['lost', 'empty', 'garbage', 'elsewhere', 'an old one'],
)
def test_the_files_tell_whatever_the_state_file_says(tmp_path, state):
    make(tmp_path, 'model.ckpt-9', 'model.ckpt-10', 'model.ckpt-2')
    if state is not None:
        (tmp_path / 'checkpoint').write_bytes(state)
    expected = ['model.ckpt-10', 'model.ckpt-9', 'model.ckpt-2']
    assert names(listing.checkpoints(str(tmp_path))) == expected
    assert names(listing.resumable(str(tmp_path))) == expected
    assert files.find(str(tmp_path), 'checkpoint_path') == str(tmp_path / 'model.ckpt-10')


@pytest.mark.parametrize('name', ['lr=[0.1,0.2]', 'a*b', 'what?', 'back\\slash', 'ein Ordner', 'ä'])
def test_a_folder_may_have_any_name(tmp_path, name):
    make(tmp_path / name, 'model.ckpt-3')
    assert files.find(str(tmp_path / name), 'f') == str(tmp_path / name / 'model.ckpt-3')
    assert files.find(str(tmp_path / name) + '/', 'f') == str(tmp_path / name / 'model.ckpt-3')
    with files.openable(str(tmp_path / name / 'model.ckpt-3')) as opened:
        assert os.path.exists(f'{opened}.index')
        assert os.path.exists(f'{opened}.data-00000-of-00001')
        assert not set(opened) & set('[]*?\\')
    assert os.listdir(tmp_path / name) == [f'model.ckpt-3{s}' for s in _suffixes(tmp_path / name)]


def _suffixes(folder):
    return [name.removeprefix('model.ckpt-3') for name in os.listdir(folder)]


def test_published_checkpoints_need_no_state_file(tmp_path):
    make(tmp_path, 'mobilenet_v2_1.0_224.ckpt')
    prefix = str(tmp_path / 'mobilenet_v2_1.0_224.ckpt')
    assert files.find(str(tmp_path), 'f') == prefix
    # It is a start for fine-tuning, not the end of a run in this folder.
    assert listing.resumable(str(tmp_path)) == []
    (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "mobilenet_v2_1.0_224.ckpt"\n')
    assert names(listing.resumable(str(tmp_path))) == ['mobilenet_v2_1.0_224.ckpt']


def test_a_checkpoint_of_one_file_is_found_in_its_folder(tmp_path):
    (tmp_path / 'inception_v3.ckpt').write_text('')
    (tmp_path / 'other.ckpt').mkdir()
    assert files.find(str(tmp_path), 'f') == str(tmp_path / 'inception_v3.ckpt')


def test_among_names_without_a_step_the_state_file_chooses_and_then_the_time(tmp_path):
    make(tmp_path, 'b.ckpt', 'a.ckpt')
    os.utime(tmp_path / 'a.ckpt.index', (2e9, 2e9))
    assert names(listing.checkpoints(str(tmp_path))) == ['a.ckpt', 'b.ckpt']
    (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "/elsewhere/b.ckpt"\n')
    assert names(listing.checkpoints(str(tmp_path))) == ['b.ckpt', 'a.ckpt']


def test_those_of_training_come_first_and_others_by_their_step(tmp_path):
    make(tmp_path, 'other-7', 'other-12', 'zoo.ckpt')
    assert names(listing.checkpoints(str(tmp_path))) == ['other-12', 'other-7', 'zoo.ckpt']
    make(tmp_path, 'model.ckpt-3')
    assert names(listing.checkpoints(str(tmp_path)))[0] == 'model.ckpt-3'


def test_an_unfinished_save_is_none_and_a_missing_part_is_named(tmp_path):
    make(tmp_path, 'model.ckpt-3', shards=3)
    (tmp_path / 'model.ckpt-5.data-00000-of-00001').write_text('')
    (found,) = listing.checkpoints(str(tmp_path))
    assert (found.name, found.missing) == ('model.ckpt-3', '')
    (tmp_path / 'model.ckpt-3.data-00001-of-00003').unlink()
    with pytest.raises(errors.CheckpointError, match=r'ckpt-3.data-00001-of-00003 is missing'):
        files.find(str(tmp_path), 'f')


@pytest.mark.parametrize(
    ('given', 'near'),
    [
        ('mobilenet_v2_1.0_224', 'mobilenet_v2_1.0_224.ckpt'),
        ('mobilnet_v2_1.0_224.ckpt', 'mobilenet_v2_1.0_224.ckpt'),
        ('model', 'model.ckpt-12345678'),
    ],
)
def test_a_prefix_that_is_not_there_gets_a_near_name(tmp_path, given, near):
    make(tmp_path, 'mobilenet_v2_1.0_224.ckpt', 'model.ckpt-12345678')
    with pytest.raises(errors.CheckpointError, match='Did you mean') as failure:
        files.find(str(tmp_path / given), 'checkpoint_path')
    assert str(tmp_path / near) in str(failure.value)


def test_only_own_files_of_this_folder_go_and_by_their_exact_names(tmp_path):
    run, sibling = tmp_path / 'lr=[12]', tmp_path / 'lr=1'
    make(run, *(f'model.ckpt-{step}' for step in (1, 2, 3, 10, 11)), 'best-1', 'model.ckpt-1-copy')
    for suffix in ('json', 'meta'):
        (run / f'model.ckpt-1.{suffix}').write_text('')
    (run / 'model.ckpt-1.notes').write_text('mine')
    make(sibling, 'model.ckpt-1', 'model.ckpt-2')
    (run / 'checkpoint').write_text(f'all_model_checkpoint_paths: "{sibling}/model.ckpt-1"\n')
    keeping.saved(str(run), 11, keep=2)
    left = {listing.prefix_of(name) for name in os.listdir(run)}
    assert left == {
        *('model.ckpt-10', 'model.ckpt-11', 'best-1', 'model.ckpt-1-copy'),
        *('model.ckpt-1.notes', 'checkpoint'),
    }
    assert len(os.listdir(sibling)) == 4
    assert (run / 'checkpoint').read_text() == (
        'model_checkpoint_path: "model.ckpt-11"\n'
        'all_model_checkpoint_paths: "model.ckpt-10"\n'
        'all_model_checkpoint_paths: "model.ckpt-11"\n'
    )


def test_zero_keeps_all_and_a_later_damaged_one_does_not_push_out_the_newest(tmp_path):
    make(tmp_path, *(f'model.ckpt-{step}' for step in range(1, 9)))
    keeping.saved(str(tmp_path), 8, keep=0)
    assert len(listing.checkpoints(str(tmp_path))) == 8
    keeping.saved(str(tmp_path), 6, keep=1)
    left = names(listing.checkpoints(str(tmp_path)))
    assert left == ['model.ckpt-8', 'model.ckpt-7', 'model.ckpt-6']


def test_what_unfinished_saves_have_left_goes_and_nothing_else(tmp_path):
    make(tmp_path, 'model.ckpt-3')
    ours = [
        'model.ckpt-3.index.tempstate123',
        'model.ckpt-4.data-00000-of-00001',
        'model.ckpt-4.data-00000-of-00001.tempstate99',
        'model.ckpt-4.json',
    ]
    others = ['mine.data-00000-of-00001', 'x.tempstate12', 'model.ckpt-4.meta', 'notes.json']
    for name in ours + others:
        (tmp_path / name).write_text('')
    before = set(os.listdir(tmp_path))
    assert keeping.remove_left_over(str(tmp_path)) == sorted(ours)
    assert set(os.listdir(tmp_path)) == before - set(ours)


def _state(random_numbers):
    """A state file that somebody or something has made."""
    pieces = [
        b'model_checkpoint_path: ',
        b'all_model_checkpoint_paths: ',
        b'"a.ckpt"',
        b'"/x/y/b.ckpt"',
        b'"../../etc/passwd"',
        b'"unclosed',
        b'\n',
        b'\x00\xff\xc3',
        b'{' * 500,
        b'x' * 3000,
        random_numbers.randbytes(random_numbers.randrange(40)),
    ]
    return b''.join(random_numbers.choices(pieces, k=random_numbers.randrange(12)))


def _many_states(tmp_path, count, seed):
    make(tmp_path, 'a.ckpt', 'b.ckpt')
    numbers = random.Random(seed)
    chosen = set()
    for _ in range(count):
        (tmp_path / 'checkpoint').write_bytes(_state(numbers))
        prefix = files.find(str(tmp_path), 'f')
        assert os.path.dirname(prefix) == str(tmp_path)
        chosen.add(os.path.basename(prefix))
        for checkpoint in listing.resumable(str(tmp_path)):
            assert checkpoint.name in ('a.ckpt', 'b.ckpt')
    assert chosen == {'a.ckpt', 'b.ckpt'}


def test_no_state_file_leads_out_of_its_folder(tmp_path):
    _many_states(tmp_path, 1000, seed=1)


@pytest.mark.slow
def test_no_state_file_of_many_leads_out_of_its_folder(tmp_path):
    _many_states(tmp_path, 5000, seed=2)


def test_a_state_file_that_is_a_pipe_or_huge_is_not_waited_for(tmp_path):
    make(tmp_path, 'a.ckpt', 'b.ckpt')
    os.mkfifo(tmp_path / 'checkpoint')
    assert listing.named_by_state_file(str(tmp_path)) == ''
    os.unlink(tmp_path / 'checkpoint')
    with open(tmp_path / 'checkpoint', 'wb') as file:
        file.truncate(10**10)
    assert listing.named_by_state_file(str(tmp_path)) == ''
