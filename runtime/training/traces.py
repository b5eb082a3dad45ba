"""Traces of some steps: for the profiler of TensorBoard, and for chrome://tracing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from runtime import folders, options
from slim import errors

tf1 = tf.compat.v1


def steps(chosen: options.WatchingOptions, total_steps: int) -> tuple[int, int] | None:
    """The first and the last step to trace, counted from 1; None where there are to be none.

    Raises:
      UsageError: a --profile_steps that this run would never see.
    """
    text = chosen.profile_steps
    if text is None:
        return None
    parts = [part.strip() for part in text.split(',')]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise errors.UsageError(
            f'--profile_steps={text}: two numbers of steps are needed, as in --profile_steps=10,20'
        )
    first, last = map(int, parts)
    if not 1 <= first <= last <= total_steps:
        raise errors.UsageError(
            f'--profile_steps={text}: FIRST,LAST with 1 <= FIRST <= LAST <= {total_steps}, the '
            'steps of this run'
        )
    return first, last


class Tracer:
    """Traces the runs of a session that hold any of the steps `first` to `last`."""

    def __init__(self, folder: str, first: int, last: int) -> None:
        self._folder, self._first, self._last = folder, first, last
        self._runs: list[tuple[int, Any]] = []  # last step, tf.StepStats
        self._profiling = False

    def run(self, reached: int, count: int, run: Callable[..., Any]) -> Any:
        """What `run(options=, run_metadata=)` gives, for the `count` steps after `reached`."""
        if reached + count < self._first or reached >= self._last:
            return run()
        if not self._profiling:
            tf.profiler.experimental.start(self._folder)
            self._profiling = True
        # The profiler has a card's kernels; two that look at those would be in each other's way.
        wanted = tf1.RunOptions(trace_level=tf1.RunOptions.SOFTWARE_TRACE)
        metadata = tf1.RunMetadata()
        with tf.profiler.experimental.Trace('train', step_num=reached + count, _r=1):
            values = run(options=wanted, run_metadata=metadata)
        self._runs.append((reached + count, metadata.step_stats))
        return values

    def after_step(self, step: int) -> list[str]:
        """Writes the traces once the last step is done; returns what to say about them."""
        return self.finish() if self._profiling and step >= self._last else []

    def finish(self) -> list[str]:
        """Writes what there is; returns what to say about it."""
        if not self._profiling:
            return []
        self._profiling = False
        first, last = self._first, self._runs[-1][0] if self._runs else self._first
        path = os.path.join(self._folder, f'trace_{first}_{last}.json')
        try:
            tf.profiler.experimental.stop()
            folders.write_text(path, json.dumps(chrome_trace(self._runs)))
        except (tf.errors.OpError, OSError) as error:
            raise folders.cannot_write(path, error) from error
        return [
            f'trace of steps {first} to {last}: {path} for chrome://tracing, and plugins/profile '
            f'in {self._folder} for TensorBoard (pip install tensorboard-plugin-profile)'
        ]


def chrome_trace(runs: Sequence[tuple[int, Any]]) -> dict[str, Any]:
    """The operations of some runs, in the form of chrome://tracing (its Trace Event Format).

    A device is a process there, and the operations that overlap are on lines of their own.

    Args:
      runs: last step and tf.StepStats of each.
    """
    events: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}
    for step, stats in runs:
        for device in stats.dev_stats:
            if device.device not in numbers:
                numbers[device.device] = number = len(numbers)
                name = {'name': device.device}
                events.append({'name': 'process_name', 'ph': 'M', 'pid': number, 'args': name})
            ends: list[int] = []  # of what is last on each line
            for node in sorted(device.node_stats, key=lambda node: node.all_start_micros):
                start, secs = node.all_start_micros, max(1, node.all_end_rel_micros)
                line = next((n for n, end in enumerate(ends) if end <= start), len(ends))
                ends[line : line + 1] = [start + secs]
                # "NAME = OPERATION(INPUTS)"
                operation = node.timeline_label.partition(' = ')[2].partition('(')[0]
                events.append(
                    {
                        'name': operation or node.node_name,
                        'ph': 'X',
                        'pid': numbers[device.device],
                        'tid': line,
                        'ts': start,
                        'dur': secs,
                        'args': {'name': node.node_name, 'step': step},
                    }
                )
    return {'traceEvents': events, 'displayTimeUnit': 'ms'}
