"""What rank 0 does beside the steps: log and save."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import folders, options
from runtime.checkpoints import best, files, keeping, sidecar
from runtime.training import looks, monitor, schedules, validation


class Observers:
    """What rank 0 does beside the steps: log and save."""

    saved_step = 0  # the last one that a checkpoint holds

    def __init__(
        self,
        run_options: options.TrainingRunOptions,
        length: schedules.RunLength,
        saver: tf.train.Saver,
        about: sidecar.Trained | None = None,
        looker: looks.Looker | None = None,
    ) -> None:
        """`about` goes beside each checkpoint."""
        self._looker = looker
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
        """The session is ready and stands at global step `step`."""
        self.saved_step = step
        self._saved_time = time.monotonic()
        self._monitor.start(step)

    def run(
        self,
        reached: int,
        count: int,
        fetches: Mapping[str, Any],
        fed: Mapping[Any, Any],
        run: Callable[..., Any],
    ) -> Any:
        """What `run(fetches, fed)` gives for the `count` steps after `reached`; looks at them."""
        if self._looker is None:
            return run(fetches, fed)
        return self._looker.run(reached, count, fetches, fed, run)

    def after_step(self, report: monitor.StepReport) -> None:
        self._monitor.after_step(report)
        if self._looker:
            for line in self._looker.after_step(report.step, self._monitor.add_summary):
                self.say(line)

    def say(self, line: str) -> None:
        monitor.say(line)

    def save_is_due(self, step: int) -> bool:
        """Whether a checkpoint is to be written after `step`."""
        every = self._options.save_interval_steps
        waited = time.monotonic() - self._saved_time
        return bool(every and step % every == 0) or waited >= self._options.save_interval_secs

    def save(self, session: tf.Session, step: int) -> None:
        """Writes the checkpoint of `step`, and lets old ones go."""
        folder = self._options.train_dir
        prefix = os.path.join(folder, files.CHECKPOINT_NAME)
        try:
            # First, so that no checkpoint is ever without; one alone counts as an unfinished save.
            if self._about:
                sidecar.write(f'{prefix}-{step}', dataclasses.replace(self._about, step=step))
            path = self._saver.save(
                session, prefix, global_step=step, write_meta_graph=False, write_state=False
            )
        except (tf.errors.OpError, OSError, ValueError) as error:
            keeping.remove_left_over(folder)
            raise folders.cannot_write(f'checkpoint {prefix}-{step}', error) from error
        keeping.saved(folder, step, self._options.keep_checkpoint_max)
        self.saved_step, self._saved_time = step, time.monotonic()
        monitor.say(f'saved {path}')

    def after_validation(self, outcome: validation.Outcome) -> None:
        """Tells what was found. A best one that is kept has its checkpoint saved by now."""
        self._monitor.after_validation(outcome)
        folder, kept = self._options.train_dir, outcome.best.checkpoint
        if outcome.is_best and kept:
            best.keep(folder, outcome.step)
            monitor.say(f'kept {os.path.join(folder, kept)}')
        best.write(folder, outcome.best)

    def paused(self, secs: float) -> None:
        """Something else than steps took so long."""
        self._monitor.paused(secs)

    def close(self) -> None:
        self._monitor.close()
        if self._looker:
            for line in self._looker.close():
                self.say(line)


class NoObservers:
    """The other ranks write nothing."""

    saved_step = 0

    def start(self, step: int) -> None: ...
    def run(
        self,
        reached: int,
        count: int,
        fetches: Mapping[str, Any],
        fed: Mapping[Any, Any],
        run: Callable[..., Any],
    ) -> Any:
        return run(fetches, fed)

    def after_step(self, report: monitor.StepReport) -> None: ...
    def say(self, line: str) -> None: ...
    def save_is_due(self, step: int) -> bool:
        return False

    def save(self, session: tf.Session, step: int) -> None: ...
    def after_validation(self, outcome: validation.Outcome) -> None: ...
    def paused(self, secs: float) -> None: ...
    def close(self) -> None: ...
