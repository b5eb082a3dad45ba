"""A validation's part of the training graph, and one exact pass over its split.

The network stands in the graph a second time, in its form for evaluation, on the variables of the
training or their moving averages. It has an input of its own that each pass starts anew, so nothing
is built, saved or loaded for a pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import options, startup
from runtime.checkpoints import averages
from runtime.results import evaluation_graph, evaluator
from runtime.training import validation
from runtime.workers import cluster as cluster_lib
from slim import errors

# After so long workers tell each other how far they are: none waits longer without a sign of life,
# and a signal to one of them ends the pass of all.
_ROUND_SECS = 5.0


def add(
    chosen: options.Training,
    parts: Any,
    runtime: startup.Runtime,
    moving_averages: averages.MovingAverages | None,
) -> validation.Evaluate:
    """Adds this worker's share to the default graph, which has the training by then.

    Args:
      chosen: the flags.
      parts: the `lookup.Parts` of the validation.
      runtime: the device, and which worker this is.
      moving_averages: those of the training, which are evaluated; None: the variables themselves.
    """
    cluster = runtime.cluster
    files = evaluator.part_of_worker(
        parts.dataset.data_sources, None, cluster.rank, cluster.size
    ).files
    share = None
    if files:
        getter = moving_averages.instead if moving_averages else None
        scope = tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=getter)
        with tf.name_scope('validation'), scope:
            share = evaluation_graph.add_counts(chosen, parts, runtime, files)
    must_be_whole = chosen.input.on_data_error != 'skip'
    return _Validator(share, cluster, parts.dataset.num_samples, must_be_whole, runtime.xla)


class _Validator:
    """One pass over the split, by all workers together."""

    def __init__(
        self,
        share: evaluation_graph.Counting | None,
        cluster: cluster_lib.Cluster,
        expected_images: int,
        must_be_whole: bool,
        compiled: bool,
    ) -> None:
        self._share, self._cluster = share, cluster
        self._expected = expected_images if must_be_whole else None
        self._compiled = compiled

    def __call__(
        self, session: tf.Session, beat: Callable[[], None], asked_to_stop: Callable[[], bool]
    ) -> tuple[int, Mapping[str, float]] | None:
        batches: Iterator[tuple[float, ...]] = iter(())
        if self._share:
            session.run(self._share.start)
            counts, explain = self._share.counts, self._share.explain
            batches = evaluator.each_batch(session, counts, explain, self._compiled)
            self._compiled = False
        mine, ended = evaluator.summed([]), False
        while True:
            begun = time.monotonic()
            while not ended and not asked_to_stop():
                batch = next(batches, None)
                ended = batch is None
                mine = evaluator.summed([mine, batch] if batch else [mine])
                beat()
                if self._cluster.size > 1 and time.monotonic() - begun >= _ROUND_SECS:
                    break
            told = self._cluster.gather([ended, asked_to_stop(), mine])
            beat()
            if any(stop for _, stop, _ in told):
                return None
            if all(done for done, _, _ in told):
                break
        images, top_1, top_5, loss = evaluator.summed([counted for _, _, counted in told])
        if not images:
            raise errors.DataError('The split of the validation holds no records')
        if self._expected is not None:
            evaluator.check_complete(int(images), self._expected)
        found = (top_1 / images, top_5 / images, evaluator.mean_loss(loss, images))
        return int(images), dict(zip(options.METRICS, found, strict=True))
