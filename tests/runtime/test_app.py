"""How a script ends, whatever names are in its messages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runtime import app
from slim import errors

pytestmark = pytest.mark.once


def test_an_error_is_one_line_that_does_nothing_to_a_terminal(capsys):
    def fail():
        raise errors.OutputError('a\x1b[2J \udce9 b\nc é')

    with pytest.raises(SystemExit) as ended:
        app.run(fail, ['x.py'])
    assert ended.value.code == 1
    assert capsys.readouterr().err == 'x.py: error: a\\x1b[2J \\udce9 b\\nc é\n'


def test_names_that_the_encoding_of_the_terminal_does_not_have(tmp_path):
    program = (
        'from runtime import app\n'
        'from datasets.conversion.progress_bar import tell\n'
        'app.run(lambda: (tell("caf\\udce9"), print("caf\\udce9 \\u00e9")) and None, ["x.py"])\n'
    )
    finished = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        env={'PYTHONIOENCODING': 'ascii:strict', 'PYTHONPATH': ':'.join(filter(None, sys.path))},
    )
    assert (finished.returncode, finished.stderr) == (0, b'')
    assert finished.stdout == b'caf\\udce9\ncaf\\udce9 \\xe9\n'


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ('short', 'short'),
        ('x' * 80, 'x' * 80),
        ('a' * 60 + 'b' * 40, 'a' * 50 + ' ... ' + 'b' * 25),
        ('\n' * 3, r'\n\n\n'),
        (12, '12'),
    ],
)
def test_long_values_are_shortened_in_their_middle(value, expected):
    assert errors.shortened(value) == expected
    assert len(errors.shortened(str(value) * 10_000)) <= 80
