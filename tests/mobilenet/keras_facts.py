"""The contract of the Keras models, as the first ones had it, and golden numbers of theirs."""

from __future__ import annotations

import functools
import gzip
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import golden_values
import numpy as np
import pytest

from mobilenet.configs import archs

FOLDER = pathlib.Path(__file__).parents[1] / 'data' / 'keras'


def _json(name: str) -> Any:
    return json.loads(gzip.decompress((FOLDER / f'{name}.json.gz').read_bytes()))


CONTRACT = _json('contract')
VARIANTS = [
    (network, variant)
    for network, facts in CONTRACT['networks'].items()
    for variant in facts['variants']
]
GOLDENS = {case['name']: case for case in _json('goldens')}
# Of widths and forms beside those that are always tested.
DEEP = (pytest.mark.slow, pytest.mark.once)
BY_NAME = {kind().name: kind for kind in archs.MODEL_CONFIGS.values()}


def variant_config(network: str, variant: str, **values: Any) -> archs.MobileNetConfig:
    """The configuration of `0.75` or `0.75 not fine-grained`."""
    config = archs.MODEL_CONFIGS[network](width_multiplier=float(variant.split()[0]), **values)
    if 'not' in variant:
        config.finegrain_classification_mode = False
    return config


def write_checkpoint(prefix: pathlib.Path, values: Mapping[str, Any]) -> str:
    """Values by name as a checkpoint of TensorFlow 1."""
    from mobilenet.tf1_loader import slim_checkpoint

    prefix.parent.mkdir(parents=True, exist_ok=True)
    slim_checkpoint.write(str(prefix), values)
    return str(prefix)


def golden_checkpoint(
    folder: pathlib.Path, case: dict[str, Any], shapes: Mapping[str, Any], with_raw: bool = False
) -> str:
    """What training would have left: averages, the weights they are of, slots, a step.

    The weights are zeros unless `with_raw`: drawing them takes time.
    """
    values: dict[str, Any] = {'global_step': np.int64(5)}
    for variable, shape in shapes.items():
        name = f'{case["tf1_scope"]}/{variable}'
        raw = golden_values.variable_value(f'raw/{name}', shape, case['gain']) if with_raw else None
        values[name] = np.zeros(shape, np.float32) if raw is None else raw
        averaged = golden_values.variable_value(name, shape, case['gain'])
        values[f'{name}/ExponentialMovingAverage'] = averaged
        values[f'{name}/RMSProp_1'] = np.ones(shape, np.float32)
    return write_checkpoint(folder / 'model.ckpt-5', values)


@functools.cache
def golden_logits(name: str) -> np.ndarray:
    with np.load(FOLDER / 'goldens.npz') as archive:
        return archive[name]


def check_model(model: Any, network: str, variant: str) -> None:
    """Asserts that a model has the layers and weights of the contract."""
    facts = CONTRACT['networks'][network]
    wanted = facts['variants'][variant]
    assert model.name == facts['model_name']
    assert [layer.name for layer in model.layers] == facts['layer_names']
    assert [type(layer).__name__ for layer in model.layers] == facts['layer_types']
    assert [layer.count_params() for layer in model.layers] == wanted['params']
    assert model.count_params() == wanted['total']
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable == wanted['trainable']
    assert len(model.losses) == wanted['regularization_losses']
