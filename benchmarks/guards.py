"""What the guards of a run cost: a share of a step, and seconds at the start.

  python3 benchmarks/guards.py

Trains mobilenet_v2 at 224 pixels for some steps, and calls what guards a step as often as takes a
measurable time. Then starts a run again in the same folder, as far as the guards go: the checkpoint
is read and its checksums compared, the folder locked and searched for left-overs, run.json written.
What training has always done at a start, to find the checkpoint and its step, is taken off. Guards
are measured in processor seconds, so that a busy machine gives the same numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
STEPS = 12
CALLS = 100_000
REPEATS = 5
MOST_OF_A_STEP, MOST_AT_THE_START = 0.01, 0.3


def train(folder: str, dataset_dir: str) -> tuple[Any, Any, float]:
    """Flags and runtime of a short training, and the seconds of a steady step."""
    import train_image_classifier
    from runtime import app, flags, options, startup

    app.parse_flags(
        [
            'train_image_classifier.py',
            f'--dataset_dir={dataset_dir}',
            f'--train_dir={folder}',
            f'--max_number_of_steps={STEPS}',
            *('--model_name=mobilenet_v2', '--batch_size=8', '--log_every_n_steps=1'),
        ]
    )
    chosen = flags.read(options.Training)
    runtime = startup.start(chosen.device, chosen.workers)
    train_image_classifier.train(chosen, runtime)
    lines = pathlib.Path(folder, 'metrics.jsonl').read_text().splitlines()
    return chosen, runtime, statistics.median(json.loads(x)['sec_per_step'] for x in lines[2:])


def guards_of_a_step(chosen: Any) -> dict[str, Callable[[], Any]]:
    """What is asked in each step beside its computation."""
    from runtime.training import loop, observers

    watching = observers.Observers.__new__(observers.Observers)
    watching._options, watching._saved_time = chosen.run, time.monotonic()
    stepping = loop._Loop.__new__(loop._Loop)
    return {
        'is a checkpoint due': lambda: watching.save_is_due(7),
        'has a log failed': lambda: stepping._tell(bool, None),
    }


def start_again(chosen: Any, runtime: Any, dataset: Any) -> dict[str, float]:
    """Processor seconds of each guard of a start in the folder of the run."""
    from runtime import options
    from runtime.checkpoints import files, keeping, listing, lock, starting
    from runtime.training import run_file

    folder = chosen.run.train_dir
    newest = listing.resumable(folder)[0]
    facts: dict[str, Any] = {}
    parts: dict[str, Callable[[], Any]] = {
        'find the newest checkpoint, compare checksums': lambda: starting.origin(folder, None),
        'less: find it and its step': lambda: files.global_step(newest.prefix),
        'lock the folder': lambda: None,
        'has another run saved meanwhile': lambda: starting.check_unchanged(folder, newest.prefix),
        'left-overs of a killed save': lambda: keeping.remove_left_over(folder),
        'facts for run.json': lambda: facts.update(
            run_file.facts(
                options.values(chosen), runtime, dataset, chosen.dataset.dataset_dir, STEPS
            )
        ),
        'compare and write run.json': lambda: run_file.begin(folder, facts),
    }
    taken = {}
    with contextlib.ExitStack() as stack:
        parts['lock the folder'] = lambda: stack.enter_context(lock.held(folder))
        for name, guard in parts.items():
            begin = time.process_time()
            guard()
            taken[name] = time.process_time() - begin
    return taken


def main() -> None:
    from runtime import startup

    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    startup.import_tensorflow_quietly()
    from datasets.conversion import digits
    from runtime import flags, lookup, options

    flags.define(options.Training)
    dataset_dir = digits.ensure_sample()
    with tempfile.TemporaryDirectory() as folder:
        chosen, runtime, step = train(folder, dataset_dir)
        total = 0.0
        for name, guard in guards_of_a_step(chosen).items():
            times = []
            for _ in range(REPEATS):
                begin = time.process_time()
                for _ in range(CALLS):
                    guard()
                times.append((time.process_time() - begin) / CALLS)
            total += min(times)
            print(f'{name:48} {min(times) * 1e6:9.2f} microseconds a step')
        print(f'{"all of them":48} {total / step:9.5%} of a step of {step:.3f} s')

        dataset = lookup.for_training(chosen).dataset
        runs = [start_again(chosen, runtime, dataset) for _ in range(REPEATS)]
        at_start = 0.0
        for name in runs[0]:
            seconds = min(run[name] for run in runs)
            at_start += -seconds if name.startswith('less') else seconds
            print(f'{name:48} {seconds:9.3f} s at the start')
        print(f'{"all of them":48} {at_start:9.3f} s at the start')
    if total / step > MOST_OF_A_STEP or at_start > MOST_AT_THE_START:
        raise SystemExit('the guards cost more than they may')


if __name__ == '__main__':
    main()
