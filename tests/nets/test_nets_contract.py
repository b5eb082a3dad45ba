"""Every network of the factory against its contract file: a new row is tested by having one."""

from __future__ import annotations

import functools
from typing import Any

import network_facts
import pytest

import slim
from nets import nets_factory, published
from nets.mobilenet import mobilenet as lib
from nets.mobilenet import mobilenet_v2, mobilenet_v3
from runtime.results import inspection

NETWORKS = network_facts.networks()


def _close(value: Any) -> Any:
    """`value` with the floating-point numbers in it rounded to six digits; float32 has no more.

    Before that to eight decimals, as the files have them: 0.048631247 stands there as 0.04863125.
    """
    if isinstance(value, float):
        return float(f'{round(value, 8):.6g}')
    if isinstance(value, dict):
        return {key: _close(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_close(item) for item in value]
    return value


def _assert_facts(built: network_facts.Built, contract: dict[str, Any]) -> None:
    measured = network_facts.measure(built, list(contract))
    for fact, expected in contract.items():
        assert _close(measured[fact]) == _close(expected), fact


@pytest.mark.parametrize(('name', 'form'), network_facts.networks_and_forms())
def test_network_is_what_the_contract_says(name: str, form: str) -> None:
    contract = network_facts.load_contract(name)
    network_fn = nets_factory.get_network_fn(
        name, contract['num_classes'], weight_decay=4e-5, is_training=form == 'train'
    )
    built = network_facts.build(network_fn, contract['input_shape'])
    _assert_facts(built, contract[form])
    if form == 'train':
        assert network_facts.variables_without_gradient(built) == []
    else:
        with built.graph.as_default():
            layers = inspection.layers()
        batch = contract['input_shape'][0]
        macs = sum(entry['macs'] for entry in contract['eval']['macs'].values())
        assert sum(layer.multiply_adds for layer in layers) == macs * batch
        assert sum(layer.parameters for layer in layers) == contract['eval']['total_params']
        assert [layer for layer in layers if layer.output is None] == []


@pytest.mark.parametrize('name', NETWORKS)
def test_image_size_is_on_the_row_and_on_the_function(name: str) -> None:
    expected = network_facts.load_contract(name)['default_image_size']
    row = next(row for row in nets_factory.NETWORKS if row.name == name)
    assert row.image_size == expected
    assert nets_factory.get_network_fn(name, num_classes=10).default_image_size == expected


def test_what_a_network_was_published_for_is_data() -> None:
    assert list(published.NETWORKS) == list(nets_factory.networks_map)
    for name in network_facts.classifiers():
        about = published.NETWORKS[name]
        contract = network_facts.load_contract(name)
        frames = [about.frames] if about.frames else []
        size = contract['default_image_size']
        assert contract['input_shape'][1:] == [*frames, size, size, about.channels], name
        assert contract['num_classes'] == about.num_classes, name
        variables = [variable for variable, *_ in contract['train']['variables']]
        assert any(variable.startswith(f'{about.scope}/') for variable in variables), name


LIBRARY_FORMS = {
    'mobilenet_v2_os16': functools.partial(mobilenet_v2.mobilenet_base, output_stride=16),
    'mobilenet_v2_os8_explicit': functools.partial(
        mobilenet_v2.mobilenet_base, output_stride=8, use_explicit_padding=True
    ),
    'mobilenet_v2_base_group_norm': mobilenet_v2.mobilenet_base_group_norm,
    'mobilenet_v3_large_075': functools.partial(mobilenet_v3.large, depth_multiplier=0.75),
    'mobilenet_v3_large_detection': functools.partial(
        mobilenet_v3.mobilenet, conv_defs=mobilenet_v3.V3_LARGE_DETECTION
    ),
    'mobilenet_v3_large_groupnorm': functools.partial(mobilenet_v3.large, use_groupnorm=True),
    'mobilenet_v3_small_detection': functools.partial(
        mobilenet_v3.mobilenet, conv_defs=mobilenet_v3.V3_SMALL_DETECTION
    ),
}
_RECORDED_WITHOUT_AN_ARG_SCOPE = ('mobilenet_v2_base_group_norm',)


@pytest.mark.slow
@pytest.mark.parametrize('name', LIBRARY_FORMS)
def test_library_form_is_what_the_contract_says(name: str) -> None:
    contract = network_facts.load_contract(f'variants/{name}')
    scope = {}
    if name not in _RECORDED_WITHOUT_AN_ARG_SCOPE:
        scope = lib.training_scope(is_training=True, weight_decay=4e-5)
    with slim.arg_scope(scope):
        built = network_facts.build(LIBRARY_FORMS[name], contract['input_shape'])
    _assert_facts(built, {**contract['train'], 'macs': contract['eval']['macs']})
