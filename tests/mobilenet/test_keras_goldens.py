"""The loaders and models against numbers of the first ones: logits, probabilities, layers."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import golden_values
import keras_facts
import numpy as np
import pytest
import tf_keras

from mobilenet import common_modules
from mobilenet.configs import archs
from mobilenet.tf1_loader import names, v1_loader, v2_loader, v3_loader

_LOADERS = {
    'MobileNetV1': v1_loader.load_mobilenet_v1,
    'MobileNetV2': v2_loader.load_mobilenet_v2,
    'MobileNetV3Large': v3_loader.load_mobilenet_v3_large,
    'MobileNetV3Small': v3_loader.load_mobilenet_v3_small,
    'MobileNetV3EdgeTPU': v3_loader.load_mobilenet_edgetpu,
}
# One case of each network is checked always.
_ALWAYS = (
    *('mobilenet_v1_96', 'mobilenet_v2_96', 'mobilenet_v3_large_96', 'mobilenet_v3_small_96'),
    'mobilenet_edgetpu_96',
)


def _variable_shapes(case: dict[str, Any], config: archs.MobileNetConfig) -> dict[str, Any]:
    rows = keras_facts.CONTRACT['tf1_variables'].get(case['network'])
    if rows:
        return {name.partition('/')[2]: shape for _, _, name, shape in rows}
    model = common_modules.mobilenet_model(config)
    variables = names.variables(model, names.name_map(type(config)))
    return {name: variable.shape.as_list() for name, variable in variables.items()}


def _config(case: dict[str, Any]) -> archs.MobileNetConfig:
    size = case['size']
    return keras_facts.BY_NAME[case['model_name']](
        width_multiplier=case['alpha'], input_shape=(size, size, 3)
    )


@pytest.fixture(
    scope='module',
    params=[
        name if name in _ALWAYS else pytest.param(name, marks=keras_facts.DEEP)
        for name in keras_facts.GOLDENS
    ],
)
def loaded(request, tmp_path_factory):
    """(case, the model that its loader made of its checkpoint, the checkpoint, what was said)."""
    case = keras_facts.GOLDENS[request.param]
    config = _config(case)
    folder = tmp_path_factory.mktemp(request.param)
    prefix = keras_facts.golden_checkpoint(folder, case, _variable_shapes(case, config))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        model = _LOADERS[case['model_name']](checkpoint_path=str(folder), config=config)
    return case, model, prefix, said.getvalue()


def _assert_near(got: Any, wanted: Any, tolerance: float, note: str = '') -> None:
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * scale, err_msg=note)


def test_outputs(loaded):
    """Layers are recorded as name, shape, mean, standard deviation and eight values, one at every
    (size // 8)th place of the flattened array."""
    case, model, prefix, said = loaded
    assert said == f'{case["model_name"]} from {prefix}: its moving averages\n'
    wanted_layers = [model.get_layer(row[0]).output for row in case['layers']]
    logits = model.get_layer('top/SpatialSqueeze').output
    look = tf_keras.Model(model.input, [logits, model.output, *wanted_layers])
    images = golden_values.forward_images(case['network'], case['size'], case['batch'], 3)
    got_logits, got_probabilities, *got_layers = (array.numpy() for array in look(images))

    name = case['name']
    _assert_near(got_logits, keras_facts.golden_logits(f'{name}_logits'), 1e-4)
    _assert_near(got_probabilities, keras_facts.golden_logits(f'{name}_probabilities'), 1e-4)
    assert got_logits.argmax(-1).tolist() == case['argmax']
    for row, array in zip(case['layers'], got_layers, strict=True):
        layer, shape, mean, stddev, values = row
        assert list(array.shape) == shape, layer
        scale = np.abs(array).max()
        places = array.ravel()[:: array.size // 8][:8]
        got = np.array([array.mean(), array.std(), *places])
        np.testing.assert_allclose(got, [mean, stddev, *values], 0, 1e-4 * scale, err_msg=layer)


def test_regularisation(loaded):
    case, model, _, _ = loaded
    assert len(model.losses) == case['num_regularized']
    wanted = case['regularization_loss_at_these_weights']
    np.testing.assert_allclose(float(sum(model.losses)), wanted, rtol=1e-5)


def test_contract_of_the_model(loaded):
    case, model, _, _ = loaded
    network = next(
        name for name, kind in archs.MODEL_CONFIGS.items() if kind().name == case['model_name']
    )
    keras_facts.check_model(model, network, f'{case["alpha"]}')
    # A built model tells slim's names by its layers alone.
    kind = archs.MODEL_CONFIGS[network]
    layers = {layer.name for layer in model.layers}
    assert names.of_model(layers) == (names.name_map(kind), names.scope_of(kind))
    assert names.scope_of(kind) == case['tf1_scope']


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=() if name == 'mobilenet_v1_96' else keras_facts.DEEP)
        for name, case in keras_facts.GOLDENS.items()
        if case['raw']
    ],
)
def test_last_weights(name, tmp_path, capsys):
    case = keras_facts.GOLDENS[name]
    config = _config(case)
    prefix = keras_facts.golden_checkpoint(tmp_path, case, _variable_shapes(case, config), True)
    model = _LOADERS[case['model_name']](prefix, config, use_mv_average=False)
    assert capsys.readouterr().out.endswith('its last weights\n')
    images = golden_values.forward_images(case['network'], case['size'], case['batch'], 3)
    logits = common_modules.logits_model(model)(images).numpy()
    _assert_near(logits, keras_facts.golden_logits(f'{name}_raw_logits'), 1e-4)


@pytest.mark.once
@pytest.mark.parametrize('network', keras_facts.CONTRACT['tf1_variables'])
def test_names_of_slims_layers(network):
    """Every pair of names, by the functions that the loaders have always had."""
    convert = {
        'mobilenet_v1': v1_loader.mobinetv1_tf1_tf2_name_convert,
        'mobilenet_v2': v2_loader.mobinetv2_tf1_tf2_name_convert,
    }.get(network, v3_loader.mobinetv3_tf1_tf2_name_convert)
    for layer, weight, name, _ in keras_facts.CONTRACT['tf1_variables'][network]:
        leaf = names.LEAVES.get(weight, weight)
        assert f'{convert(layer)}/{leaf}' == name.partition('/')[2]
