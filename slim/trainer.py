"""The training step and the session loop."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim import (
    agreement,
    checkpoints,
    errors,
    input_errors,
    monitor,
    options,
    placement,
    schedules,
    startup,
    stopping,
    watchdog,
)
from slim import cluster as cluster_lib

# An error of the input pipeline and the last step that was finished, to a line for the user.
Explain = Callable[[Exception, int], str]

_AFTER_NAN = (
    'no checkpoint was written since they were finite. '
    'Lower --learning_rate or lengthen --warmup_epochs'
)


@dataclasses.dataclass(frozen=True)
class Update:
    """What changes the variables in a step."""

    optimizer: tf.train.Optimizer
    gradients: cluster_lib.GradientsAndVariables  # of this worker
    update_ops: Sequence[tf.Operation]  # moving statistics
    averages: checkpoints.MovingAverages | None
    also_run: Sequence[tf.Operation] = ()  # with every step, for what running them brings about


@dataclasses.dataclass(frozen=True)
class Step:
    """The tensors of one training step; running `fetches` performs it."""

    fetches: Mapping[str, Any]  # step, loss, learning_rate, losses, failed, stop, save, also_run
    stop_requested: Any  # bool placeholder, fed true once this process is told to stop
    save_requested: Any  # bool placeholder, fed true where a checkpoint is due after the step
    weights_finite: Any  # bool scalar, run before each save
    averages: checkpoints.MovingAverages | None


def run_length(
    chosen: options.Training, images_per_epoch: int, workers: int
) -> schedules.RunLength:
    """The length of the run that the flags describe, on `workers` workers."""
    return schedules.RunLength(
        chosen.run.max_number_of_steps,
        chosen.input.batch_size * chosen.clones.num_clones * workers,
        images_per_epoch,
    )


def announce(
    chosen: options.Training,
    runtime: startup.Runtime,
    length: schedules.RunLength,
    schedule: schedules.Schedule,
    input_note: str = '',
) -> None:
    """Says on rank 0 what is about to run; `input_note` is a line of its own."""
    if runtime.cluster.rank == 0:
        epochs = length.total_steps * length.images_per_step / length.images_per_epoch
        print(
            f'{runtime}, {runtime.cluster.size} worker(s)\n'
            f'{chosen.network.model_name} on {length.images_per_epoch} images of '
            f'{chosen.dataset.dataset_dir}: {length.total_steps} steps of {length.images_per_step} '
            f'images are {epochs:.2f} epochs\n'
            f'checkpoints and logs in {chosen.run.train_dir}',
            flush=True,
        )
        if input_note:
            print(input_note, flush=True)
        if runtime.cluster.size > 1:
            print(_workers_table(chosen, runtime.cluster, length, schedule), flush=True)


def _workers_table(
    chosen: options.Training,
    cluster: cluster_lib.Cluster,
    length: schedules.RunLength,
    schedule: schedules.Schedule,
) -> str:
    warmed = min(math.ceil(schedule.warmup_steps), length.total_steps - 1)
    ranks = ', '.join(f'{rank} {host}' for rank, host in enumerate(cluster.hosts))
    rows = [
        ('workers (rank host)', ranks),
        ('global batch', f'{cluster.size} x {chosen.input.batch_size} = {length.images_per_step}'),
        ('learning rate', chosen.schedule.learning_rate),
        (f'scaled ({chosen.schedule.lr_scaling})', f'x {schedule.scale:.6g}'),
        *(
            (f'rate at step {step}', f'{schedule.rate(step):.6g}')
            for step in sorted({0, warmed, length.total_steps // 2, length.total_steps - 1})
        ),
    ]
    return '\n'.join(f'  {name:<24}{value}' for name, value in rows)


def build_step(
    global_step: tf.Variable,
    total_loss: Any,
    learning_rate: Any,
    update: Update,
    cluster: cluster_lib.Cluster,
    fed: Mapping[str, Any] | None = None,
) -> Step:
    """One step: average gradients over workers, update, statistics, averages, then step + 1.

    The parts are ordered by control dependencies, and loss and step belong together: the step that
    is reported is the one that the loss was computed for.

    Args:
      global_step: int64 scalar variable.
      total_loss: scalar; the step fails where it is not finite on any worker.
      learning_rate: scalar tensor.
      update: what changes the variables.
      cluster: the workers.
      fed: tensors of the input, by name (`feed.Feed.tensors`).
    """
    stop_requested = tf.placeholder_with_default(False, [], name='stop_requested')
    save_requested = tf.placeholder_with_default(False, [], name='save_requested')
    failed = tf.logical_not(tf.math.is_finite(total_loss))
    events = cluster.any_worker(tf.stack([failed, stop_requested, save_requested]), 'events')
    averages = update.averages
    pairs = cluster.average_gradients(update.gradients)
    with tf.control_dependencies(update.update_ops):
        updated = update.optimizer.apply_gradients(pairs)
    with tf.control_dependencies([updated]):
        averaged = averages.update(global_step.read_value()) if averages else tf.no_op()
    with tf.control_dependencies([averaged]):
        step = global_step.assign_add(1, read_value=True)
    fetches = {
        'step': step,
        'loss': total_loss,
        'learning_rate': learning_rate,
        'losses': _loss_parts(total_loss),
        'failed': events[0],
        'stop': events[1],
        'save': events[2],
        'also_run': list(update.also_run),
        **(fed or {}),
    }
    norms = [tf.nn.l2_loss(variable.read_value()) for _, variable in pairs]
    return Step(
        fetches,
        stop_requested,
        save_requested,
        weights_finite=tf.math.is_finite(tf.add_n(norms)),
        averages=averages,
    )


def _loss_parts(total_loss: Any) -> dict[str, Any]:
    """Parts of the loss by TensorBoard tag."""
    parts = {f'losses/{loss.op.name}': loss for loss in tf.losses.get_losses()}
    regularization = tf.add_n([tf.constant(0.0), *tf.losses.get_regularization_losses()])
    parts['Losses/regularization_loss'] = regularization
    parts['Losses/clone_loss'] = total_loss - regularization
    return parts


def run(
    chosen: options.Training,
    length: schedules.RunLength,
    start: checkpoints.Start,
    step: Step,
    cluster: cluster_lib.Cluster,
    session_config: tf.ConfigProto | None = None,
    explain: Explain | None = None,
    look_at_placement: bool = False,
) -> int:
    """Trains to the last step, saves, and returns the exit code.

    The code is 0, or 128 + n where signal n ended the run early: the step in progress is finished
    and saved first. After SIGUSR1 it is 0, so that mpirun lets all workers end. `explain` puts an
    error of the input pipeline into words. `look_at_placement` checks after the first step that the
    variables and the network are where they were put.

    Raises:
      NonFiniteLossError: the loss or a weight is NaN or infinite; nothing is saved after that.
      DataError: a record that cannot be used.
      OutputError: a folder or checkpoint that cannot be written.
      WorkerError: the workers differ, or another one ended.
    """
    variables = agreement.Variables(cluster)
    creator = _SessionCreator(chosen.workers.master, session_config, start, step, variables)
    observers: _Observers | _NoObservers = _NoObservers()
    if cluster.rank == 0:
        checkpoints.make_folder(chosen.run.train_dir, 'train_dir')
        observers = _Observers(chosen.run, length, start.saver)
    watching = watchdog.watching(cluster, chosen.workers.worker_timeout_secs)
    with stopping.graceful() as stop, contextlib.closing(observers), watching as guard:
        loop = _Loop(chosen, length.total_steps, step, variables, observers, stop, guard)
        try:
            with tf.train.MonitoredSession(creator) as session:
                observers.start(creator.first_step)
                loop.run(session, creator.session, creator.first_step, look_at_placement)
        except tf.errors.OpError as error:
            mended = _expected(error, chosen, cluster, explain, loop.reached)
            if mended is None:
                raise
            raise mended from error
    return stop.exit_code


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
    if isinstance(error, (tf.errors.InvalidArgumentError, tf.errors.DataLossError)):
        return errors.DataError(explain(error, reached) if explain else input_errors.message(error))
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return errors.DeviceError(
            f'The memory of the device is not enough: lower --batch_size={chosen.input.batch_size}'
        )
    return None


class _Loop:
    """Steps to the end of a run, or to a signal; saves in between, when all workers agree."""

    reached = 0  # the last step that was finished

    def __init__(
        self,
        chosen: options.Training,
        total_steps: int,
        step: Step,
        variables: agreement.Variables,
        observers: _Observers | _NoObservers,
        stop: stopping.Stop,
        guard: watchdog.Guard,
    ) -> None:
        self._total_steps, self._step, self._variables = total_steps, step, variables
        self._check_every = chosen.workers.check_workers_every_n_steps
        self._observers, self._stop, self._guard = observers, stop, guard
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
        ending = False
        self.reached = reached
        while reached < self._total_steps and not ending:
            fed = {
                self._step.stop_requested: self._stop.number is not None,
                self._step.save_requested: self._observers.save_is_due(),
            }
            if look_at_placement:
                values, line = _first_step_placed(session, self._step.fetches, fed)
                self._observers.say(line)
                look_at_placement = False
            else:
                values = session.run(self._step.fetches, fed)
            reached = self.reached = int(values['step'])
            self._guard.beat(reached)
            if values['failed']:
                raise errors.NonFiniteLossError(
                    f'The loss is {values["loss"]} at step {reached} with learning rate '
                    f'{values["learning_rate"]:.6g}{self._elsewhere}; {_AFTER_NAN}'
                )
            self._observers.after_step(
                monitor.StepReport(
                    reached,
                    float(values['loss']),
                    float(values['learning_rate']),
                    values['losses'],
                    float(values.get('data_wait_secs', 0.0)),
                    int(values.get('skipped', 0)),
                )
            )
            ending = bool(values['stop'])
            if ending and self._stop.number:
                name = signal.Signals(self._stop.number).name
                monitor.say(f'{name}: stopping after step {reached}')
            if values['save'] or ending or reached >= self._total_steps:
                self._save(raw, reached)
            elif reached % self._check_every == 0:
                self._variables.reconcile(raw, f'after step {reached}')

    def _save(self, session: tf.Session, reached: int) -> None:
        self._variables.reconcile(session, f'after step {reached}')
        if not session.run(self._step.weights_finite):
            raise errors.NonFiniteLossError(
                f'Weights are not finite after step {reached}; {_AFTER_NAN}'
            )
        self._observers.save(session, reached)


def _first_step_placed(
    session: tf.train.MonitoredSession, fetches: Mapping[str, Any], fed: dict[Any, Any]
) -> tuple[Mapping[str, Any], str]:
    """A step, and where its operations are; DeviceError where they do not belong."""
    report = tf.RunMetadata()
    watched = tf.RunOptions(output_partition_graphs=True)
    values = session.run(fetches, fed, options=watched, run_metadata=report)
    return values, placement.check(session.graph, report.partition_graphs)


class _SessionCreator(tf.train.SessionCreator):
    """Makes the session: fresh values or a checkpoint's, then rank 0's on every worker.

    TensorFlow's own creator asks each variable whether it has a value, which costs seconds.
    """

    session: tf.Session | None = None
    first_step = 0

    def __init__(
        self,
        master: str,
        config: tf.ConfigProto | None,
        start: checkpoints.Start,
        step: Step,
        variables: agreement.Variables,
    ) -> None:
        self._master, self._config, self._start = master, config, start
        self._variables = variables
        self._global_step = tf.train.get_global_step()
        fresh = tf.no_op() if start.resume_from else tf.global_variables_initializer()
        self._initialize = tf.group(fresh, tf.tables_initializer())
        self._start_averages = (
            step.averages.start() if step.averages and start.warm_start_saver else None
        )

    def create_session(self) -> tf.Session:
        if self.session is not None:
            # MonitoredSession would go on with the first values after a lost connection.
            raise errors.SuiteError(
                'The session with the TensorFlow server was lost; start again to resume'
            )
        self.session = tf.Session(self._master, config=self._config)
        self.session.run(self._initialize)
        if self._start.resume_saver:
            self._start.resume_saver.restore(self.session, self._start.resume_from)
        if self._start.warm_start_saver:
            self._start.warm_start_saver.restore(self.session, self._start.warm_start_from)
        if self._start_averages is not None:
            self.session.run(self._start_averages)
        self._variables.make_equal(self.session)
        self.first_step = int(self.session.run(self._global_step))
        return self.session


class _Observers:
    """What rank 0 does beside the steps: log and save."""

    def __init__(
        self,
        run_options: options.TrainingRunOptions,
        length: schedules.RunLength,
        saver: tf.train.Saver,
    ) -> None:
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
        prefix = os.path.join(self._options.train_dir, checkpoints.CHECKPOINT_NAME)
        try:
            path = self._saver.save(session, prefix, global_step=step, write_meta_graph=False)
        except (tf.errors.OpError, OSError) as error:
            reason = ' '.join(str(error).split())[:200]
            raise errors.OutputError(f'Checkpoint {prefix} cannot be written: {reason}') from error
        self._saved_time = time.monotonic()
        monitor.say(f'saved {path}')

    def close(self) -> None:
        self._monitor.close()


class _NoObservers:
    """The other ranks write nothing."""

    def start(self, step: int) -> None: ...
    def after_step(self, report: monitor.StepReport) -> None: ...
    def say(self, line: str) -> None: ...
    def save_is_due(self) -> bool:
        return False

    def save(self, session: tf.Session, step: int) -> None: ...
    def close(self) -> None: ...
