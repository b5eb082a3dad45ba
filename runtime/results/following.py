"""Waits for the checkpoints of a run that goes on meanwhile, and has each evaluated once."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Collection
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import options
from runtime.checkpoints import best, listing
from runtime.training import monitor, run_file
from runtime.workers import agreement
from runtime.workers import cluster as cluster_lib
from slim import errors


def evaluate_each(chosen: Any, cluster: cluster_lib.Cluster, evaluate: Callable[[Any], int]) -> int:
    """`evaluate(chosen)`, or that for each checkpoint of a folder as it comes; the exit code.

    Args:
      chosen: flags of an evaluation, whose `run` has `FollowingOptions` and a checkpoint_path.
      cluster: the workers.
      evaluate: takes such flags.
    """
    check(chosen.run)
    if chosen.run.eval_interval_secs is None:
        return evaluate(chosen)

    def evaluate_one(checkpoint: str) -> None:
        evaluate(options.with_values(chosen, {'checkpoint_path': checkpoint}))

    follow(chosen.run, cluster, evaluate_one)
    return 0


def check(run: Any) -> None:
    """UsageError for flags that do not go together."""
    path = run.checkpoint_path
    if run.eval_interval_secs is None and run.timeout_secs is not None:
        raise errors.UsageError(
            f'--timeout_secs={run.timeout_secs} has no effect without --eval_interval_secs'
        )
    if run.eval_interval_secs is None or tf.gfile.IsDirectory(path):
        return
    prefix = listing.prefix_of(path)
    if tf.gfile.Exists(path) or tf.gfile.Exists(f'{prefix}.index'):
        raise errors.UsageError(
            f'--checkpoint_path={path} is one checkpoint: --eval_interval_secs takes the folder '
            'of a run'
        )


def follow(
    run: Any,
    cluster: cluster_lib.Cluster,
    evaluate: Callable[[str], object],
) -> None:
    """Calls `evaluate` with the prefix of each checkpoint of the folder, in the order of steps.

    Ends where the training has ended by its own word, or after `timeout_secs` without a new one.
    Collective: rank 0 looks.

    Raises:
      CheckpointError: there was none at all in that time.
    """
    folder, done = run.checkpoint_path, set[str]()
    seen = time.monotonic()
    assert run.eval_interval_secs is not None
    while True:
        waited = time.monotonic() - seen
        look = functools.partial(_next, run, folder, done, waited)
        name, why = agreement.on_rank_0(cluster, look)
        if name:
            done.add(name)
            evaluate(os.path.join(folder, name))
            seen = time.monotonic()
        elif why:
            if cluster.rank == 0:
                monitor.say(why)
            return
        else:
            left = float('inf') if run.timeout_secs is None else run.timeout_secs - waited
            time.sleep(max(0.0, min(run.eval_interval_secs, left)))


def _next(run: Any, folder: str, done: Collection[str], waited: float) -> tuple[str, str]:
    """The next checkpoint to evaluate, or else why there is none to come; ('', '') for neither."""
    whole = [checkpoint for checkpoint in listing.checkpoints(folder) if not checkpoint.missing]
    there = {
        checkpoint.name: checkpoint.step for checkpoint in whole if checkpoint.step is not None
    }
    waiting = sorted(there.keys() - set(done), key=lambda name: there[name])
    if waiting:
        return waiting[0], ''
    reached = max((there[name] for name in done if name in there), default=0)
    if done and _ended(folder, reached):
        return '', f'the training has ended at step {reached}'
    if run.timeout_secs is not None and waited >= run.timeout_secs:
        if not done:
            raise errors.CheckpointError(
                f'--checkpoint_path={folder}: no checkpoint in {run.timeout_secs} seconds '
                '(--timeout_secs)'
            )
        return '', f'no new checkpoint in {run.timeout_secs} seconds (--timeout_secs)'
    return '', ''


def _ended(folder: str, reached: int) -> bool:
    """Whether the last start of the run has its end at or before this step, as it says itself."""
    try:
        starts = run_file.read(os.path.join(folder, run_file.RUN_FILE))
    except errors.DataError:
        return False
    flags: dict[str, Any] = starts[-1]['flags'] if starts else {}
    last = flags.get('max_number_of_steps')
    if isinstance(last, int) and reached >= last:
        return True
    rules: dict[str, Any] = {
        name: flags[name]
        for name in ('early_stop_patience', 'stop_threshold')
        if isinstance(flags.get(name), (int, float))
    }
    held, _ = best.read(folder, flags.get('keep_best') or options.METRICS[0], kept=False)
    ended = held and held.validated == reached and held.end(options.ValidationOptions(**rules))
    return bool(ended)
