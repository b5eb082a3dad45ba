"""Seconds from the command to steady training of mobilenet_v2 at 224 pixels, pinned to one core.

  python3 benchmarks/startup.py

Starts train_image_classifier.py on the built-in sample several times. Prints, for each run and as
the median, the seconds until the first step is done and until the second, and what a steady step
takes. The classic script needed about 27 seconds to steady stepping on one core.
"""

from __future__ import annotations

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
REPEATS = 3
STEPS = 6
_STEP = re.compile(r'global step (\d+): .*?\((\d+\.\d+) sec/step\)')


def seconds_to_steps(dataset_dir: str) -> tuple[float, float, float]:
    """Seconds from the command to the first and the second step's end, and of a steady step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(ROOT / 'train_image_classifier.py'),
            f'--dataset_dir={dataset_dir}',
            f'--train_dir={folder}',
            f'--max_number_of_steps={STEPS}',
            '--model_name=mobilenet_v2',
            '--batch_size=8',
            '--log_every_n_steps=1',
        ]
        begin = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        ends, steady = [], []
        for line in process.stdout:
            found = _STEP.match(line)
            if found:
                ends.append(time.monotonic() - begin)
                steady.append(float(found[2]))
        if process.wait() or len(ends) != STEPS:
            raise SystemExit(f'the training script failed with code {process.returncode}')
    return ends[0], ends[1], statistics.median(steady[1:])


def main() -> None:
    from datasets.conversion import digits

    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    dataset_dir = digits.ensure_sample()
    seconds_to_steps(dataset_dir)  # Reads TensorFlow from disk.
    runs = [seconds_to_steps(dataset_dir) for _ in range(REPEATS)]
    names = ('first step', 'second step', 'steady step')
    for name, values in zip(names, zip(*runs, strict=True), strict=True):
        shown = '  '.join(f'{value:.2f}' for value in values)
        print(f'{name:12} median {statistics.median(values):6.2f} s   of {shown}')


if __name__ == '__main__':
    main()
