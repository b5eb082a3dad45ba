"""Names of the slim networks' variables for those of the Keras models.

    Keras layer                       slim, below its scope
    Conv2d_0_0/batch_norm             Conv2d_0/BatchNorm (V1), Conv/BatchNorm (V2, V3)
    Conv2d_3/depthwise                Conv2d_3_depthwise
    expanded_conv_3/project           expanded_conv_2/project
    .../squeeze_excite/squeeze        .../squeeze_excite/Conv
    top/Conv2d_1x1_output             Logits/Conv2d_1c_1x1

Slim's variable scopes count from 0 and leave the 0 away; Keras' blocks count from the stem on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mobilenet.configs import archs

NameMap = Callable[[str], str]

# A Keras weight's own name to slim's; the other weights are called the same.
LEAVES = {'kernel': 'weights', 'depthwise_kernel': 'depthwise_weights', 'bias': 'biases'}
# The order in which a Keras layer has them.
WEIGHT_ORDER = (
    *('depthwise_weights', 'weights', 'biases'),
    *('gamma', 'beta', 'moving_mean', 'moving_variance'),
)

_SHARED = (
    (r'/batch_norm$', '/BatchNorm'),
    (r'/layer_norm$', '/LayerNorm'),
    (r'/group_norm$', '/GroupNorm'),
    (r'^top/Conv2d_1x1_output', 'Logits/Conv2d_1c_1x1'),
)
_V1 = (
    (r'^Conv2d_(\d+)_\d+', r'Conv2d_\1'),
    (r'^Conv2d_(\d+)/(depthwise|pointwise)', r'Conv2d_\1_\2'),
)
_V2_AND_V3 = (
    (r'^Conv2d_\d+_(\d+)', lambda found: _numbered('Conv', int(found[1]))),
    (r'^expanded_conv_(\d+)', lambda found: _numbered('expanded_conv', int(found[1]) - 1)),
    (r'/squeeze_excite/squeeze', '/squeeze_excite/Conv'),
    (r'/squeeze_excite/excite', '/squeeze_excite/Conv_1'),
)


def _numbered(name: str, number: int) -> str:
    return f'{name}_{number}' if number else name


def _replaced(name: str, rules: tuple) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def v1_name(layer_name: str) -> str:
    """The slim layer, below its scope, of MobileNetV1's Keras layer."""
    return _replaced(layer_name, (*_V1, *_SHARED))


def v2_name(layer_name: str) -> str:
    """The slim layer, below its scope, of a Keras layer of MobileNetV2, V3 or EdgeTPU."""
    return _replaced(layer_name, (*_V2_AND_V3, *_SHARED))


def name_map(config: type[archs.MobileNetConfig]) -> NameMap:
    """Keras layer to slim layer, for the models of a configuration."""
    return v1_name if issubclass(config, archs.MobileNetV1Config) else v2_name


# The variable scope that the slim network has by default.
_SCOPES = (
    (archs.MobileNetV1Config, 'MobilenetV1'),
    (archs.MobileNetV2Config, 'MobilenetV2'),
    (archs.MobileNetV3EdgeTPUConfig, 'MobilenetEdgeTPU'),
    (archs.MobileNetV3LargeConfig, 'MobilenetV3'),
    (archs.MobileNetV3SmallConfig, 'MobilenetV3'),
)


def scope_of(config: type[archs.MobileNetConfig]) -> str:
    """The slim network's variable scope."""
    return next((scope for kind, scope in _SCOPES if issubclass(config, kind)), 'Mobilenet')


def of_model(layers: set[str]) -> tuple[NameMap, str]:
    """(name map, scope) of a built model, by the names of its layers."""
    if 'Conv2d_1/depthwise' in layers:
        return v1_name, 'MobilenetV1'
    if any(name.startswith('GlobalPool_') for name in layers):
        return v2_name, 'MobilenetV3'
    return v2_name, 'MobilenetV2' if 'expanded_conv_1/depthwise' in layers else 'MobilenetEdgeTPU'


def variables(model: Any, to_slim: NameMap) -> dict[str, Any]:
    """Slim's name, below its scope, to the Keras variable, for all weights of a model."""
    named = {}
    for layer in model.layers:
        for weight in layer.weights:
            leaf = weight.name.rsplit('/', 1)[-1].split(':')[0]
            named[f'{to_slim(layer.name)}/{LEAVES.get(leaf, leaf)}'] = weight
    return named
