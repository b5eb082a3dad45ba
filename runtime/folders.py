"""Folders and files that a run writes: looked at before anything is built, and what went wrong."""

from __future__ import annotations

import errno
import os
import re
import stat

import tensorflow.compat.v1 as tf

from slim import errors

# TensorFlow puts what the system said behind the path: `/data/run/x; No space left on device`.
_SYSTEM_WORDS = '|'.join(sorted({re.escape(os.strerror(number)) for number in errno.errorcode}))
_FAILED_FILE = re.compile(rf'(?:^|\s)((?:/|[a-z]+://)[^;\n]*|[^\s;]+); ({_SYSTEM_WORDS})(?:$|\s)')


def check_writable(path: str, flag: str) -> None:
    """OutputError if files can certainly not be made in the folder `path`; creates nothing."""
    if '://' in path:
        return
    existing = os.path.abspath(path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise errors.OutputError(f'--{flag}={path}: {existing} is not a folder')
    if not os.access(existing, os.W_OK | os.X_OK):
        raise errors.OutputError(f'--{flag}={path}: no permission to write in {existing}')


def make_folder(path: str, flag: str) -> None:
    """Creates the folder; OutputError where that fails."""
    try:
        tf.gfile.MakeDirs(path)
    except (tf.errors.OpError, OSError) as error:
        raise errors.OutputError(f'--{flag}={path}: cannot be made: {reason(error)}') from error


def failed_file(error: BaseException) -> tuple[str, str] | None:
    """The path and what the system says of it, where a file was at fault; None where not."""
    if isinstance(error, OSError) and error.errno is not None:
        return str(error.filename or ''), os.strerror(error.errno)
    if isinstance(error, tf.errors.OpError):
        found = _FAILED_FILE.search(error.message or '')
        if found:
            return found[1].strip(), found[2]
    return None


def reason(error: BaseException) -> str:
    """What an error says, in some words on one line, without TensorFlow's stack of the graph."""
    failed = failed_file(error)
    if failed:
        return failed[1]
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    # The graph's stack stands before what was wrong, the name of the operation behind it.
    text = re.sub(
        r'(?s)^.*?defined at \(most recent call last\):.*?\nNode: [^\n]*\n', '', text or ''
    )
    return ' '.join(text.split('\n\t [[')[0].split())[:200]


def cannot_write(path: str, error: BaseException) -> errors.OutputError:
    """`No space left on device: PATH`, in the words of the system."""
    return errors.OutputError(f'{reason(error)}: {path} cannot be written')


def write_text(path: str, content: str) -> None:
    """A text file that is there whole or not at all. OutputError where it cannot be written."""
    write_bytes(path, content.encode())


def write_bytes(path: str, content: bytes) -> None:
    """A file that is there whole or not at all. OutputError where it cannot be written."""
    try:
        with tf.gfile.Open(path + '.partial', 'wb') as file:
            file.write(content)
        tf.gfile.Rename(path + '.partial', path, overwrite=True)
    except (tf.errors.OpError, OSError) as error:
        raise cannot_write(path, error) from error


def read_text(path: str, limit: int) -> str:
    """A text file of at most `limit` bytes; bytes that are not UTF-8 are replaced.

    Raises:
      ValueError: it is larger, or no plain file.
      OSError, tf.errors.OpError: it cannot be read.
    """
    if '://' in path:
        with tf.gfile.Open(path, 'rb') as file:
            content = file.read(limit + 1)
    else:
        # A pipe would be waited for: it opens without, and is no plain file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, 'rb') as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError('is no plain file')
            content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f'has more than {limit} bytes')
    return content.decode(errors='replace')
