"""Throughput of two workers on two cores beside one process on both, with the same global batch.

  python3 benchmarks/many_workers.py

Trains mobilenet_v2 at 224 pixels on the built-in sample, in turn by one process and by two workers
under mpirun, several times. Prints the images per second of each and their ratio, of the medians.
Needs Horovod (`make horovod`).
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
ROUNDS = 3
STEPS = 20
GLOBAL_BATCH = 32
# The first steps fill caches and pipelines.
WARM_UP_STEPS = 5


def images_per_second(dataset_dir: str, workers: int) -> float:
    """Of the median step of one run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(ROOT / 'demo_mobilenetv2.py'),
            '--computation_type=train',
            '--use_horovod',
            f'--num_workers={workers}',
            f'--dataset_dir={dataset_dir}',
            f'--train_dir={folder}',
            f'--batch_size={GLOBAL_BATCH // workers}',
            f'--max_number_of_steps={STEPS}',
            '--log_every_n_steps=1',
        ]
        finished = subprocess.run(command, capture_output=True, text=True)
        if finished.returncode:
            raise SystemExit(finished.stdout + finished.stderr)
        lines = pathlib.Path(folder, 'metrics.jsonl').read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return statistics.median(record['images_per_sec'] for record in records[WARM_UP_STEPS:])


def main() -> None:
    from datasets.conversion import digits

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    dataset_dir = digits.ensure_sample()
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(ROUNDS):
        for workers, values in rates.items():
            values.append(images_per_second(dataset_dir, workers))
            print(f'round {number + 1}: {workers} worker(s) {values[-1]:6.1f} images/s', flush=True)
    one, two = (statistics.median(values) for values in rates.values())
    print(f'2 workers: {two:.1f} images/s, 1 process: {one:.1f} images/s, ratio {two / one:.3f}')


if __name__ == '__main__':
    main()
