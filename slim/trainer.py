"""The training step and the session loop."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim import checkpoints, errors, inputs, monitor, options, placement, schedules, startup
from slim import cluster as cluster_lib

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

    fetches: Mapping[str, Any]  # step, loss, learning_rate, losses, failed, stop, also_run
    stop_requested: Any  # bool placeholder, fed true once this process is told to stop
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
    chosen: options.Training, runtime: startup.Runtime, length: schedules.RunLength
) -> None:
    """Says on rank 0 what is about to run."""
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


def build_step(
    global_step: tf.Variable,
    total_loss: Any,
    learning_rate: Any,
    update: Update,
    cluster: cluster_lib.Cluster,
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
    """
    stop_requested = tf.placeholder_with_default(False, [], name='stop_requested')
    finite = tf.math.is_finite(total_loss)
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
        'failed': cluster.any_worker(tf.logical_not(finite), 'failed'),
        'stop': cluster.any_worker(stop_requested, 'stop'),
        'also_run': list(update.also_run),
    }
    norms = [tf.nn.l2_loss(variable.read_value()) for _, variable in pairs]
    return Step(
        fetches,
        stop_requested,
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
    records: inputs.RecordSet | None = None,
    look_at_placement: bool = False,
) -> int:
    """Trains to the last step, saves, and returns the exit code.

    The code is 0, or 128 + n where signal n ended the run early: the step in progress is finished
    and saved first. `records` are where one that cannot be used is looked for. `look_at_placement`
    checks after the first step that the variables and the network are where they were put.

    Raises:
      NonFiniteLossError: the loss or a weight is NaN or infinite; nothing is saved after that.
      DataError: a record that cannot be used.
      OutputError: a folder or checkpoint that cannot be written.
    """
    creator = _SessionCreator(chosen.workers.master, session_config, start, step, cluster)
    checkpoints.make_folder(chosen.run.train_dir, 'train_dir')
    observers = (
        _Observers(chosen.run, length, start.saver, step.weights_finite)
        if cluster.rank == 0
        else _NoObservers()
    )
    with _graceful_stop() as stop, contextlib.closing(observers):
        try:
            with tf.train.MonitoredSession(creator) as session:
                observers.start(creator.session, creator.first_step)
                first: Callable[..., Mapping[str, Any]] = _plain_step
                if look_at_placement:
                    first = functools.partial(_first_step_placed, prints=cluster.rank == 0)
                _loop(creator.first_step, length.total_steps, session, step, observers, stop, first)
        except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
            raise errors.DataError(inputs.readable_error(error, records)) from error
        except tf.errors.ResourceExhaustedError as error:
            raise errors.DeviceError(
                'The memory of the device is not enough: lower '
                f'--batch_size={chosen.input.batch_size}'
            ) from error
    return 128 + stop.number if stop.number else 0


def _loop(
    reached: int,
    total_steps: int,
    session: tf.train.MonitoredSession,
    step: Step,
    observers: _Observers | _NoObservers,
    stop: _Stop,
    run_step: Callable[..., Mapping[str, Any]],
) -> None:
    stopping = False
    while reached < total_steps and not stopping:
        values = run_step(session, step, {step.stop_requested: stop.number is not None})
        run_step = _plain_step
        reached = int(values['step'])
        if values['failed']:
            raise errors.NonFiniteLossError(
                f'The loss is {values["loss"]} at step {reached} with learning rate '
                f'{values["learning_rate"]:.6g}; {_AFTER_NAN}'
            )
        report = monitor.StepReport(
            reached, float(values['loss']), float(values['learning_rate']), values['losses']
        )
        observers.after_step(report)
        stopping = bool(values['stop'])
    if stop.number:
        print(f'{signal.Signals(stop.number).name}: stopping after step {reached}', flush=True)
    observers.finish()


def _plain_step(
    session: tf.train.MonitoredSession, step: Step, fed: dict[Any, Any]
) -> Mapping[str, Any]:
    return session.run(step.fetches, fed)


def _first_step_placed(
    session: tf.train.MonitoredSession, step: Step, fed: dict[Any, Any], prints: bool
) -> Mapping[str, Any]:
    """A step that prints where its operations are; DeviceError where they do not belong."""
    report = tf.RunMetadata()
    watched = tf.RunOptions(output_partition_graphs=True)
    values = session.run(step.fetches, fed, options=watched, run_metadata=report)
    line = placement.check(session.graph, report.partition_graphs)
    if prints:
        print(line, flush=True)
    return values


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
        cluster: cluster_lib.Cluster,
    ) -> None:
        self._master, self._config, self._start = master, config, start
        self._global_step = tf.train.get_global_step()
        fresh = tf.no_op() if start.resume_from else tf.global_variables_initializer()
        self._initialize = tf.group(fresh, tf.tables_initializer())
        self._start_averages = (
            step.averages.start() if step.averages and start.warm_start_saver else None
        )
        self._broadcast = cluster.broadcast(tf.global_variables()) if cluster.size > 1 else None

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
        for operation in (self._start_averages, self._broadcast):
            if operation is not None:
                self.session.run(operation)
        self.first_step = int(self.session.run(self._global_step))
        return self.session


class _Observers:
    """What rank 0 does beside the steps: log and save."""

    def __init__(
        self,
        run_options: options.TrainingRunOptions,
        length: schedules.RunLength,
        saver: tf.train.Saver,
        weights_finite: Any,
    ) -> None:
        self._options = run_options
        self._saver = saver
        self._weights_finite = weights_finite
        self._monitor = monitor.Monitor(
            run_options.train_dir,
            length,
            run_options.log_every_n_steps,
            run_options.save_summaries_secs,
        )

    def start(self, session: tf.Session, step: int) -> None:
        self._session, self._step, self._saved_step = session, step, step
        self._saved_time = time.monotonic()
        self._monitor.start(step)

    def after_step(self, report: monitor.StepReport) -> None:
        self._step = report.step
        self._monitor.after_step(report)
        if time.monotonic() - self._saved_time >= self._options.save_interval_secs:
            self._save()

    def finish(self) -> None:
        if self._step != self._saved_step:
            self._save()

    def close(self) -> None:
        self._monitor.close()

    def _save(self) -> None:
        if not self._session.run(self._weights_finite):
            raise errors.NonFiniteLossError(
                f'Weights are not finite after step {self._step}; {_AFTER_NAN}'
            )
        prefix = os.path.join(self._options.train_dir, checkpoints.CHECKPOINT_NAME)
        try:
            path = self._saver.save(
                self._session, prefix, global_step=self._step, write_meta_graph=False
            )
        except (tf.errors.OpError, OSError) as error:
            reason = ' '.join(str(error).split())[:200]
            raise errors.OutputError(f'Checkpoint {prefix} cannot be written: {reason}') from error
        self._saved_step, self._saved_time = self._step, time.monotonic()
        print(f'saved {path}', flush=True)


class _NoObservers:
    """The other ranks write nothing."""

    def start(self, session: tf.Session, step: int) -> None: ...
    def after_step(self, report: monitor.StepReport) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class _Stop:
    """The signal that asked for the end of the run, once there was one."""

    number: int | None = None


@contextlib.contextmanager
def _graceful_stop() -> Iterator[_Stop]:
    """SIGINT and SIGTERM are noted instead of ending the process; a second one ends it at once."""
    stop = _Stop()
    previous: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        del frame
        # No print here: the signal may have come in the middle of one.
        stop.number = number
        signal.signal(number, previous[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, note)
    try:
        yield stop
    finally:
        for caught, handler in previous.items():
            signal.signal(caught, handler)
