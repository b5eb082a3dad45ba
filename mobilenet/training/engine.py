"""The compiled functions of a run, a training step and a batch of evaluation, and their sums."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from mobilenet import common_modules
from mobilenet.training import dropout, replicas
from mobilenet.training.averages import Averages
from runtime.training import classification
from runtime.workers import cluster as cluster_lib


@dataclasses.dataclass(frozen=True)
class Sums:
    """Over images: of a part of an epoch, or of a split."""

    loss: float
    correct: float
    images: float

    @property
    def mean_loss(self) -> float:
        return self.loss / self.images if self.images else math.nan

    @property
    def accuracy(self) -> float:
        return self.correct / self.images if self.images else math.nan


class Engine:
    """A model in training, on the replicas of a strategy and together with other workers.

    Attributes:
      model: probabilities; what it holds is evaluated and saved.
      averages: of its weights, or None.
      sums: float64 [3] variable, loss, right ones and images since it was set to 0.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        optimizer: Any,
        strategy: tf.distribute.Strategy,
        cluster: cluster_lib.Cluster,
        label_smoothing: float = 0.0,
        average_decay: float | None = None,
        seed: int = 0,
    ) -> None:
        self.model, self.optimizer, self.strategy = model, optimizer, strategy
        self.replicas = strategy.num_replicas_in_sync
        self._cluster, self._smoothing = cluster, label_smoothing
        self._logits = common_modules.logits_model(model)
        self._weights = self._logits.trainable_variables
        self._statistics = [v for v in model.non_trainable_variables if v.dtype.is_floating]
        with strategy.scope():
            iterations = optimizer.iterations  # Made here, in the scope.
            # Slots as well, else the first step would be traced twice in order to make them.
            optimizer._create_all_weights(self._weights)
            self.averages = Averages(self._weights, average_decay) if average_decay else None
        self.sums = tf.Variable(np.zeros(3), dtype=tf.float64, trainable=False, name='sums')
        dropout.follow_step(self._logits, iterations, seed, self._replica_number)
        as_graph = functools.partial(tf.function, autograph=False, jit_compile=False)
        self._train_step = as_graph(self._training_step)
        self._eval_step = as_graph(self._evaluation_step)
        self._are_finite = as_graph(self._all_finite)

    def make_equal(self) -> None:
        """Every worker gets rank 0's values."""
        if self._cluster.size > 1:
            averages = self.averages.values if self.averages else []
            self._cluster.broadcast(
                [*self.model.variables, *averages, *self.optimizer.variables(), self.sums]
            )

    def train(
        self, next_batch: Callable[[], tuple[Any, Any]], stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """A step on the next batch of each replica; whether any worker is to stop after it."""
        images, labels = replicas.spread(self.strategy, next_batch)
        stopping = self._train_step(images, labels, tf.constant(stop()))
        return bool(stopping) if self._cluster.size > 1 else stop()

    def read_sums(self) -> Sums:
        """Of all workers since they were cleared."""
        rows = self._cluster.gather([float(value) for value in self.sums.numpy()])
        return Sums(*(sum(column) for column in zip(*rows, strict=True)))

    def local_sums(self) -> Sums:
        return Sums(*(float(value) for value in self.sums.numpy()))

    def clear_sums(self) -> None:
        self.sums.assign(np.zeros(3))

    def weights_finite(self) -> bool:
        return bool(self._are_finite())

    def share_statistics(self) -> None:
        """Batch norm's moving statistics become their mean over the workers."""
        if self._cluster.size > 1:
            self._cluster.average(self._statistics)

    def evaluate(
        self, batches: Iterator[Sequence[Any]], stopped: Callable[[], bool] = lambda: False
    ) -> Sums | None:
        """Over the images of all workers, each counted once; with the averages, if there are any.

        `batches`: (images, labels, real), of one shape. None where a worker was told to stop.
        """
        if self.averages:
            self.averages.swap()
        try:
            return self._evaluate(batches, stopped)
        finally:
            if self.averages:
                self.averages.swap()

    def _evaluate(
        self, batches: Iterator[Sequence[Any]], stopped: Callable[[], bool]
    ) -> Sums | None:
        total = np.zeros(3)
        done = object()
        batch = next(batches, done)
        while batch is not done and not stopped():
            last = [batch]

            def give(last: list[Any] = last) -> Any:
                """The next batch, or an empty one of the same shape for a replica without."""
                given = last[0]
                if given is done:
                    images, labels, real = last[1]
                    return images, labels, tf.zeros_like(real)
                last[:] = [next(batches, done), given]
                return given

            total += self._eval_step(*replicas.spread(self.strategy, give)).numpy()
            batch = last[0]
        rows = self._cluster.gather([*total.tolist(), float(stopped())])
        loss, correct, images, stops = (sum(column) for column in zip(*rows, strict=True))
        if stops:
            return None
        penalty = float(sum(float(value) for value in self._logits.losses))
        return Sums(loss + penalty * images, correct, images)

    # Inside of the compiled functions.

    def _training_step(self, images: Any, labels: Any, stop: tf.Tensor) -> tf.Tensor:
        sums = self.strategy.run(self._train_replica, (images, labels))
        self.sums.assign_add(self.strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None))
        return self._cluster.any_worker(stop, 'stop')

    def _train_replica(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = self._logits(images, training=True)
            loss = tf.reduce_mean(self._losses(labels, logits))
            if self._logits.losses:
                loss += tf.add_n(self._logits.losses)
            # The strategy adds the gradients of its replicas up.
            shared = loss / self.replicas
        gradients = tape.gradient(shared, self._weights)
        pairs = self._cluster.average_gradients(list(zip(gradients, self._weights, strict=True)))
        self.optimizer.apply_gradients(pairs)
        if self.averages:
            self.averages.update()
        count = tf.cast(tf.shape(labels)[0], tf.float64)
        right = tf.reduce_sum(tf.cast(tf.argmax(logits, axis=-1) == labels, tf.float64))
        return tf.stack([tf.cast(loss, tf.float64) * count, right, count])

    def _evaluation_step(self, images: Any, labels: Any, real: Any) -> tf.Tensor:
        sums = self.strategy.run(self._evaluate_replica, (images, labels, real))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

    def _evaluate_replica(self, images: tf.Tensor, labels: tf.Tensor, real: tf.Tensor) -> tf.Tensor:
        logits = self._logits(images, training=False)
        losses = tf.where(real, tf.cast(self._losses(labels, logits), tf.float64), 0.0)
        counts = classification.count_correct(logits, labels, real)
        return tf.stack(
            [
                tf.reduce_sum(losses),
                tf.cast(counts.top_1, tf.float64),
                tf.cast(counts.images, tf.float64),
            ]
        )

    def _losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """float32 [b]: cross entropy with the labels, smoothed over all classes."""
        classes = int(logits.shape[-1])
        shares = tf.one_hot(labels, classes) * (1.0 - self._smoothing) + self._smoothing / classes
        return tf.nn.softmax_cross_entropy_with_logits(shares, tf.cast(logits, tf.float32))

    def _all_finite(self) -> tf.Tensor:
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(w)) for w in self._weights])

    def _replica_number(self) -> Any:
        context = tf.distribute.get_replica_context()
        own = context.replica_id_in_sync_group if context else 0
        return self._cluster.rank * self.replicas + own
