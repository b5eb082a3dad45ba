"""Errors that a user can mend: one line that names the value and the way out.

Pure Python, so that every package may raise them. The scripts print them without a traceback and
end with `exit_code`: 2 where the command line is wrong by itself, 1 where the world does not fit
it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SuiteError(Exception):
    """Base of all expected failures."""

    exit_code = 1


class UsageError(SuiteError, ValueError):
    """A flag or argument that is wrong whatever the machine and the data are."""

    exit_code = 2


class DataError(SuiteError, ValueError):
    """A dataset folder, record file or record that is missing or not what it should be."""


class CheckpointError(SuiteError, ValueError):
    """A checkpoint that is missing, unreadable or of another network."""


class DeviceError(SuiteError, RuntimeError):
    """A device that was asked for and is not there."""


class WorkerError(SuiteError, RuntimeError):
    """A worker that ended, hangs, or does not do the same as the others."""


class OutputError(SuiteError, OSError):
    """A folder or file that cannot be written."""


class NonFiniteLossError(SuiteError, ArithmeticError):
    """The loss became NaN or infinite."""


def did_you_mean(value: str, choices: Iterable[str]) -> str:
    """`Did you mean 'x'? Choose from: a, b, ...` for a misspelt `value`."""
    names = list(choices)
    close = difflib.get_close_matches(str(value), names, n=3)
    hint = f'Did you mean {" or ".join(repr(name) for name in close)}? ' if close else ''
    shown = close if close and len(names) > 12 else names
    return f'{hint}Choose from: {", ".join(shown)}{", ..." if len(shown) < len(names) else ""}.'


def unknown_name(kind: str, value: str, choices: Iterable[str]) -> UsageError:
    """UsageError `Unknown network 'mobilnet_v2'. Did you mean 'mobilenet_v2'? ...`."""
    return UsageError(f'Unknown {kind} {value!r}. {did_you_mean(value, choices)}')


def printable(text: str) -> str:
    """The text in one line that does nothing to a terminal and can be written in any encoding.

    Control characters, line ends and what is no character become `\\x1b`, `\\n`, `\\udce9`.
    """
    return ''.join(
        character
        if character.isprintable()
        else character.encode('unicode_escape', 'backslashreplace').decode()
        for character in text
    )


def shown(value: object, limit: int = 80) -> str:
    """A value from a file for a message: printable, without its middle where it is too long."""
    text = str(value)
    text = printable(text if len(text) <= 2 * limit else text[:limit] + text[-limit:])
    return text if len(text) <= limit else f'{text[: limit // 2]}...{text[3 - limit // 2 :]}'
