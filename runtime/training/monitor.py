"""What a run tells: log lines, JSON lines, TensorBoard."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import folders
from runtime.curves import summary_file
from runtime.training import doubts, event_file, schedules, validation
from runtime.workers import worlds
from slim import errors, status_line

METRICS_FILE = 'metrics.jsonl'
VALIDATION_FOLDER = 'eval'


@dataclasses.dataclass(frozen=True)
class StepReport:
    """The outcome of one training step."""

    step: int  # the global step after the update
    loss: float
    learning_rate: float
    losses: Mapping[str, float]  # parts of the loss, by TensorBoard tag
    data_wait_secs: float = 0.0  # how long the step waited for its batch
    skipped: int = 0  # records left out since the start of this session
    labels: Sequence[int] | None = None  # the lowest and the highest of the batch
    left_out: int = 0  # steps that were not finite, since the start of this session
    late: float = 0.0  # how many seconds ago it was done, since several steps are told at once
    overflowed: int = 0  # steps that were left out for the scale of the loss, likewise
    loss_scale: float | None = None  # of the next step; None without one


def say(line: str) -> None:
    """Prints one line at once. A reader that has gone does not keep the run from its end.

    mpirun closes the pipes of its workers when SIGTERM comes, before they have saved.
    """
    try:
        status_line.erase()
        print(errors.printable(line), flush=True)
    except OSError as error:
        _without_output(error)


def _without_output(error: OSError) -> None:
    # What is left in the buffer would fail once more when Python ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    if not isinstance(error, BrokenPipeError):
        raise folders.cannot_write('the log on standard output', error) from error


class Monitor:
    """Prints the classic log line every N steps; metrics.jsonl gets the same numbers.

    On a terminal there is a line drawn in place instead, below everything else that is said.

    TensorBoard gets them at most every `summary_secs`, and of the first and the last step of each
    session. The first step of a session, slow as it is, counts in no rate unless it is logged.
    """

    def __init__(
        self, folder: str, length: schedules.RunLength, every_n_steps: int, summary_secs: float
    ) -> None:
        self._folder = folder
        self._length = length
        self._every = every_n_steps
        self._summary_secs = summary_secs
        self._summary_time = -float('inf')
        self._summaries = event_file.EventFile(folder)
        self._validations: event_file.EventFile | None = None
        self._table = summary_file.SummaryFile(folder)
        self._doubts = doubts.Doubts(length.total_steps)
        self._any_step_seen = False
        self._waited = 0.0
        self._unwritten: StepReport | None = None  # the last step, until TensorBoard has it
        self._stepped_time = 0.0  # when the last step was done
        self._logged_rates: dict[str, float] = {}
        # What a launcher of many workers starts may have a terminal of its own, whose lines go to a
        # file: mpirun's have.
        self._bar = status_line.possible() and not worlds.found(os.environ)
        self._drawn_time = -float('inf')
        self._last: StepReport | None = None
        self._last_validation = ''

    def start(self, step: int) -> None:
        """The session is ready and stands at global step `step`."""
        self._table.start(step)
        self._mark(step)

    def after_step(self, report: StepReport) -> None:
        """Logs where it is due: every N steps and after the last."""
        found = self._doubts.look_at(report.step, report.loss, report.learning_rate, report.labels)
        for doubt in found:
            say(f'warning: {doubt}')
        self._waited += report.data_wait_secs
        self._unwritten, self._stepped_time = report, time.monotonic() - report.late
        due = report.step % self._every == 0 or report.step == self._length.total_steps
        if due:
            self._log(report)
        if not self._any_step_seen and self._unwritten:
            self._write_summaries(report, {})  # Without a rate, which would be that of a start.
        self._last = report
        if self._bar and (due or time.monotonic() - self._drawn_time >= status_line.REDRAW_SECS):
            self._draw(report)
        if due or not self._any_step_seen:
            self._mark(report.step, report.late)
        self._any_step_seen = True

    def paused(self, secs: float) -> None:
        """Something else than steps took so long, which counts in no rate."""
        self._marked_time += secs
        self._stepped_time += secs

    def after_validation(self, outcome: validation.Outcome) -> None:
        """Tells what a validation has found, TensorBoard in a run of its own, `eval`."""
        shown = ', '.join(f'{name} {value:.4f}' for name, value in outcome.values.items())
        say(
            f'validation at step {outcome.step}, epoch {outcome.epoch:.2f}: {shown} on '
            f'{outcome.images} images ({outcome.secs:.1f} s){_comparison(outcome)}'
        )
        metric, found = outcome.best.metric, outcome.values[outcome.best.metric]
        self._last_validation = f'{metric} {found:.4f} at step {outcome.step}'
        self._write_metrics(
            {
                'kind': 'validation',
                'step': outcome.step,
                'epoch': outcome.epoch,
                **{
                    name: value if math.isfinite(value) else None
                    for name, value in outcome.values.items()
                },
                'images': outcome.images,
                'secs': outcome.secs,
            }
        )
        if self._validations is None:
            folder = os.path.join(self._folder, VALIDATION_FOLDER)
            folders.make_folder(folder, 'train_dir')
            self._validations = event_file.EventFile(folder)
        tags = dict(outcome.values) | {f'eval/{tag}': x for tag, x in outcome.values.items()}
        write_scalars(self._validations, tags, outcome.step)

    def add_summary(self, summary: tf.Summary, step: int) -> None:
        """TensorBoard gets this beside the numbers."""
        self._summaries.add_summary(summary, step)
        self._summaries.flush()

    def close(self) -> None:
        """Writes out the last step, where TensorBoard does not have it, and what is buffered."""
        ended_by_error = sys.exc_info()[0] is not None
        try:
            if self._unwritten:
                self._write_summaries(self._unwritten, self._rates(self._unwritten))
        except errors.OutputError:
            if not ended_by_error:  # The first error is the one to tell.
                raise
        finally:
            with contextlib.suppress(OSError, errors.OutputError):
                if self._bar and self._last:
                    self._draw(self._last)
                status_line.leave()
            self._summaries.close()
            if self._validations:
                self._validations.close()

    def _mark(self, step: int, late: float = 0.0) -> None:
        self._marked_time, self._marked_step = time.monotonic() - late, step
        self._waited = 0.0

    def _rates(self, report: StepReport) -> dict[str, float]:
        """How fast the steps since the last mark were, or else those of the last log line."""
        steps = report.step - self._marked_step
        taken = self._stepped_time - self._marked_time
        if not steps or not taken:
            return self._logged_rates
        return {
            'sec_per_step': taken / steps,
            'images_per_sec': self._length.images_per_step * steps / taken,
            'data_wait': min(1.0, self._waited / taken),
        }

    def _log(self, report: StepReport) -> None:
        length = self._length
        rates = self._logged_rates = self._rates(report)
        record: dict[str, Any] = {
            'step': report.step,
            'loss': report.loss,
            'sec_per_step': rates['sec_per_step'],
            'images_per_sec': rates['images_per_sec'],
            'learning_rate': report.learning_rate,
            'epoch': report.step * length.images_per_step / length.images_per_epoch,
            'data_wait': rates['data_wait'],
            'skipped_records': report.skipped,
            'left_out_steps': report.left_out,
        }
        scale = ''
        if report.loss_scale is not None:
            record |= {'loss_scale': report.loss_scale, 'overflowed_steps': report.overflowed}
            scale = f'  loss scale {report.loss_scale:g}  steps overflowed {report.overflowed}'
        left = self._time_left(report.step, rates)
        line = (
            'global step {step:d}: loss = {loss:.4f} ({sec_per_step:.3f} sec/step)  '
            '{images_per_sec:.1f} images/sec  learning rate {learning_rate:.6g}  '
            'epoch {epoch:.2f}  waiting for data {data_wait:.0%}'
        )
        skipped = f'  skipped records {report.skipped}' if report.skipped else ''
        left_out = f'  steps left out {report.left_out}' if report.left_out else ''
        if not self._bar:
            say(f'{line.format(**record)}{skipped}{left_out}{scale}  time left {left}')
        self._write_metrics(record)
        if time.monotonic() - self._summary_time >= self._summary_secs:
            self._write_summaries(report, rates)

    def _time_left(self, step: int, rates: Mapping[str, float]) -> datetime.timedelta:
        return datetime.timedelta(
            seconds=round(rates['sec_per_step'] * (self._length.total_steps - step))
        )

    def _draw(self, report: StepReport) -> None:
        """The line on a terminal; a narrow one has its end cut off."""
        self._drawn_time = time.monotonic()
        length, rates = self._length, self._rates(report)
        epoch = report.step * length.images_per_step / length.images_per_epoch
        parts = [
            f'step {report.step:,}/{length.total_steps:,}',
            f'epoch {epoch:.2f}',
            f'loss {report.loss:.4f}',
        ]
        if rates:
            parts += [
                f'{rates["images_per_sec"]:,.1f} images/sec',
                f'{self._time_left(report.step, rates)} left',
                f'waiting for data {rates["data_wait"]:.0%}',
            ]
        parts += [f'rate {report.learning_rate:.6g}', *filter(None, [self._last_validation])]
        try:
            status_line.draw(report.step / length.total_steps, '  '.join(parts))
        except OSError as error:
            _without_output(error)

    def _write_metrics(self, record: Mapping[str, Any]) -> None:
        """A line of metrics.jsonl. Those of validations have a `kind`, those of steps none."""
        path = os.path.join(self._folder, METRICS_FILE)
        timed = {**record, 'time': time.time()}
        try:
            with tf.gfile.Open(path, 'a') as file:
                file.write(json.dumps(timed) + '\n')
        except (tf.errors.OpError, OSError) as error:
            raise folders.cannot_write(path, error) from error
        self._table.add(timed)

    def _write_summaries(self, report: StepReport, rates: Mapping[str, float]) -> None:
        """`rates`: of `_rates`."""
        self._summary_time = time.monotonic()
        self._unwritten = None
        tags = {
            'learning_rate': report.learning_rate,
            'total_loss': report.loss,
            **report.losses,
        }
        if rates:
            tags['global_step/sec'] = 1.0 / rates['sec_per_step']
            tags['examples/sec'] = rates['images_per_sec']
            tags['data_wait'] = rates['data_wait']
        write_scalars(self._summaries, tags, report.step)


def _comparison(outcome: validation.Outcome) -> str:
    """With the best one before it, for the log."""
    if outcome.is_best:
        return ', the best so far'
    best = outcome.best
    value = 'not finite' if best.value is None else f'{best.value:.4f}'
    return f'; the best {best.metric} is {value} of step {best.step}'


def write_scalars(writer: Any, tags: Mapping[str, float], step: int) -> None:
    """Scalars under exactly these TensorBoard tags; the writer is an EventFile or TensorFlow's."""
    values = [tf.Summary.Value(tag=tag, simple_value=value) for tag, value in tags.items()]
    writer.add_summary(tf.Summary(value=values), step)
    writer.flush()
