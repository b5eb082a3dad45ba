"""How every script starts and ends: flags, help, one-line errors, exit codes. No TensorFlow."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence

from absl import flags

from slim import errors

_HELP_FLAGS = frozenset({'-h', '--h', '-help', '--help', '--helpshort', '--helpfull'})


def run(main: Callable[[], int | None], argv: Sequence[str] | None = None) -> None:
    """Parses the command line, calls `main` and exits with its code.

    Exit codes: 0 success, 1 failure, 2 a wrong command line, 128 + n ended by signal n. An expected
    failure (`slim.errors`) is one line on standard error; anything else keeps its traceback.
    """
    argv = list(sys.argv if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # Names of files may hold what the terminal's encoding, or any, cannot express.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    program = os.path.basename(argv[0])
    if _HELP_FLAGS & set(argv[1:]):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `--help | head` is no error.
        print(_help_text(program))
        sys.exit(0)
    try:
        parse_flags(argv)
        sys.exit(main())
    except errors.SuiteError as error:
        print(f'{program}: error: {errors.printable(str(error))}', file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f'{program}: interrupted', file=sys.stderr)
        sys.exit(130)


def parse_flags(argv: Sequence[str]) -> None:
    """Parses into absl's FLAGS; unknown flags, wrong values and stray words are a UsageError."""
    try:
        rest = flags.FLAGS(list(argv))
    except flags.Error as error:
        message = ' '.join(str(error).split())
        raise errors.UsageError(f'{message} (--help lists every flag)') from error
    if len(rest) > 1:
        raise errors.UsageError(
            f'Unexpected argument {rest[1]!r}: every option is a flag, --name=value '
            '(--help lists every flag)'
        )


def _help_text(program: str) -> str:
    documentation = (sys.modules['__main__'].__doc__ or '').strip()
    by_module = flags.FLAGS.flags_by_module_dict()
    own = {
        flag.name: flag for name in (sys.argv[0], 'slim.flags') for flag in by_module.get(name, [])
    }
    lines = [
        f'  --{flag.name}={_shown(flag)}\n      {flag.help}' for _, flag in sorted(own.items())
    ]
    return '\n'.join([documentation, '', f'flags of {program}, with their defaults:', *lines])


def _shown(flag: flags.Flag) -> str:
    return '' if flag.default is None else str(flag.default)
