"""What rank 0 does beside the steps: log and save."""

from __future__ import annotations

import dataclasses
import os
import time

import tensorflow.compat.v1 as tf

from runtime import options
from runtime.checkpoints import files, sidecar
from runtime.training import monitor, schedules
from slim import errors


class Observers:
    """What rank 0 does beside the steps: log and save."""

    def __init__(
        self,
        run_options: options.TrainingRunOptions,
        length: schedules.RunLength,
        saver: tf.train.Saver,
        about: sidecar.Sidecar | None = None,
    ) -> None:
        """`about` goes beside each checkpoint."""
        self._about = about
        self._options = run_options
        self._saver = saver
        self._monitor = monitor.Monitor(
            run_options.train_dir,
            length,
            run_options.log_every_n_steps,
            run_options.save_summaries_secs,
        )

    def start(self, step: int) -> None:
        self._saved_time = time.monotonic()
        self._monitor.start(step)

    def after_step(self, report: monitor.StepReport) -> None:
        self._monitor.after_step(report)

    def say(self, line: str) -> None:
        monitor.say(line)

    def save_is_due(self) -> bool:
        return time.monotonic() - self._saved_time >= self._options.save_interval_secs

    def save(self, session: tf.Session, step: int) -> None:
        prefix = os.path.join(self._options.train_dir, files.CHECKPOINT_NAME)
        try:
            path = self._saver.save(session, prefix, global_step=step, write_meta_graph=False)
            if self._about:
                sidecar.write(path, dataclasses.replace(self._about, step=step))
        except (tf.errors.OpError, OSError) as error:
            reason = ' '.join(str(error).split())[:200]
            raise errors.OutputError(f'Checkpoint {prefix} cannot be written: {reason}') from error
        self._saved_time = time.monotonic()
        monitor.say(f'saved {path}')

    def close(self) -> None:
        self._monitor.close()


class NoObservers:
    """The other ranks write nothing."""

    def start(self, step: int) -> None: ...
    def after_step(self, report: monitor.StepReport) -> None: ...
    def say(self, line: str) -> None: ...
    def save_is_due(self) -> bool:
        return False

    def save(self, session: tf.Session, step: int) -> None: ...
    def close(self) -> None: ...
