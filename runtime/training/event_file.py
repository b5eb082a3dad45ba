"""TensorBoard's file, written by the process that has something to say.

TensorFlow's writer has a thread of its own, in which a full disk ends in a stack of Python's and
is not told to anybody.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time

import tensorflow.compat.v1 as tf

from runtime import folders


class EventFile:
    """A new file of events in `folder`.

    Raises:
      OutputError: here and in every method but `close`, where it cannot be written.
    """

    def __init__(self, folder: str) -> None:
        name = f'events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}'
        # The clock may have been set back: what an earlier run has written stays.
        paths = (os.path.join(folder, f'{name}.{number}') for number in itertools.count())
        self._path = next(path for path in paths if not tf.gfile.Exists(path))
        try:
            self._file = tf.io.TFRecordWriter(self._path)
        except (tf.errors.OpError, OSError) as error:
            raise folders.cannot_write(self._path, error) from error
        self._write(tf.Event(wall_time=time.time(), file_version='brain.Event:2'))
        self.flush()

    def add_summary(self, summary: tf.Summary, step: int) -> None:
        self._write(tf.Event(wall_time=time.time(), summary=summary, step=step))

    def flush(self) -> None:
        try:
            self._file.flush()
        except (tf.errors.OpError, OSError) as error:
            raise folders.cannot_write(self._path, error) from error

    def close(self) -> None:
        """Lets the file go; everything was flushed, or has been an error already."""
        with contextlib.suppress(tf.errors.OpError, OSError):
            self._file.close()

    def _write(self, event: tf.Event) -> None:
        try:
            self._file.write(event.SerializeToString())
        except (tf.errors.OpError, OSError) as error:
            raise folders.cannot_write(self._path, error) from error
