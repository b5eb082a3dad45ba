"""An evaluation that waits for the checkpoints of a run."""

import json

import pytest

from runtime import options
from runtime.checkpoints import best
from runtime.results import following
from runtime.workers import cluster
from slim import errors

pytestmark = pytest.mark.once


class Waiting:
    """A clock on which only sleeping takes time, and a run that saves meanwhile."""

    def __init__(self, folder, saves):
        self.folder, self.saves, self.now = folder, dict(saves), 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, secs):
        assert secs > 0
        self.now += secs
        for moment in [moment for moment in self.saves if 1000 + moment <= self.now]:
            save(self.folder, self.saves.pop(moment))


def save(folder, step, parts=('.data-00000-of-00001', '.index')):
    folder.mkdir(exist_ok=True)
    for part in parts:
        (folder / f'model.ckpt-{step}{part}').touch()


def told(folder, **flags):
    start = {'flags': flags, 'dataset': {}, 'workers': []}
    (folder / 'run.json').write_text(json.dumps({'starts': [start]}))


def follow(monkeypatch, folder, saves=(), interval=10, timeout=100, during=lambda name: None):
    monkeypatch.setattr(following, 'time', Waiting(folder, saves))
    run = options.EvaluationRunOptions(
        checkpoint_path=str(folder), eval_interval_secs=interval, timeout_secs=timeout
    )
    following.check(run)
    seen = []

    def evaluate(prefix):
        assert prefix.startswith(f'{folder}/model.ckpt-')
        seen.append((int(prefix.rpartition('-')[2]), following.time.now - 1000))
        during(prefix)

    following.follow(run, cluster.SingleProcess(), evaluate)
    return seen


def test_each_is_evaluated_once_and_a_long_silence_ends_it(tmp_path, monkeypatch, capsys):
    run = tmp_path / 'run'  # Which is not there yet.
    assert follow(monkeypatch, run, {25: 100, 95: 200}) == [(100, 30.0), (200, 100.0)]
    assert capsys.readouterr().out == 'no new checkpoint in 100 seconds (--timeout_secs)\n'
    # What is there already comes in the order of steps, and what is unfinished does not count.
    save(run, 50)
    save(run, 300, ['.index'])
    save(run, 400, ['.data-00000-of-00001'])
    assert follow(monkeypatch, run) == [(50, 0.0), (100, 0.0), (200, 0.0)]


def test_one_that_comes_during_an_evaluation_is_next(tmp_path, monkeypatch):
    save(tmp_path, 1)
    told(tmp_path, max_number_of_steps=3)
    found = follow(monkeypatch, tmp_path, during=lambda prefix: save(tmp_path, 3))
    assert found == [(1, 0.0), (3, 0.0)]


@pytest.mark.parametrize(
    'flags',
    [
        {'max_number_of_steps': 200},
        {'max_number_of_steps': 900, 'early_stop_patience': 2},
        {'max_number_of_steps': 900, 'stop_threshold': 0.5, 'early_stop_patience': None},
    ],
)
def test_the_end_of_the_training_ends_it(tmp_path, monkeypatch, capsys, flags):
    told(tmp_path, **flags)
    best.write(str(tmp_path), best.Best('Accuracy', 0.5, 50, 1.0, None, since=(100, 200)))
    assert follow(monkeypatch, tmp_path, {5: 200}, timeout=None) == [(200, 10.0)]
    assert capsys.readouterr().out == 'the training has ended at step 200\n'


@pytest.mark.parametrize(
    'flags',
    [
        {},
        {'max_number_of_steps': 'x'},
        {'max_number_of_steps': 900, 'early_stop_patience': 2},
        {'max_number_of_steps': 900, 'early_stop_patience': 2, 'keep_best': 'loss'},
    ],
)
def test_a_run_that_does_not_say_so_is_waited_for(tmp_path, monkeypatch, capsys, flags):
    told(tmp_path, **flags)
    # Of a run before this one, say: nothing of it is at step 200.
    best.write(str(tmp_path), best.Best('Accuracy', 0.5, 50, 1.0, None, since=(100, 300)))
    assert follow(monkeypatch, tmp_path, {5: 200}, interval=300, timeout=400) == [(200, 300.0)]
    assert 'no new checkpoint' in capsys.readouterr().out
    (tmp_path / 'run.json').write_text('{')
    assert follow(monkeypatch, tmp_path) == [(200, 0.0)]


def test_no_checkpoint_at_all_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(errors.CheckpointError, match=r'no checkpoint in 7 seconds'):
        follow(monkeypatch, tmp_path, timeout=7)
    assert following.time.now == 1007


def test_flags_that_do_not_go_together(tmp_path):
    save(tmp_path, 5)
    with pytest.raises(errors.UsageError, match='--timeout_secs=5 has no effect'):
        following.check(options.EvaluationRunOptions(timeout_secs=5))
    for path in ('model.ckpt-5', 'model.ckpt-5.index'):
        run = options.EvaluationRunOptions(
            checkpoint_path=str(tmp_path / path), eval_interval_secs=5
        )
        with pytest.raises(errors.UsageError, match='is one checkpoint'):
            following.check(run)
