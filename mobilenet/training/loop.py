"""The epochs of a run: steps, evaluation, saves, and the end in good order."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from mobilenet.training.engine import Engine, Sums
from mobilenet.training.record import Record
from mobilenet.training.state import State
from runtime.results import evaluator
from runtime.training import monitor, stopping
from runtime.workers import agreement
from runtime.workers import cluster as cluster_lib
from slim import errors

_AGAINST_NAN = 'Lower --lr or lengthen --warmup_epochs'


@dataclasses.dataclass(frozen=True)
class Plan:
    """The length of a run, and where its batches come from."""

    epochs: int
    steps_per_epoch: int
    training: Callable[[int], Iterator[Any]]  # first step to (images, labels) of a replica, endless
    evaluation: Callable[[], Iterator[Any]] | None  # (images, labels, real); None: no evaluation
    expected_images: int  # that the evaluation must see


class Loop:
    """A run from where `state` stands to its last epoch."""

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        state: State,
        record: Record | None,
        cluster: cluster_lib.Cluster,
        stop: stopping.Stop,
        rate: Callable[[int], float],
    ) -> None:
        self._plan, self._engine, self._state = plan, engine, state
        self._record, self._cluster, self._stop, self._rate = record, cluster, stop, rate
        self.last_good: str | None = None
        self.step = int(engine.optimizer.iterations.numpy())

    def run(self) -> None:
        """Trains, evaluates and saves, epoch by epoch; ends early after a signal, which is saved.

        Raises:
          NonFiniteLossError: the loss or a weight is NaN or infinite; nothing is saved after that.
          DataError: the evaluation saw another number of images than the split should hold.
        """
        finished = int(self._state.progress.epochs.numpy())
        if finished >= self._plan.epochs:
            self._tell(lambda _: monitor.say(f'nothing left to do: {finished} epochs are done'))
            return
        batches = self._plan.training(self.step)
        for epoch in range(finished, self._plan.epochs):
            if not self._train(epoch, batches):
                return

    def _train(self, epoch: int, batches: Iterator[Any]) -> bool:
        """One epoch, or what is left of it; False where it was interrupted."""
        begin = time.monotonic()
        self._tell(lambda record: record.begin_epoch(epoch))
        end = (epoch + 1) * self._plan.steps_per_epoch
        while self.step < end:
            stopping_now = self._engine.train(lambda: next(batches), self._stopped)
            self.step += 1
            self._look(end)
            if stopping_now and self.step < self._plan.epochs * self._plan.steps_per_epoch:
                self._interrupt()
                return False
        sums = self._engine.read_sums()
        self._check_finite(sums)
        self._engine.share_statistics()
        values = {'loss': sums.mean_loss, 'accuracy': sums.accuracy}
        seconds = time.monotonic() - begin
        if self._plan.evaluation:
            result = self._engine.evaluate(self._plan.evaluation(), self._stopped)
            if result is None:
                self._interrupt()
                return False
            evaluator.check_complete(int(result.images), self._plan.expected_images)
            values.update(val_loss=result.mean_loss, val_accuracy=result.accuracy)
        values['lr'] = self._rate(self.step)
        self._finish(epoch, values, seconds)
        return True

    def _stopped(self) -> bool:
        return self._stop.number is not None

    def _finish(self, epoch: int, values: dict[str, float], seconds: float) -> None:
        progress = self._state.progress
        progress.epochs.assign(epoch + 1)
        loss = values.get('val_loss', values['loss'])
        if loss < float(progress.best_loss.numpy()):
            progress.best_loss.assign(loss)
            progress.best_epoch.assign(epoch + 1)
        self._engine.clear_sums()

        def save() -> str:
            if self._record:
                self._record.end_epoch(epoch, values, seconds)
            return self._state.save_epoch()

        self.last_good = agreement.on_rank_0(self._cluster, save)

    def _interrupt(self) -> None:
        """Saves in the middle of an epoch."""
        self._check_finite(self._engine.local_sums())
        self._engine.share_statistics()
        prefix = agreement.on_rank_0(self._cluster, self._state.save_interrupted)
        name = signal.Signals(self._stop.number).name if self._stop.number else 'another worker'
        self._tell(
            lambda _: monitor.say(
                f'{name}: stopped after step {self.step} and saved {prefix}. Go on with the same '
                'command and --resume_checkpoint'
            )
        )

    def _look(self, end: int) -> None:
        """Shows what there is to show; ends the run where the loss is not finite."""
        first = end - self._plan.steps_per_epoch
        if self._record is None or not self._record.wants_sums(self.step):
            return
        sums = self._engine.local_sums()
        self._check_finite(sums)
        self._record.after_step(self.step, self.step - first, sums.mean_loss, sums.accuracy)

    def _check_finite(self, sums: Sums) -> None:
        if sums.loss - sums.loss == 0.0 and self._engine.weights_finite():
            return
        what = 'The loss is' if sums.loss - sums.loss != 0.0 else 'A weight is'
        good = f'the last good checkpoint is {self.last_good}'
        good = good if self.last_good else 'no checkpoint was written since the start'
        raise errors.NonFiniteLossError(
            f'{what} not finite by step {self.step}, at a rate of {self._rate(self.step - 1):.6g}; '
            f'{good}. {_AGAINST_NAN}'
        )

    def _tell(self, tell: Callable[[Record], object]) -> None:
        if self._record:
            tell(self._record)


@contextlib.contextmanager
def failures_told(cluster: cluster_lib.Cluster) -> Iterator[None]:
    """What TensorFlow raises for a lost worker or too little memory becomes a line."""
    try:
        yield
    except tf.errors.OpError as error:
        lost = cluster_lib.lost_worker(error, cluster)
        if lost:
            raise lost from error
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise errors.DeviceError(
                'The memory of the device is not enough: lower --batch_size'
            ) from error
        raise
