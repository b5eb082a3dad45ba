"""The Keras models against the contract: layers, shapes, parameters, names, configurations."""

from __future__ import annotations

import json
from typing import Any

import keras_facts
import numpy as np
import paper_layers
import pytest

from mobilenet import common_modules, mobilenet_v1, mobilenet_v2, mobilenet_v3
from mobilenet.configs import archs
from slim import errors

_BUILDERS = {
    'mobilenet_v1': mobilenet_v1.mobilenet_v1,
    'mobilenet_v2': mobilenet_v2.mobilenet_v2,
    'mobilenet_v3_large': mobilenet_v3.mobilenet_v3_large,
    'mobilenet_v3_small': mobilenet_v3.mobilenet_v3_small,
    'mobilenet_v3_edge_tpu': mobilenet_v3.mobilenet_v3_edge_tpu,
}


def _shape(layer: Any) -> list[int]:
    shape = layer.output_shape
    return list((shape[0] if isinstance(shape, list) else shape)[1:])


@pytest.mark.once
@pytest.mark.parametrize(('network', 'variant'), keras_facts.VARIANTS)
def test_variant(network, variant, monkeypatch):
    rows = paper_layers.count(keras_facts.variant_config(network, variant), monkeypatch)
    facts = keras_facts.CONTRACT['networks'][network]
    wanted = facts['variants'][variant]
    assert [row.name for row in rows] == facts['layer_names']
    assert [row.kind for row in rows] == facts['layer_types']
    assert [row.shape for row in rows] == wanted['output_shapes']
    assert [row.params for row in rows] == wanted['params']
    assert sum(row.params for row in rows) == wanted['total']


@pytest.mark.once
def test_v1_cuts_widths_off_and_v2_rounds_them(monkeypatch):
    def widths(kind):
        rows = paper_layers.count(kind(width_multiplier=0.35), monkeypatch)
        kinds = ('Conv2d_0_0', 'Conv2d_1/pointwise', 'expanded_conv_4/project')
        return [row.shape[-1] for row in rows if row.name in kinds]

    assert widths(archs.MobileNetV1Config) == [11, 22]
    assert widths(archs.MobileNetV2Config) == [16, 16]


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize('network', _BUILDERS)
def test_a_real_model_of_another_width_is_the_same_each_time(network):
    variant = list(keras_facts.CONTRACT['networks'][network]['variants'])[-1]
    config = keras_facts.variant_config(network, variant)
    model = _BUILDERS[network](config)
    keras_facts.check_model(model, network, variant)
    wanted = keras_facts.CONTRACT['networks'][network]['variants'][variant]['output_shapes']
    assert [_shape(layer) for layer in model.layers] == wanted
    again = _BUILDERS[network](config)
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


@pytest.mark.once
@pytest.mark.parametrize('name', keras_facts.CONTRACT['config_defaults'])
def test_defaults_of_configurations(name):
    values = json.loads(json.dumps(getattr(archs, name)().as_dict()))
    blocks = values.pop('blocks', None)
    assert values == keras_facts.CONTRACT['config_defaults'][name]
    wanted = keras_facts.CONTRACT['blocks'].get(name, [])
    assert [{'index': index, **block} for index, block in enumerate(blocks or ())] == wanted


def test_tables_of_names():
    assert list(archs.get_activation_function()) == keras_facts.CONTRACT['activation_names']
    assert list(archs.get_normalization_layer()) == keras_facts.CONTRACT['normalization_names']


# In millions, where the published table is of other definitions than the published networks.
_STALE_MACS = {
    ('MobileNetV1', 0.75, 224): 325.4,
    ('MobileNetV1', 0.75, 192): 239.3,
    ('MobileNetV1', 0.75, 160): 166.4,
    ('MobileNetV1', 0.75, 128): 106.8,
    ('MobileNetV1', 0.25, 192): 30.2,
    ('MobileNetV3Small', 1.0, 224): 56.5,
    ('MobileNetV3Small', 0.75, 224): 43.4,
    ('MobileNetV3SmallMinimalistic', 1.0, 224): 52.3,
}
_STALE_PARAMS = {('MobileNetV3Small', 1.0): 2.54, ('MobileNetV3Small', 0.75): 2.04}


