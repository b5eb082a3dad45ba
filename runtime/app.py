"""How every script starts and ends: flags, help, one-line errors, exit codes. No TensorFlow."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence

from absl import flags

from slim import errors

_HELP = '(--help lists every flag)'
_LONGEST_MESSAGE = 200
_LONGEST_NAME = 100
_HELP_FLAGS = frozenset({'-h', '--h', '-help', '--help', '--helpshort', '--helpfull'})


def run(
    main: Callable[..., int | None], argv: Sequence[str] | None = None, words: bool = False
) -> None:
    """Parses the command line, calls `main` and exits with its code.

    With `words` the command line may have words beside its flags, which `main` gets as a list.

    Exit codes: 0 success, 1 failure, 2 a wrong command line, 3 data, 4 a loss that is not finite,
    5 device, 128 + n ended by signal n. An expected failure (`slim.errors`) is one line on standard
    error; anything else keeps its traceback.
    """
    argv = list(sys.argv if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # Names of files may hold what the terminal's encoding, or any, cannot express.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    program = os.path.basename(argv[0])
    if _HELP_FLAGS & set(argv[1:]):
        end_with_the_reader()
        print(_help_text(program))
        sys.exit(0)
    try:
        found = parse_flags(argv, words=words)
        sys.exit(main(found) if words else main())
    except errors.SuiteError as error:
        print(f'{program}: error: {errors.printable(str(error))}', file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f'{program}: interrupted', file=sys.stderr)
        sys.exit(130)


def end_with_the_reader() -> None:
    """For scripts whose output is the answer: `SCRIPT | head` is no error."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def parse_flags(
    argv: Sequence[str], known: flags.FlagValues = flags.FLAGS, words: bool = False
) -> list[str]:
    """Parses into `known`; unknown flags and wrong values are a UsageError.

    So are words that are no flags, unless `words` are wanted; these are returned.
    """
    for word in argv[1:]:
        # absl looks for names that are alike, by recursion over their letters.
        name = word.split('=')[0]
        if word.startswith('-') and len(name) > _LONGEST_NAME:
            raise errors.UsageError(
                f'Unknown command line flag {errors.shortened(name, 80)} {_HELP}'
            )
    try:
        rest = known(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise errors.UsageError(_unknown_flag(error, known)) from error
    except (flags.Error, ValueError) as error:  # A ValueError: `--noFLAG=value`.
        message = errors.shortened(' '.join(str(error).split()), _LONGEST_MESSAGE)
        raise errors.UsageError(f'{message} {_HELP}') from error
    if len(rest) > 1 and not words:
        raise errors.UsageError(
            f'Unexpected argument {errors.shortened(repr(rest[1]), 80)}: every option is a flag, '
            f'--name=value {_HELP}'
        )
    return rest[1:]


def _unknown_flag(error: flags.UnrecognizedFlagError, known: flags.FlagValues) -> str:
    """Beside what is spelt alike, which absl knows: a flag of the same words, and more or fewer."""
    message = errors.shortened(' '.join(str(error).split()), _LONGEST_MESSAGE)
    name = error.flagname.replace('-', '_')
    longer = [other for other in known if other.endswith(f'_{name}')]
    shorter = [other for other in known if name.endswith(f'_{other}')]
    related = [other for other in (*longer, *shorter) if other not in message]
    if related and 'Did you mean' not in message:
        message += f'. Did you mean: {", ".join(related[:3])} ?'
    elif related:
        message = message.replace('Did you mean:', f'Did you mean: {", ".join(related[:3])},')
    return f'{message} {_HELP}'


def _help_text(program: str) -> str:
    documentation = (sys.modules['__main__'].__doc__ or '').strip()
    by_module = flags.FLAGS.flags_by_module_dict()
    own = {
        flag.name: flag
        for name in (sys.argv[0], 'runtime.flags')
        for flag in by_module.get(name, [])
    }
    lines = [
        f'  --{flag.name}={_shown(flag)}\n      {flag.help}' for _, flag in sorted(own.items())
    ]
    return '\n'.join([documentation, '', f'flags of {program}, with their defaults:', *lines])


def _shown(flag: flags.Flag) -> str:
    return '' if flag.default is None else str(flag.default)
