"""Errors that a user can mend: one line that names the value and the way out.

Pure Python, so that every package may raise them. The scripts print them without a traceback and
end with `exit_code`: 2 where the command line is wrong by itself, 3 where the data are, 4 where a
loss is not finite, 5 where the device is missing or does not do, and 1 for the rest.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class SuiteError(Exception):
    """Base of all expected failures."""

    exit_code = 1


class UsageError(SuiteError, ValueError):
    """A flag or argument that is wrong whatever the machine and the data are."""

    exit_code = 2


class DataError(SuiteError, ValueError):
    """A dataset folder, record file or record that is missing or not what it should be."""

    exit_code = 3


class CheckpointError(SuiteError, ValueError):
    """A checkpoint that is missing, unreadable or of another network."""


class DeviceError(SuiteError, RuntimeError):
    """A device that was asked for and is not there, or does not do what it should."""

    exit_code = 5


class WorkerError(SuiteError, RuntimeError):
    """A worker that ended, hangs, or does not do the same as the others."""


class OutputError(SuiteError, OSError):
    """A folder or file that cannot be written."""


class NonFiniteLossError(SuiteError, ArithmeticError):
    """The loss became NaN or infinite."""

    exit_code = 4


def printable(text: str) -> str:
    """`text` in one line that does nothing to a terminal and can be written in any encoding.

    For names that come from data. Control characters, line ends, marks that turn the direction of
    writing and halves of characters become `\\x1b`, `\\n`, `\\u202e`, `\\udce9`.
    """
    return ''.join(
        letter if letter.isprintable() else letter.encode('unicode_escape').decode()
        for letter in text
    )


def shortened(text: object, limit: int = 80) -> str:
    """At most `limit` characters of one line; what is left out of its middle is ` ... `."""
    line = str(text)
    # What is left out anyway, of a value of a megabyte, need not be made printable.
    line = printable(line if len(line) <= 2 * limit else line[:limit] + line[-limit:])
    if len(line) <= limit:
        return line
    tail = (limit - 5) // 3
    return f'{line[: limit - 5 - tail]} ... {line[len(line) - tail :]}'


def did_you_mean(value: str, choices: Iterable[str]) -> str:
    """`Did you mean 'x'? Choose from: a, b, ...` for a misspelt `value`."""
    names = list(choices)
    # A value of a megabyte is close to nothing, and looking for it takes minutes.
    close = difflib.get_close_matches(str(value)[:200], names, n=3)
    likely = ' or '.join(shortened(repr(name), 60) for name in close)
    hint = f'Did you mean {likely}? ' if close else ''
    shown = close if close and len(names) > 12 else names
    listed = printable(', '.join(shown))
    short = len(listed) <= 160
    if not short:
        listed = listed[:160].rpartition(', ')[0] or shortened(listed, 160)
    more = '' if short and len(shown) == len(names) else ', ...'
    return f'{hint}Choose from: {listed}{more}.'


def unknown_name(kind: str, value: str, choices: Iterable[str]) -> UsageError:
    """UsageError `Unknown network 'mobilnet_v2'. Did you mean 'mobilenet_v2'? ...`."""
    return UsageError(
        f'Unknown {kind} {shortened(repr(value), 80)}. {did_you_mean(value, choices)}'
    )


@contextlib.contextmanager
def names_of(source: str) -> Iterator[None]:
    """A UsageError within is a CheckpointError where the names were read from `source`, the file
    beside a checkpoint; '' where they are the user's own."""
    try:
        yield
    except UsageError as error:
        if not source:
            raise
        raise CheckpointError(
            f'{shortened(source, 80)}, unless --ignore_sidecar is given: {error}'
        ) from error
