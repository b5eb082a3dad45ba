from __future__ import annotations

import sys

import pytest

from datasets.conversion.progress_bar import ProgressBar

pytestmark = pytest.mark.once


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_lines_now_and_then():
    lines, clock = [], Clock()
    with ProgressBar(1000, 'images', lines.append, clock=clock) as bar:
        for _ in range(4):
            clock.now += 20
            bar.advance(200)
        assert lines == [
            '400/1,000 images, 10 a second, 0:01:00 left',
            '800/1,000 images, 10 a second, 0:00:20 left',
        ]
        bar.advance(200)
    assert lines[2:] == ['1,000/1,000 images, 12 a second, 0:01:20 taken']


def test_what_was_done_before_is_not_in_the_rate():
    lines, clock = [], Clock()
    with ProgressBar(1000, 'images', lines.append, already=600, clock=clock) as bar:
        clock.now = 40
        bar.advance(200)
    assert lines[0] == '800/1,000 images, 5 a second, 0:00:40 left'


def test_an_error_is_not_followed_by_a_line():
    lines = []
    with pytest.raises(ZeroDivisionError), ProgressBar(10, 'images', lines.append):
        raise ZeroDivisionError
    assert lines == []


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    clock = Clock()
    with ProgressBar(400, 'images', clock=clock) as bar:
        for _ in range(10):  # in no time: drawn once
            bar.advance(10)
        clock.now = 10
        bar.advance(100)
        bar.say('a message')
    shown = capsys.readouterr().out.replace('\r\x1b[K', '|')
    assert shown == (
        '|[##########..........]  50% 200/400 images, 20 a second, 0:00:10 left'
        '|a message\n'
        '|[##########..........]  50% 200/400 images, 20 a second, 0:00:10 left\n'
    )