def _published() -> list[dict[str, Any]]:
    return json.loads((keras_facts.FOLDER / 'published.json').read_text())


def _published_kind(row: dict[str, Any]) -> str:
    name = {'MobileNetEdgeTPU': 'MobileNetV3EdgeTPU'}.get(row['family'], row['family'])
    if row['family'] == 'MobileNetV3':
        name += row['name'].split()[0] + ('Minimalistic' if row['minimalistic'] else '')
    return name


@pytest.mark.once
@pytest.mark.parametrize('row', _published(), ids=lambda row: row['name'])
def test_published_table(row, monkeypatch):
    name, width, size = _published_kind(row), row['depth_multiplier'], row['image_size']
    config = keras_facts.BY_NAME[name](width_multiplier=width, input_shape=(size, size, 3))
    rows = paper_layers.count(config, monkeypatch)
    macs = sum(layer.macs for layer in rows) / 1e6
    if (name, width, size) in _STALE_MACS:
        assert macs == pytest.approx(_STALE_MACS[name, width, size], abs=0.05)
    else:  # Rounded in some rows and cut off in others.
        assert -0.51 < macs - row['macs_m'] < 1
    # Without batch norm's averages; the rows of V2 and V3 are up to 0.1 million below.
    norm = sum(layer.params for layer in rows if layer.kind == 'BatchNormalization')
    learned = (sum(layer.params for layer in rows) - norm / 2) / 1e6
    published = _STALE_PARAMS.get((name, width), row['params_m'])
    assert published - 0.01 < learned < published + 0.1


def test_features_logits_and_forms_of_calling():
    config = archs.MobileNetV1Config(width_multiplier=0.25, num_classes=None)
    config.blocks = config.blocks[:3]
    by_position = mobilenet_v1.mobilenet_v1((32, 48, 1), config)
    assert by_position.output_shape == (None, 1, 1, 32)
    assert by_position.input_shape == (None, 32, 48, 1)
    assert by_position.layers[-1].name == 'top/Reshape'
    assert config.input_shape == (224, 224, 3)

    config = config.replace(num_classes=3, input_shape=(None, None, 3))
    model = mobilenet_v1.mobilenet_v1(config=config)
    logits = common_modules.logits_model(model)
    images = np.random.RandomState(0).uniform(-1, 1, [2, 40, 32, 3]).astype('float32')
    exponentials = np.exp(logits(images).numpy())
    softmax = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose(model(images).numpy(), softmax, rtol=1e-5)
    assert logits.weights[0] is model.weights[0]
    by_name = mobilenet_v1.mobilenet_v1(input_shape=(64, 64, 3), config=config)
    assert by_name.input_shape == (None, 64, 64, 3)


def test_building_twice_gives_the_same_model_twice():
    config = archs.MobileNetV3SmallConfig(width_multiplier=0.5, input_shape=(32, 32, 3))
    config.blocks = config.blocks[:2] + config.blocks[-3:]
    before = config.as_dict()
    first, second = (mobilenet_v3.mobilenet_v3(config) for _ in range(2))
    assert config.as_dict() == before
    assert first.get_layer('Conv2d_4_2').output_shape == (None, 1, 1, 1024)
    assert [w.shape for w in first.weights] == [w.shape for w in second.weights]


def test_configurations_share_nothing():
    first, second = archs.MobileNetV2Config(), archs.MobileNetV2Config()
    assert first == second
    first.blocks[3].filters = 7
    assert second.blocks[3].filters == 24
    assert first != second
    assert first.replace().blocks[3] is not first.blocks[3]


