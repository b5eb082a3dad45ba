"""What converters write to the terminal by themselves, kept off it."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator

from runtime import startup


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the notes of TensorFlow's C++ and of absl, unless the user has set its log level.

    What fails is told by its exception, so nothing that matters is lost.
    """
    if 'TF_CPP_MIN_LOG_LEVEL' in os.environ:
        yield
        return
    logger = logging.getLogger('absl')
    level = logger.level
    with (
        tempfile.TemporaryFile() as unread,
        startup.stderr_goes_to(unread.fileno()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter('ignore')
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
