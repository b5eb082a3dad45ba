"""The best validation of a run, and its checkpoint beside the last ones."""

import json
import os

import pytest
import tensorflow.compat.v1 as tf

from runtime import options
from runtime.checkpoints import best
from runtime.checkpoints import files as files_lib
from slim import errors

pytestmark = pytest.mark.once
FOUND = best.Best('Accuracy', 0.5, 20, 1.5, 'best/model.ckpt-20', since=(30, 40))


def run_with(folder, *steps):
    """A folder with files that are called as those of checkpoints."""
    folder.mkdir(exist_ok=True)
    for step in steps:
        for suffix in ('.data-00000-of-00001', '.index', '.json'):
            (folder / f'model.ckpt-{step}{suffix}').write_text(f'{step}{suffix}')
    return str(folder)


def names(folder):
    return sorted(path.name for path in (folder / 'best').iterdir())


@pytest.mark.parametrize(
    ('metric', 'value', 'better'),
    [
        ('Accuracy', 0.6, True),
        ('Accuracy', 0.5, False),
        ('Accuracy', 0.4, False),
        ('loss', 0.4, True),
        ('loss', 0.5, False),
        ('loss', 0.6, False),
        ('loss', float('nan'), False),
        ('loss', float('inf'), False),
    ],
)
def test_what_is_better(metric, value, better):
    held = best.first(metric, 0.5, 20, 1.5, None)
    longer = held.with_validation(value, 50)
    assert (longer is None) == better
    if longer:
        assert longer.since == (50,) and longer.validated == 50


def test_anything_is_better_than_what_is_not_finite():
    held = best.first('loss', float('nan'), 20, 1.5, None)
    assert held.value is None and held.with_validation(9.0, 30) is None
    assert held.with_validation(float('nan'), 30).since == (30,)


def test_a_run_ends_at_a_value_or_by_patience():
    def end(found=FOUND, **asked):
        return found.end(options.ValidationOptions(**asked))

    assert end() == '' and end(early_stop_patience=3) == '' and end(stop_threshold=0.51) == ''
    assert '--early_stop_patience=2' in end(early_stop_patience=2)
    assert 'Accuracy 0.5 at step 20' in end(stop_threshold=0.5)
    loss = best.first('loss', 0.5, 20, 1.5, None)
    assert end(loss, stop_threshold=0.5) and end(loss, stop_threshold=0.6)
    assert end(loss, stop_threshold=0.4) == ''
    assert end(best.first('loss', float('nan'), 20, 1.5, None), stop_threshold=0.4) == ''


def test_a_run_that_goes_on_earlier_forgets_what_came_later():
    assert FOUND.at(30).since == (30,) and FOUND.at(20).since == () and FOUND.at(19) is None


def test_it_is_read_as_it_was_written(tmp_path):
    run = run_with(tmp_path, 20)
    assert best.read(run, 'Accuracy', False) == (None, '')
    best.keep(run, 20)
    best.write(run, FOUND)
    assert best.read(run, 'Accuracy', True) == (FOUND, '')
    none, why = best.read(run, 'loss', False)
    assert none is None and 'is of Accuracy, not of loss' in why
    for name in names(tmp_path):
        (tmp_path / 'best' / name).unlink()
    assert 'no checkpoint is kept' in best.read(run, 'Accuracy', True)[1]
    assert best.read(run, 'Accuracy', False)[0] == FOUND


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('metric', 'accuracy'),
        ('value', 'x'),
        ('value', float('nan')),
        ('step', -1),
        ('step', True),
        ('since', [1.5]),
        ('since', 7),
        ('epoch', None),
        ('checkpoint', '../../etc/model.ckpt-20'),
    ],
)
def test_what_a_stranger_may_have_written_is_not_used(tmp_path, name, value):
    best.write(str(tmp_path), FOUND)
    content = json.loads((tmp_path / 'best.json').read_text())
    (tmp_path / 'best.json').write_text(json.dumps({**content, name: value}))
    found, why = best.read(str(tmp_path), 'Accuracy', False)
    assert found is None and why.endswith('best.json is damaged')


@pytest.mark.parametrize('text', ['', '[]', '{}', '[' * 100_000, 'x' * 1_000_001])
def test_what_is_no_json_is_not_used(tmp_path, text):
    (tmp_path / 'best.json').write_text(text)
    assert best.read(str(tmp_path), 'Accuracy', False)[1].endswith('is damaged')


@pytest.mark.parametrize('links', [True, False])
def test_one_checkpoint_is_kept_and_outlives_that_of_the_run(tmp_path, monkeypatch, links):
    if not links:  # As on a file system without them.
        monkeypatch.setattr(os, 'link', lambda *paths: os.stat('/nowhere'))
    run = run_with(tmp_path, 2, 20, 200)
    for step in (20, 2):  # The second time of a run that was begun anew.
        best.keep(run, step)
        best.keep(run, step)
        assert names(tmp_path) == [
            'checkpoint',
            *(f'model.ckpt-{step}{end}' for end in ('.data-00000-of-00001', '.index', '.json')),
        ]
        assert tf.train.latest_checkpoint(f'{run}/best').endswith(f'best/model.ckpt-{step}')
    for name in os.listdir(run):
        if name.startswith('model.ckpt-'):
            os.remove(tmp_path / name)
    assert files_lib.find(f'{run}/best', 'checkpoint_path').endswith('best/model.ckpt-2')
    assert (tmp_path / 'best' / 'model.ckpt-2.index').read_text() == '2.index'


@pytest.mark.parametrize('files', range(3))
def test_a_keeping_that_was_killed_leaves_a_whole_one(tmp_path, monkeypatch, files):
    class Killed(BaseException):
        pass

    run = run_with(tmp_path, 2, 20)
    best.keep(run, 2)
    rename, left = tf.gfile.Rename, [files]

    def until_it_is_killed(*paths, **how):
        if not left[0]:
            raise Killed
        left[0] -= 1
        rename(*paths, **how)

    monkeypatch.setattr(tf.gfile, 'Rename', until_it_is_killed)
    with pytest.raises(Killed):
        best.keep(run, 20)
    assert files_lib.find(f'{run}/best', 'checkpoint_path').endswith('best/model.ckpt-2')
    monkeypatch.setattr(tf.gfile, 'Rename', rename)
    best.keep(run, 20)
    assert len(names(tmp_path)) == 4 and 'model.ckpt-20.index' in names(tmp_path)


def test_the_one_before_stays_where_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    run = run_with(tmp_path, 2, 20)
    best.keep(run, 2)
    monkeypatch.setattr(os, 'link', lambda *paths: os.stat('/nowhere'))
    os.symlink('/dev/full', tmp_path / 'best' / 'model.ckpt-20.index.tempstate0')
    monkeypatch.setattr(best.keeping, 'remove_left_over', lambda folder: [])
    with pytest.raises(errors.OutputError, match=r'model\.ckpt-20 cannot be written'):
        best.keep(run, 20)
    assert files_lib.find(f'{run}/best', 'checkpoint_path').endswith('best/model.ckpt-2')
