"""Weights and images of the golden cases: reproducible from a name and a shape alone.

The golden numbers were taken with every variable filled by `variable_value`. A network that gives a
variable another name or shape, or puts it elsewhere, gets other numbers.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pathlib
from typing import Any

import numpy as np

GOLDENS = pathlib.Path(__file__).parents[1] / 'data' / 'goldens'


def _random(key: str) -> np.random.RandomState:
    """A generator seeded by the first four bytes of SHA-256 of the key and a fixed date."""
    digest = hashlib.sha256(f'20211222/{key}'.encode()).digest()
    return np.random.RandomState(int.from_bytes(digest[:4], 'little'))


# Last part of a variable's name -> its distribution; all others are weights.
_DISTRIBUTIONS = {
    'moving_variance': lambda random, shape: random.uniform(0.5, 1.5, shape),
    'moving_mean': lambda random, shape: random.normal(0.0, 0.1, shape),
    'gamma': lambda random, shape: random.uniform(0.7, 1.3, shape),
    'beta': lambda random, shape: random.normal(0.0, 0.1, shape),
    'bias': lambda random, shape: random.normal(0.0, 0.1, shape),
    'biases': lambda random, shape: random.normal(0.0, 0.1, shape),
}


def variable_value(name: str, shape: list[int], gain: float) -> np.ndarray:
    """float32 value of a variable; weights are normal with variance 2 gain^2 / fan-in."""
    leaf = name.split('/')[-1]
    random = _random(name)
    if leaf in _DISTRIBUTIONS:
        return _DISTRIBUTIONS[leaf](random, shape).astype(np.float32)
    fan_in = np.prod(shape[:2] if leaf == 'depthwise_weights' else shape[:-1])
    return random.normal(0.0, gain * np.sqrt(2.0 / int(fan_in)), shape).astype(np.float32)


def forward_images(network: str, size: int, batch: int, channels: int) -> np.ndarray:
    """float32 [batch, size, size, channels], -1..1."""
    random = _random(f'input/{network}/{size}')
    return random.uniform(-1, 1, [batch, size, size, channels]).astype(np.float32)


def training_batch(network: str, size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, float32 [batch, size, size, 3] in -1..1, and labels, int64 [batch] in 0..1000."""
    images = _random(f'input/train/{network}').uniform(-1, 1, [batch, size, size, 3])
    labels = _random(f'labels/{network}').randint(0, 1001, batch)
    return images.astype(np.float32), labels.astype(np.int64)


def initialize(session: Any, variables: list[Any], gain: float) -> dict[str, np.ndarray]:
    """Starts the variables at their golden values, in one run, and returns those by name."""
    values = {
        variable.op.name: variable_value(variable.op.name, variable.shape.as_list(), gain)
        for variable in variables
    }
    initial = {variable.initializer.inputs[1]: values[variable.op.name] for variable in variables}
    session.run([variable.initializer for variable in variables], initial)
    return values


def forward_cases() -> list[dict[str, Any]]:
    """The rows of the index; see `test_nets_goldens.py` for their keys."""
    return json.loads((GOLDENS / 'forward' / 'index.json').read_text())


def forward_logits(case: dict[str, Any]) -> np.ndarray:
    """float32 [batch, num_classes]."""
    with np.load(GOLDENS / 'forward' / case['logits']) as archive:
        return archive['logits']


def training_case(name: str) -> dict[str, Any]:
    return json.loads(gzip.decompress((GOLDENS / 'train' / f'{name}.json.gz').read_bytes()))
