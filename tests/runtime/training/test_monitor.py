"""Log lines: rates over the steps since the last line, the slow first step left out."""

import fcntl
import itertools
import json
import os
import struct
import sys
import termios

import pytest
import tensorflow.compat.v1 as tf

from runtime.checkpoints import best as best_lib
from runtime.training import doubts as doubts_lib
from runtime.training import monitor, schedules, validation


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


def outcome(step, best_step=None, **values):
    found = best_lib.Best('Accuracy', values['Accuracy'], best_step or step, 1.0, None)
    return validation.Outcome(step, 0.8, 30, values, 4.0, found)


def test_a_validation_is_in_no_rate_and_beside_the_steps(tmp_path, clock, capsys):
    length = schedules.RunLength(total_steps=4, images_per_step=8, images_per_epoch=20)
    with tf.Graph().as_default():
        watching = monitor.Monitor(str(tmp_path), length, 2, summary_secs=1000)
        watching.start(0)
        for step in range(1, 5):
            clock.now += 0.5
            watching.after_step(monitor.StepReport(step, 2.0, 0.5, {}))
            if step in (2, 3):  # With a log line, and between two.
                clock.now += 50.0
                watching.after_validation(outcome(step, Accuracy=0.25, loss=float('nan')))
                watching.paused(50.0)
        clock.now += 7.0
        watching.close()
    rows = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
    steps = [row for row in rows if 'kind' not in row]
    assert [row['sec_per_step'] for row in steps] == [0.5, 0.5]
    assert [row['step'] for row in rows if row.get('kind') == 'validation'] == [2, 3]
    assert rows[1]['loss'] is None and rows[1]['Accuracy'] == 0.25
    assert 'Accuracy 0.2500, loss nan on 30 images (4.0 s), the best' in capsys.readouterr().out


class Terminal:
    """A pseudo-terminal in place of standard output."""

    def __init__(self, monkeypatch, columns):
        self._reading, writing = os.openpty()
        fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack('4H', 24, columns, 0, 0))
        self._stream = os.fdopen(writing, 'w')
        monkeypatch.setattr(sys, 'stdout', self._stream)
        monkeypatch.setattr(sys, '__stdout__', self._stream)  # Of which the size is asked.
        for name in ('TERM', 'COLUMNS', 'OMPI_COMM_WORLD_SIZE'):
            monkeypatch.delenv(name, raising=False)

    def lines(self):
        """What one sees in the end, and how often a line was drawn."""
        # The kernel hands it on in parts, so the end is told by what stands there.
        end = b'the end'
        self._stream.write(end.decode())
        self._stream.flush()
        content = b''
        while not content.endswith(end):
            content += os.read(self._reading, 1 << 16)
        text = content.removesuffix(end).decode()
        drawn = [part for part in text.split('\r\x1b[K') if part]
        seen = [line.rpartition('\r\x1b[K')[2] for line in text.replace('\r\n', '\n').split('\n')]
        return seen, drawn


def shown(folder, clock, steps=9, secs=0.0625):
    length = schedules.RunLength(total_steps=10, images_per_step=8, images_per_epoch=20)
    with tf.Graph().as_default():
        watching = monitor.Monitor(str(folder), length, 5, summary_secs=1000)
        watching.start(0)
        for step in range(1, steps + 1):
            clock.now += secs
            watching.after_step(monitor.StepReport(step, 2.0, 0.045, {}, 0.01))
            if step == 5:
                monitor.say('saved it')
                watching.after_validation(outcome(5, Accuracy=0.25))
        watching.close()


def test_a_terminal_has_a_line_drawn_in_place(tmp_path, clock, monkeypatch):
    terminal = Terminal(monkeypatch, columns=200)
    shown(tmp_path, clock)
    seen, drawn = terminal.lines()
    bar = (
        '[##################..]  90% step 9/10  epoch 3.60  loss 2.0000  128.0 images/sec  '
        '0:00:00 left  waiting for data 16%  rate 0.045  Accuracy 0.2500 at step 5'
    )
    assert seen == ['saved it', seen[1], bar, '']
    assert seen[1].startswith('validation at step 5, epoch 0.80: Accuracy 0.2500 on 30 images')
    # After the first step, where a line would be, after 0.2 seconds, and in the end.
    bars = [line.split()[3] for line in drawn if line.startswith('[')]
    assert bars == ['1/10', '5/10', '9/10', '9/10']
    assert [json.loads(line)['step'] for line in (tmp_path / 'metrics.jsonl').open()] == [5, 5]


def test_a_narrow_terminal_has_the_beginning(tmp_path, clock, monkeypatch):
    terminal = Terminal(monkeypatch, columns=50)
    shown(tmp_path, clock, steps=4)
    seen, _ = terminal.lines()
    assert seen == ['[########............]  40% step 4/10  epoch 1.60', ''] or len(seen[0]) == 49
    assert len(seen[0]) == 49


@pytest.mark.parametrize('name', ['OMPI_COMM_WORLD_SIZE', 'TERM'])
def test_what_mpirun_starts_and_a_dumb_terminal_have_lines(tmp_path, clock, monkeypatch, name):
    terminal = Terminal(monkeypatch, columns=200)
    monkeypatch.setenv(name, {'TERM': 'dumb'}.get(name, '2'))
    shown(tmp_path, clock)
    seen, drawn = terminal.lines()
    assert seen[0].startswith('global step 5: loss = 2.0000 (0.062 sec/step)')
    assert len(drawn) == 1
