"""Log lines: rates over the steps since the last line, the slow first step left out."""

import itertools
import json

import pytest
import tensorflow.compat.v1 as tf

from runtime.training import doubts as doubts_lib
from runtime.training import monitor, schedules


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(monitor.time, 'monotonic', lambda: Clock.now)
    return Clock


def watched(folder, clock, seconds, first_step=0, every=2):
    """Steps that take `seconds` each, watched by a Monitor; returns the records it wrote."""
    length = schedules.RunLength(total_steps=10, images_per_step=8, images_per_epoch=20)
    with tf.Graph().as_default():
        watching = monitor.Monitor(str(folder), length, every, summary_secs=1000)
        watching.start(first_step)
        for step, taken in zip(itertools.count(first_step + 1), seconds, strict=False):
            clock.now += taken
            watching.after_step(monitor.StepReport(step, 2.0, 0.5, {}))
        watching.close()
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def test_the_first_step_of_a_session_counts_in_no_rate(tmp_path, clock):
    records = watched(tmp_path, clock, [60.0, 0.5, 0.5, 1.5])
    assert [record['step'] for record in records] == [2, 4]
    assert [record['sec_per_step'] for record in records] == [0.5, 1.0]
    assert [record['images_per_sec'] for record in records] == [16.0, 8.0]
    assert [record['epoch'] for record in records] == [0.8, 1.6]


def test_steps_that_are_told_together_count_from_when_each_was_done(tmp_path, clock):
    length = schedules.RunLength(total_steps=10, images_per_step=8, images_per_epoch=20)
    with tf.Graph().as_default():
        watching = monitor.Monitor(str(tmp_path), length, 3, summary_secs=1000)
        watching.start(0)
        for run in range(2):
            clock.now += 8.0
            for number in range(4):
                late = 2.0 * (3 - number)
                step = 4 * run + number + 1
                watching.after_step(monitor.StepReport(step, 2.0, 0.5, {}, 0.5, late=late))
        watching.close()
    records = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
    assert [(line['step'], line['sec_per_step']) for line in records] == [(3, 2.0), (6, 2.0)]
    assert [line['data_wait'] for line in records] == [0.25, 0.25]


def test_a_first_step_that_is_logged_tells_its_own_time(tmp_path, clock):
    records = watched(tmp_path, clock, [60.0, 1.0], every=1)
    assert [record['sec_per_step'] for record in records] == [60.0, 1.0]


def test_a_resumed_run_goes_on_counting_where_it_stopped(tmp_path, clock, capsys):
    records = watched(tmp_path, clock, [60.0, 0.25, 0.25], first_step=5, every=4)
    assert [(record['step'], record['sec_per_step']) for record in records] == [(8, 0.25)]
    assert capsys.readouterr().out == (
        'global step 8: loss = 2.0000 (0.250 sec/step)  32.0 images/sec  learning rate 0.5  '
        'epoch 3.20  waiting for data 0%  time left 0:00:00\n'
    )


def test_the_last_step_is_logged_even_off_the_beat(tmp_path, clock):
    records = watched(tmp_path, clock, [1.0] * 3, first_step=7, every=100)
    assert [record['step'] for record in records] == [10]


def points(folder):
    """Step to tags, of what TensorBoard got."""
    (events,) = folder.glob('events.out.tfevents.*')
    return {
        event.step: {value.tag: value.simple_value for value in event.summary.value}
        for event in tf.train.summary_iterator(str(events))
        if event.summary.value
    }


@pytest.mark.parametrize(
    ('seconds', 'every', 'steps'),
    [
        ([60.0, 0.5, 0.5], 1, [1, 3]),
        ([60.0, 0.5, 0.5, 0.5, 0.5], 2, [1, 5]),  # stopped off the beat
        ([60.0], 100, [1]),
        ([60.0] + [0.5] * 9, 100, [1, 10]),
        ([60.0, 0.5, 2000.0, 0.5], 1, [1, 3, 4]),  # one is due in between
    ],
)
def test_tensorboard_has_the_first_and_the_last_step(tmp_path, clock, seconds, every, steps):
    if every == 100 and len(seconds) < 10:
        (tmp_path / 'metrics.jsonl').touch()
    watched(tmp_path, clock, seconds, every=every)
    found = points(tmp_path)
    assert sorted(found) == steps
    assert all(tags['total_loss'] == 2.0 for tags in found.values())
    # The rate of a first step that is not logged is that of a start.
    if len(steps) > 1:
        assert ('examples/sec' in found[1]) == (every == 1)
        assert found[steps[-1]]['examples/sec'] == 16.0


def doubts(reports, total_steps=1000):
    looking = doubts_lib.Doubts(total_steps)
    return [doubt for report in reports for doubt in looking.look_at(*report)]


def reports(steps, loss=lambda step: 1.0 / step, rate=lambda step: 0.1, labels=lambda step: (0, 3)):
    return [(step, loss(step), rate(step), labels(step)) for step in range(1, steps + 1)]


def test_nothing_is_doubted_in_a_sound_run():
    # A warm-up begins at rate 0, and a batch may happen to be of one class.
    sound = reports(
        300, rate=lambda step: (step - 1) / 100, labels=lambda step: (step % 2, step % 2)
    )
    assert doubts(sound) == []
    assert doubts(reports(300, loss=lambda step: 1.0 + step % 2)) == []
    # Steps at rate 0 in the middle of a run are those of its schedule.
    assert doubts(reports(300, rate=lambda step: 0.1 if step < 9 else 0.0)) == []


@pytest.mark.parametrize(('steps', 'total'), [(200, 1000), (2, 2), (1, 1)])
def test_a_rate_of_zero_is_doubted_once(steps, total):
    (doubt,) = doubts(reports(steps, rate=lambda step: 0.0), total)
    assert f'learning rate is 0 at step {min(steps, 3)}' in doubt


def test_labels_of_one_class_are_doubted_once():
    (doubt,) = doubts(reports(50, labels=lambda step: (7, 7)))
    assert 'all labels of the first 10 batches are 7' in doubt
    assert doubts(reports(50, labels=lambda step: (7, 7 + (step == 10)))) == []
    assert doubts(reports(50, labels=lambda step: None)) == []


def test_a_loss_that_stays_is_doubted_once():
    (doubt,) = doubts(reports(500, loss=lambda step: 2.5))
    assert doubt == 'the loss has not changed for 100 steps'
    assert doubts(reports(500, loss=lambda step: step // 99)) == []


def test_doubts_stand_in_the_log(tmp_path, clock, capsys):
    (tmp_path / 'metrics.jsonl').touch()
    watched(tmp_path, clock, [1.0] * 120, first_step=10, every=1000)
    out = capsys.readouterr().out
    assert out.count('warning: the loss has not changed for 100 steps\n') == 1
