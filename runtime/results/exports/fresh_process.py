"""Runs exported files on the same images, in a process that knows nothing of how they were made.

  python3 -m runtime.results.exports.fresh_process FOLDER

FOLDER has `job.json` ([{"path": ..., "takes": ...}, ...]) and `inputs.npz`; `checking`, which
starts this, finds there `result.json` (an entry of each file) and `outputs.npz`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime.results import exported

_WARM_UP = 3
_LEAST_ROUNDS, _MOST_ROUNDS = 5, 50
_SECONDS_PER_FILE = 1.0


def pack_bytes(files: Sequence[bytes]) -> dict[str, Any]:
    """Image files as arrays, for numpy's own format, which has no strings of bytes."""
    return {
        'bytes': np.frombuffer(b''.join(files), np.uint8),
        'lengths': np.array([len(file) for file in files], np.int64),
    }


def unpack_bytes(packed: Any) -> list[bytes]:
    whole = packed['bytes'].tobytes()
    ends = np.cumsum(packed['lengths'])
    return [whole[end - length : end] for end, length in zip(ends, packed['lengths'], strict=True)]


def main(folder: str) -> None:
    with open(os.path.join(folder, 'job.json'), encoding='utf-8') as file:
        jobs = json.load(file)
    packed = np.load(os.path.join(folder, 'inputs.npz'))
    inputs = {exported.IMAGES: packed['images'], exported.IMAGE_BYTES: unpack_bytes(packed)}
    results: list[dict[str, Any]] = []
    outputs: dict[str, Any] = {}
    models: list[tuple[dict[str, Any], Any, Any]] = []
    for number, job in enumerate(jobs):
        try:
            model = exported.load(job['path'], job['takes'])
            outputs[str(number)] = model.run(inputs[model.takes])
        except Exception as error:  # It is the answer: this file does not run.
            words = ' '.join(str(error).split()) or type(error).__name__
            results.append({'error': words[:300]})
            continue
        results.append({})
        models.append((results[-1], model, inputs[model.takes][:1]))
    _measure(models)
    np.savez(os.path.join(folder, 'outputs.npz'), **outputs)
    with open(os.path.join(folder, 'result.json'), 'w', encoding='utf-8') as file:
        json.dump(results, file)


def _measure(models: Sequence[tuple[dict[str, Any], Any, Any]]) -> None:
    """Adds the milliseconds of one image to each entry: the files take turns, so that what else
    the machine does is no difference between them."""
    times: list[list[float]] = [[] for _ in models]
    for _, model, one in models:
        for _ in range(_WARM_UP):
            model.run(one)
    begin = time.perf_counter()
    for done in range(_MOST_ROUNDS):
        if done >= _LEAST_ROUNDS and time.perf_counter() - begin > _SECONDS_PER_FILE * len(models):
            break
        for taken, (_, model, one) in zip(times, models, strict=True):
            start = time.perf_counter()
            model.run(one)
            taken.append(time.perf_counter() - start)
    for taken, (entry, _, _) in zip(times, models, strict=True):
        entry['latency_ms'] = round(float(np.median(taken)) * 1000, 3)
        entry['best_latency_ms'] = round(min(taken) * 1000, 3)


if __name__ == '__main__':
    main(sys.argv[1])
