"""The loop of a run: steps, the look at their outcome, saves, and the end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from runtime import folders, options, startup
from runtime.checkpoints import files, keeping, lock, sidecar, starting
from runtime.devices import placement, xla
from runtime.input import input_errors
from runtime.training import (
    batch_norm,
    looks,
    loss_scale,
    monitor,
    repetition,
    run_file,
    schedules,
    stopping,
    validation,
)
from runtime.training.observers import NoObservers, Observers
from runtime.training.session import SessionCreator
from runtime.training.step import Step
from runtime.workers import agreement, watchdog
from runtime.workers import cluster as cluster_lib
from slim import errors

# An error of the input pipeline and the last step that was finished, to a line for the user.
Explain = Callable[[Exception, int], str]
_NEXT_BATCH = re.compile(r'\{\{node [^}]*\bIteratorGetNext(_\d+)?\}\}')
_AGAINST_NAN = 'Lower --learning_rate or lengthen --warmup_epochs'


def run(
    chosen: options.Training,
    length: schedules.RunLength,
    start: starting.Start,
    step: Step,
    cluster: cluster_lib.Cluster,
    session_config: tf.ConfigProto | None = None,
    explain: Explain | None = None,
    look_at_placement: bool = False,
    facts: Mapping[str, Any] | None = None,
    about: sidecar.Trained | None = None,
    compiled: bool = False,
    validations: validation.Validation | None = None,
    seen: looks.Looks | None = None,
    recalibration: batch_norm.Recalibration | None = None,
) -> int:
    """Trains to the last step, saves, and returns the exit code.

    The code is 0, or 128 + n where signal n ended the run early: the step in progress is finished
    and saved first. After SIGUSR1 it is 0, so that mpirun lets all workers end. `explain` puts an
    error of the input pipeline into words. `look_at_placement` checks after the first step that the
    variables and the network are where they were put. `facts` go into run.json, which has none
    without them; `about` goes beside each checkpoint. `compiled`: XLA compiles the step, which the
    log tells. `validations` are run between the steps, and may end the run. `seen` is
    looked at now and then. `recalibration` is run after the last step, before it is saved; a run
    that a signal ends does without.

    Where the data or a log fails, the steps since the last save are saved before the run ends.

    Raises:
      NonFiniteLossError: the loss or a weight is NaN or infinite; nothing is saved after that.
      DataError: a record that cannot be used, or a file of records that has gone.
      OutputError: a folder, log or checkpoint that cannot be written, or another run's folder.
      WorkerError: the workers differ, or another one ended.
    """
    variables = agreement.Variables(cluster)
    creator = SessionCreator(chosen.workers.master, session_config, start, step, variables)
    watching = watchdog.watching(cluster, chosen.workers.worker_timeout_secs)
    with contextlib.ExitStack() as stack:
        observers = _observers(chosen, length, start, cluster, facts, about, seen, stack)
        stop, guard = stack.enter_context(stopping.graceful()), stack.enter_context(watching)
        loop = _Loop(
            chosen, length.total_steps, step, variables, observers, stop, guard, validations
        )
        loop.last_good = start.resume_from
        loop.recalibration = recalibration
        try:
            with tf.train.MonitoredSession(creator) as session:
                observers.start(creator.first_step)
                if compiled:
                    loop.warm_up = True
                    observers.say('XLA compiles the step')
                loop.run(session, creator.session, creator.first_step, look_at_placement)
        except tf.errors.OpError as error:
            failure = xla.failure(error) if compiled else ''
            if failure and not isinstance(error, tf.errors.ResourceExhaustedError):
                raise errors.DeviceError(failure) from error
            mended = _expected(error, chosen, cluster, explain, loop.reached)
            if mended is None:
                raise
            raise mended from error
    return stop.exit_code


def _observers(
    chosen: options.Training,
    length: schedules.RunLength,
    start: starting.Start,
    cluster: cluster_lib.Cluster,
    facts: Mapping[str, Any] | None,
    about: sidecar.Trained | None,
    seen: looks.Looks | None,
    stack: contextlib.ExitStack,
) -> Observers | NoObservers:
    """What watches the run; rank 0 has the folder to itself until the stack is left."""
    made: list[Observers] = []

    def take_folder() -> None:
        folder = chosen.run.train_dir
        folders.make_folder(folder, 'train_dir')
        stack.enter_context(lock.held(folder, monitor.say))
        starting.check_unchanged(folder, start.resume_from)
        left_over = keeping.remove_left_over(folder)
        if left_over:
            monitor.say(f'removed what is left of an unfinished save: {", ".join(left_over)}')
        for line in run_file.begin(folder, facts) if facts else ():
            monitor.say(line)
        looker = looks.Looker(chosen, seen, cluster.size, not start.resume_from) if seen else None
        made.append(Observers(chosen.run, length, start.saver, about, looker))
        stack.enter_context(contextlib.closing(made[0]))

    agreement.on_rank_0(cluster, take_folder)
    return made[0] if made else NoObservers()


def _expected(
    error: tf.errors.OpError,
    chosen: options.Training,
    cluster: cluster_lib.Cluster,
    explain: Explain | None,
    reached: int,
) -> errors.SuiteError | None:
    """What to tell the user about a failed operation; None for one that nobody expects."""
    lost = cluster_lib.lost_worker(error, cluster)
    if lost:
        return lost
    failed = folders.failed_file(error)
    if failed:
        path, why = failed
        if _of_the_input(error):
            return errors.DataError(f'{why}: {path}, of the data set, cannot be read')
        return errors.OutputError(f'{why}: {path}')
    if isinstance(error, (tf.errors.InvalidArgumentError, tf.errors.DataLossError)):
        try:
            said = explain(error, reached) if explain else input_errors.message(error)
        except tf.errors.OpError:
            said = input_errors.message(error)  # The records have gone since.
        return errors.DataError(said)
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return errors.DeviceError(
            f'The memory of the device is not enough: lower --batch_size={chosen.input.batch_size}'
            + (', or give --dtype=bf16, which takes half' if chosen.device.dtype == 'fp32' else '')
        )
    return None


def _of_the_input(error: tf.errors.OpError) -> bool:
    """Whether the step failed before its batch was there, and so has changed nothing."""
    if error.node_def is not None:
        return error.node_def.op == 'IteratorGetNext'
    # Of an operation in a loop there is the name alone.
    return bool(_NEXT_BATCH.search(error.message or ''))


class _Loop:
    """Steps to the end of a run, or to a signal; saves in between, when all workers agree."""

    reached = 0  # the last step that was finished
    last_good: str | None = None  # the newest checkpoint
    _saved_at = -1  # the step at which all workers last saved together
    _is_first = True  # whether no step of this session is done yet
    warm_up = False  # whether the next step compiles
    recalibration: batch_norm.Recalibration | None = None
    left_out = 0  # steps, because they were not finite
    overflowed = 0  # steps left out, because their gradients were too large for the loss scale
    # Why no more is logged. The run then ends as at a signal: all workers after the same step.
    _failure: errors.OutputError | None = None

    def __init__(
        self,
        chosen: options.Training,
        total_steps: int,
        step: Step,
        variables: agreement.Variables,
        observers: Observers | NoObservers,
        stop: stopping.Stop,
        guard: watchdog.Guard,
        validations: validation.Validation | None = None,
    ) -> None:
        self._total_steps, self._step, self._variables = total_steps, step, variables
        self._check_every = chosen.workers.check_workers_every_n_steps
        self._chosen = chosen.run
        self._observers, self._stop, self._guard = observers, stop, guard
        self._validations = validations
        finite = ' (each worker says its own; one of them is not finite)'
        self._elsewhere = finite if variables.of_many_workers else ''

    def run(
        self,
        session: tf.train.MonitoredSession,
        raw: tf.Session,
        reached: int,
        look_at_placement: bool = False,
    ) -> None:
        """Steps in `session`, whose hooks count them; saves and compares in the one below it."""
        self.reached = reached
        # A run that was stopped in a validation goes on with it.
        missed = bool(self._validations and self._validations.missed(reached))
        ending = missed and self._validate(raw, reached)
        while reached < self._total_steps and not ending:
            count = self._steps_to_run(reached)
            fed: dict[Any, Any] = {
                self._step.stop_requested: bool(self._stop.number or self._failure),
                self._step.save_requested: self._observers.save_is_due(reached + count),
            }
            if self._step.count is not None:
                fed[self._step.count] = count
            begun = time.monotonic()
            try:
                with startup.without_xla_chatter(self.warm_up):
                    run = self._run_placed(session) if look_at_placement else session.run
                    values = self._observers.run(reached, count, self._step.fetches, fed, run)
                    look_at_placement = False
            except tf.errors.OpError as error:
                if not _of_the_input(error):
                    raise
                if self._step.count is not None:
                    reached = self.reached = int(raw.run(self._step.reached))
                self._rescue(raw)
                if isinstance(error, tf.errors.OutOfRangeError):
                    # MonitoredSession would take it for the end of the run.
                    raise errors.DataError(
                        f'The records have ended after step {reached}: are files cut off?'
                    ) from error
                raise
            taken = time.monotonic() - begun
            self._is_first = False
            if self.warm_up:
                self._tell(self._observers.say, f'the first step took {taken:.1f} s')
                self.warm_up = False
            each = [values] if self._step.count is None else repetition.outcomes(values)
            for number, values in enumerate(each, 1):
                reached = self.reached = int(values['step'])
                self._guard.beat(reached)
                if values['failed']:
                    self._leave_out(values, reached)
                else:
                    self._look_at_scale(values, reached)
                    late = taken * (len(each) - number) / len(each)
                    self._tell(self._observers.after_step, self._report(values, late))
            ending = bool(values['stop'])
            if ending and self._stop.number:
                name = signal.Signals(self._stop.number).name
                self._tell(monitor.say, f'{name}: stopping after step {reached}')
            due = None if ending else self._validations
            due = due if due and due.due(reached) else None
            if self.recalibration and (reached >= self._total_steps or (due and due.recalibrated)):
                self._recalibrate(raw)
            if values['save'] or ending or reached >= self._total_steps:
                self._save(raw, reached)
            elif reached % self._check_every == 0:
                self._variables.reconcile(raw, f'after step {reached}')
            if due:
                ending = self._validate(raw, reached)
        if self._failure:
            raise self._failure

    def _run_placed(self, session: tf.train.MonitoredSession) -> Callable[..., Any]:
        """As `session.run`; tells where the operations are, with DeviceError where they do not
        belong."""

        def run(
            fetches: Any,
            fed: Mapping[Any, Any],
            options: tf.RunOptions | None = None,
            run_metadata: tf.RunMetadata | None = None,
        ) -> Any:
            watched = tf.RunOptions(output_partition_graphs=True)
            if options is not None:
                watched.MergeFrom(options)
            report = tf.RunMetadata() if run_metadata is None else run_metadata
            values = session.run(fetches, fed, options=watched, run_metadata=report)
            placed = placement.check(session.graph, report.partition_graphs)
            self._tell(self._observers.say, placed)
            return values

        return run

    def _steps_to_run(self, reached: int) -> int:
        """How many steps go into the next run of the session, so that it ends where a save or a
        validation is due, workers are compared, or the run of all ends; one alone where it is to
        stop, and at first: the step that builds or compiles the graph would spoil the rate of those
        beside it."""
        if self._stop.number or self._failure or self._is_first:
            return 1
        ends = [self._total_steps - reached]
        for every in (self._chosen.save_interval_steps, self._check_every):
            if every:
                ends.append(every - reached % every)
        if self._validations:
            ends.append(self._validations.next_due(reached) - reached)
        return min(self._step.most, *ends)

    def _validate(self, session: tf.Session, reached: int) -> bool:
        """Where a validation begins and ends; returns whether the run is to end after it.

        All workers evaluate the same values, and so decide alike.
        """
        assert self._validations
        begun = time.monotonic()
        if self._saved_at != reached:
            self._variables.reconcile(session, f'after step {reached}')
        try:
            outcome = self._validations.run(
                session, reached, lambda: self._guard.beat(reached), lambda: bool(self._stop.number)
            )
        except errors.DataError:
            self._rescue(session)
            raise
        if outcome is None:
            line = f'asked to stop: the validation after step {reached} is left to the next start'
            self._tell(self._observers.say, line)
        ending = outcome is None or bool(outcome.end)
        keeps = outcome is not None and outcome.is_best and self._validations.keeps_best
        if (ending or keeps) and self._saved_at != reached:
            self._save(session, reached)
        if outcome is not None:
            self._tell(self._observers.after_validation, outcome)
            if outcome.end:
                self._tell(self._observers.say, f'stopping after step {reached}: {outcome.end}')
        self._observers.paused(time.monotonic() - begun)
        return ending

    def _tell(self, tell: Callable[[Any], None], what: Any) -> None:
        """Logs, unless that has failed before."""
        try:
            if not self._failure:
                tell(what)
        except errors.OutputError as error:
            self._failure = error

    def _recalibrate(self, session: tf.Session) -> None:
        assert self.recalibration
        begun = time.monotonic()
        try:
            self.recalibration.run(session)
        except tf.errors.OpError:
            self._rescue(session)
            raise
        taken = time.monotonic() - begun
        self._tell(
            self._observers.say,
            f'statistics of batch norm computed anew over {self._chosen.recalibrate_batch_norm} '
            f'batches in {taken:.1f} s',
        )
        self._observers.paused(taken)

    def _rescue(self, session: tf.Session) -> None:
        """Saves once more what an error of the input would take away."""
        # The other workers wait for this one in the step, and not in a save.
        if not self._variables.of_many_workers and self.reached != self._observers.saved_step:
            with contextlib.suppress(errors.SuiteError):  # The first error is the one to tell.
                self._save(session, self.reached)

    def _save(self, session: tf.Session, reached: int) -> None:
        self._variables.reconcile(session, f'after step {reached}')
        if not session.run(self._step.weights_finite):
            raise errors.NonFiniteLossError(
                f'Weights are not finite after step {reached}; {self._after_nan()}'
            )
        self._observers.save(session, reached)
        self._saved_at = reached
        self.last_good = os.path.join(self._chosen.train_dir, f'{files.CHECKPOINT_NAME}-{reached}')

    def _report(self, values: Mapping[str, Any], late: float) -> monitor.StepReport:
        return monitor.StepReport(
            step=int(values['step']),
            loss=float(values['loss']),
            learning_rate=float(values['learning_rate']),
            losses=values['losses'],
            data_wait_secs=float(values.get('data_wait_secs', 0.0)),
            skipped=int(values.get('skipped', 0)),
            labels=values.get('labels'),
            left_out=self.left_out,
            late=late,
            overflowed=self.overflowed,
            loss_scale=float(values['loss_scale']) if 'loss_scale' in values else None,
        )

    def _look_at_scale(self, values: Mapping[str, Any], reached: int) -> None:
        """Counts a step that overflowed; NonFiniteLossError where no scale is low enough."""
        self.overflowed += bool(values.get('overflowed'))
        if values.get('loss_scale', loss_scale.LOWEST) < loss_scale.LOWEST:
            good = self._after_nan()
            raise errors.NonFiniteLossError(
                f'The gradients overflow in fp16 at step {reached} even without a loss scale; '
                f'{good}, or use --dtype=bf16'
            )

    def _leave_out(self, values: Mapping[str, Any], reached: int) -> None:
        """Counts a step that was not finite; NonFiniteLossError where such steps end the run."""
        said = (
            f'The loss is {values["loss"]} at step {reached} with learning rate '
            f'{values["learning_rate"]:.6g}{self._elsewhere}'
        )
        if np.isfinite(values['loss']) and not self._elsewhere:
            said = said.replace('The loss is', 'A gradient is not finite, with a loss of', 1)
        if self._chosen.on_nan != 'skip':
            raise errors.NonFiniteLossError(
                f'{said}; {self._after_nan()}, or leave such steps out with --on_nan=skip'
            )
        self.left_out += 1
        if self.left_out > self._chosen.max_nan_steps:
            raise errors.NonFiniteLossError(
                f'{said}, which is one more than --max_nan_steps={self._chosen.max_nan_steps}; '
                + self._after_nan()
            )
        allowed = self._chosen.max_nan_steps
        line = f'warning: {said}: the step is left out, {self.left_out} of at most {allowed}'
        self._tell(self._observers.say, line)

    def _after_nan(self) -> str:
        good = 'no checkpoint was written since the start'
        if self.last_good:
            good = f'the last good checkpoint is {self.last_good}'
        return f'{good}. {_AGAINST_NAN}'
