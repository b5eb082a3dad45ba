"""What converters write to the terminal by themselves, kept off it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the notes of TensorFlow's C++ and of absl, unless the user has set its log level.

    What fails is told by its exception, so nothing that matters is lost.
    """
    if 'TF_CPP_MIN_LOG_LEVEL' in os.environ:
        yield
        return
    logger = logging.getLogger('absl')
    level, real_stderr = logger.level, os.dup(2)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as unread, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        logger.setLevel(logging.ERROR)
        os.dup2(unread.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real_stderr, 2)
            os.close(real_stderr)
            logger.setLevel(level)