@pytest.mark.parametrize('norm', ['layer_norm', 'group_norm'])
def test_other_norms(norm):
    blocks = archs.MobileNetV2Config().blocks[:2]
    config = archs.MobileNetV2Config(
        blocks=blocks, num_classes=2, input_shape=(32, 32, 3), normalization_name=norm
    )
    model = mobilenet_v2.mobilenet_v2(config)
    for name in ('Conv2d_0_0', 'expanded_conv_1/depthwise', 'expanded_conv_1/project'):
        layer = model.get_layer(f'{name}/{norm}')
        assert layer.epsilon == 0.001
        assert len(layer.weights) == 2
    assert not [each.name for each in model.layers if each.name.endswith('batch_norm')]


def _model_of(**values: Any) -> Any:
    return mobilenet_v1.mobilenet_v1(archs.MobileNetV1Config(**values))


@pytest.mark.once
@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: archs.MobileNetV2Config(num_clases=3), "Did you mean 'num_classes'"),
        (lambda: archs.MobileNetV2Config.from_args(num_clases=3), "Did you mean 'num_classes'"),
        (lambda: archs.MobileNetV2Config({'num_clases': 3}), "Did you mean 'num_classes'"),
        (lambda: archs.MobileNetV2Config().override({'with': 3}), 'key of MobileNetV2Config'),
        (lambda: archs.MobileNetV2Config().replace(widthmultiplier=1), 'width_multiplier'),
        (
            lambda: setattr(archs.MobileNetBlockConfig(), 'filter', 3),
            "MobileNetBlockConfig 'filter'. Did you mean 'filters'",
        ),
        (lambda: archs.MobileNetBlockConfig.from_args(*range(12)), '12 values for 11 fields'),
        (lambda: _model_of(width_multiplier=0), 'width multiplier is 0; it must be above 0'),
        (lambda: _model_of(num_classes=-1), 'num_classes is -1'),
        (lambda: _model_of(min_depth=0), 'min_depth is 0'),
        (lambda: _model_of(output_stride=12), 'output stride is 12; allowed are None, 1, 2'),
        (lambda: _model_of(dropout_keep_prob=0), 'dropout_keep_prob is 0'),
        (lambda: _model_of(input_shape=(224, 224)), r'The input shape is \(224, 224\)'),
        (lambda: _model_of(normalization_name='batchnorm'), "Did you mean 'batch_norm'"),
        (
            lambda: _model_of(normalization_name='group_norm', width_multiplier=1.1),
            '35 channels, which group norm cannot divide into 8',
        ),
        (
            lambda: _model_of(blocks=(archs.MobileNetBlockConfig(activation_name='rellu'),)),
            "Did you mean 'relu'",
        ),
        (
            lambda: _model_of(blocks=(archs.MobileNetBlockConfig(block_type='Convolution'),)),
            "Unknown block_type 'Convolution'",
        ),
        (
            lambda: _model_of(blocks=(archs.MobileNetBlockConfig(),), global_pool=False),
            'map of 109 x 109: give spatial_squeeze=False',
        ),
        (
            lambda: mobilenet_v2.mobilenet_v2(archs.MobileNetV1Config()),
            'of MobileNetV1Config; this network takes a MobileNetV2Config',
        ),
        (
            lambda: mobilenet_v3.mobilenet_v3(archs.MobileNetV2Config()),
            'of MobileNetV2Config; this network takes a MobileNetV3LargeConfig, MobileNetV3Small',
        ),
        (
            lambda: mobilenet_v1.mobilenet_v1(archs.MobileNetV1Config),
            r'is the class MobileNetV1Config itself: give MobileNetV1Config\(\)',
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(errors.UsageError, match=message):
        make()


def test_arguments_of_from_args_stand_in_the_order_of_the_fields():
    block = archs.MobileNetBlockConfig.from_args((5, 5), 2, 40, residual=False)
    wanted = archs.MobileNetBlockConfig(kernel=(5, 5), stride=2, filters=40, residual=False)
    assert block == wanted
