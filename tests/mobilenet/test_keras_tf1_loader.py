"""Loading slim's checkpoints into Keras models: what fits, what does not, and saving."""

from __future__ import annotations

import pathlib

import golden_values
import keras_facts
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mobilenet import common_modules
from mobilenet.configs import archs
from mobilenet.tf1_loader import (
    fitting,
    names,
    slim_checkpoint,
    utils,
    v1_loader,
    v2_loader,
    v3_loader,
)
from slim import errors

_AVERAGE = '/ExponentialMovingAverage'
_SCOPE = 'MobilenetV3'


def _small_config(**values):
    """V3's blocks of each kind, few of them: with and without gate, expand layer, biases."""
    config = archs.MobileNetV3SmallConfig(
        width_multiplier=0.5, num_classes=3, input_shape=(32, 32, 3), **values
    )
    config.blocks = (*config.blocks[:4], *config.blocks[-3:])
    return config


@pytest.fixture(scope='module')
def small():
    """A small model whose weights are all different from the initial ones."""
    model = common_modules.mobilenet_model(_small_config())
    for name, weight in names.variables(model, names.v2_name).items():
        weight.assign(golden_values.variable_value(name, weight.shape.as_list(), 1.0))
    return model


@pytest.fixture(scope='module')
def held_values(small):
    """Its variables by slim's names."""
    variables = names.variables(small, names.v2_name)
    return {f'{_SCOPE}/{name}': variable.numpy() for name, variable in variables.items()}


def _load(tmp_path, values, config=None, **arguments):
    prefix = keras_facts.write_checkpoint(tmp_path / 'model.ckpt-7', values)
    return utils.load_model(prefix, config or _small_config(), **arguments)


def _assert_same_weights(model, other):
    for weight, wanted in zip(model.weights, other.weights, strict=True):
        assert weight.name == wanted.name
        np.testing.assert_array_equal(weight.numpy(), wanted.numpy(), err_msg=weight.name)


# What is in a checkpoint beside the network's weights.


@pytest.mark.once
def test_scope_slots_and_counters_do_not_matter(held_values, small, tmp_path, capsys):
    values = {f'tower/{name.partition("/")[2]}': value for name, value in held_values.items()}
    for name in list(values):
        values[f'{name}/RMSProp'] = values[f'{name}/Momentum'] = values[name]
    more = ('tower/Conv/act_quant/min', 'total_loss/avg', 'beta1_power', 'tower/global_step')
    values.update(dict.fromkeys((*more, 'global_step'), np.float32(1)))
    model = _load(tmp_path, values)
    assert capsys.readouterr().out.endswith(': its last weights\n')
    _assert_same_weights(model, small)


def test_averages_where_there_are_some(held_values, small, tmp_path, capsys):
    """The classic average_vars=trainable leaves the statistics without."""
    values = dict(held_values)
    for name in held_values:
        if 'moving_' not in name:
            values[name] = held_values[name] * 0
            values[name + _AVERAGE] = held_values[name]
    model = _load(tmp_path, values)
    statistics = sum('moving_' in name for name in held_values)
    rest = len(held_values) - statistics
    said = capsys.readouterr().out
    assert f': its moving averages of {rest} variables, and {statistics} that have none' in said
    _assert_same_weights(model, small)


@pytest.mark.once
def test_a_checkpoint_of_averages_alone(held_values, small, tmp_path, capsys):
    values = {name + _AVERAGE: value for name, value in held_values.items()}
    _assert_same_weights(_load(tmp_path, values), small)
    assert capsys.readouterr().out.endswith(': its moving averages\n')


@pytest.mark.once
def test_features_need_no_classifier(held_values, tmp_path):
    model = _load(tmp_path, held_values, _small_config().replace(num_classes=0))
    assert model.output_shape == (None, 1, 1, 1024)


# What does not fit.


@pytest.mark.once
def test_one_error_names_missing_misshapen_and_left_over(held_values, tmp_path):
    values = dict(held_values)
    del values[f'{_SCOPE}/Conv/weights']
    values[f'{_SCOPE}/Conv_1/BatchNorm/gamma'] = np.ones(5, np.float32)
    values[f'{_SCOPE}/Extra/weights'] = values['Other/Conv/biases'] = np.ones(4, np.float32)
    with pytest.raises(errors.CheckpointError) as caught:
        _load(tmp_path, values)
    message = str(caught.value)
    assert '\n' not in message
    assert 'the model has and the checkpoint lacks: Conv/weights;' in message
    assert 'Conv_1/BatchNorm/gamma is [5] in the checkpoint and [288] in the model;' in message
    assert 'and the model does not: Extra/weights, Other/Conv/biases.' in message


@pytest.mark.once
def test_a_missing_weight_is_named_although_its_statistics_are_there(held_values, tmp_path):
    values = dict(held_values)
    del values[f'{_SCOPE}/expanded_conv_1/expand/BatchNorm/beta']
    with pytest.raises(
        errors.CheckpointError, match='lacks: expanded_conv_1/expand/BatchNorm/beta'
    ):
        _load(tmp_path, values)


def _variant_shapes(network, variant):
    """Shapes of a network's variables; their inputs' channels are those of width 1."""
    facts = keras_facts.CONTRACT['networks'][network]
    shapes = facts['variants'][variant]['output_shapes']
    widths = {name: shape[-1] for name, shape in zip(facts['layer_names'], shapes, strict=True)}
    known = keras_facts.CONTRACT['tf1_variables']
    rows = known.get(network) or known['mobilenet_edgetpu']
    return {
        name.partition('/')[2]: [*shape[:2], widths[layer], 1]
        if weight == 'depthwise_kernel'
        else [*shape[:-1], widths[layer]]
        for layer, weight, name, shape in rows
    }


@pytest.mark.once
@pytest.mark.parametrize(('network', 'variant'), keras_facts.VARIANTS)
def test_the_configuration_that_fits_is_found(network, variant):
    shapes = _variant_shapes(network, variant)
    assert fitting.fitting_config(shapes) == keras_facts.variant_config(network, variant)
    shapes['Logits/Conv2d_1c_1x1/weights'][-1] = 12
    stem = 'Conv2d_0/weights' if network == 'mobilenet_v1' else 'Conv/weights'
    shapes[stem] = [3, 3, 1, shapes[stem][-1]]
    other = {'num_classes': 12, 'input_shape': (224, 224, 1)}
    wanted = keras_facts.variant_config(network, variant, **other)
    assert fitting.fitting_config(shapes) == wanted
    kinds = [kind for kind in archs.MODEL_CONFIGS.values() if kind is not type(wanted)]
    assert fitting.fitting_config(shapes, kinds) is None


@pytest.mark.once
def test_an_error_says_which_configuration_fits(tmp_path):
    shapes = _variant_shapes('mobilenet_v1', '0.25')
    values = {f'MobilenetV1/{name}': np.zeros(shape, np.float32) for name, shape in shapes.items()}
    prefix = keras_facts.write_checkpoint(tmp_path / 'model.ckpt', values)
    config = archs.MobileNetV3SmallMinimalisticConfig()
    config.blocks = config.blocks[:2]
    fits = r'\. It fits MobileNetV1Config\(width_multiplier=0\.25\)$'
    with pytest.raises(errors.CheckpointError, match=f'scope MobilenetV1, does not fit.*{fits}'):
        v3_loader.load_mobilenet_v3_small(prefix, config)


@pytest.mark.once
def test_a_checkpoint_of_another_kind(small, tmp_path):
    prefix = utils.save_keras_checkpoint(small, str(tmp_path / 'keras'))
    with pytest.raises(errors.CheckpointError, match='of a Keras model, not of a slim network'):
        v1_loader.load_mobilenet_v1(prefix)
    prefix = keras_facts.write_checkpoint(tmp_path / 'model.ckpt', {'global_step': np.int64(3)})
    with pytest.raises(errors.CheckpointError, match='holds no variables of a slim network'):
        v2_loader.load_mobilenet_v2(prefix)
    with pytest.raises(errors.CheckpointError, match=r'no such checkpoint.*Did you mean'):
        v2_loader.load_mobilenet_v2(prefix + 'x')
    with pytest.raises(errors.UsageError, match='of MobileNetV1Config; this network takes a'):
        v3_loader.load_mobilenet_v3(prefix, archs.MobileNetV1Config())


def test_a_damaged_checkpoint(held_values, tmp_path):
    prefix = keras_facts.write_checkpoint(tmp_path / 'model.ckpt', held_values)
    data = tmp_path / 'model.ckpt.data-00000-of-00001'
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(errors.CheckpointError, match='cannot be read, it is damaged'):
        utils.load_model(prefix, _small_config())


# The maps of weights that the loaders have always had.


@pytest.mark.once
def test_weights_by_layers(held_values, small, tmp_path):
    prefix = keras_facts.write_checkpoint(tmp_path / 'model.ckpt', held_values)
    weights = utils.generate_layer_weights_map(prefix, [], ['squeeze_excite'])
    assert not [layer for layer in weights if 'squeeze_excite' in layer]
    norm = weights['Conv/BatchNorm']
    wanted = small.get_layer('Conv2d_0_0/batch_norm').get_weights()
    for value, array in zip(norm, wanted, strict=True):
        np.testing.assert_array_equal(value, array)
    only = utils.generate_layer_weights_map(prefix, ['Logits'], [])
    assert list(only) == ['Logits/Conv2d_1c_1x1']

    model = common_modules.mobilenet_model(_small_config())
    before = model.get_weights()
    with pytest.raises(errors.CheckpointError, match='squeeze_excite/Conv is missing'):
        utils.load_tf2_keras_model_weights(model, weights, names.v2_name)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    weights = utils.generate_layer_weights_map(prefix)
    utils.load_tf2_keras_model_weights(model, weights, names.v2_name)
    _assert_same_weights(model, small)
    weights['Conv'] = [np.ones([3, 3, 3, 5])]
    with pytest.raises(errors.CheckpointError, match=r'Conv is \[\[3, 3, 3, 5\]\] in the'):
        utils.load_tf2_keras_model_weights(model, weights, names.v2_name)


# Saving.


def _restored(path, save_format):
    if save_format == 'ckpt':
        model = common_modules.mobilenet_model(_small_config())
        tf.train.Checkpoint(model=model).restore(path).assert_consumed()
        return model
    return tf_keras.models.load_model(path)


@pytest.mark.parametrize(
    'save_format', ['ckpt', 'keras', 'h5', pytest.param('tf', marks=pytest.mark.slow)]
)
def test_saved_and_loaded(save_format, small, tmp_path):
    path = utils.save_keras_checkpoint(small, str(tmp_path / 'folder' / 'saved'), save_format)
    model = _restored(path, save_format)
    assert [layer.name for layer in model.layers] == [layer.name for layer in small.layers]
    _assert_same_weights(model, small)
    images = np.random.RandomState(0).uniform(-1, 1, [2, 32, 32, 3]).astype('float32')
    outputs = small(images).numpy()
    assert outputs.max() < 0.99  # not so large that every activation would give the same
    np.testing.assert_array_equal(model(images).numpy(), outputs)
    if save_format == 'tf':
        serve = tf.saved_model.load(path).signatures['serving_default']
        served = serve(tf.constant(images))['top/Predictions']
        np.testing.assert_allclose(served, outputs, rtol=1e-5, atol=1e-6)


@pytest.mark.once
def test_padding_is_saved(tmp_path):
    config = _small_config(use_explicit_padding=True, output_stride=4)
    model = common_modules.mobilenet_model(config)
    path = utils.save_keras_checkpoint(model, str(tmp_path / 'padded.keras'), 'keras')
    assert path == str(tmp_path / 'padded.keras')
    images = np.random.RandomState(0).uniform(-1, 1, [1, 32, 32, 3]).astype('float32')
    loaded = tf_keras.models.load_model(path)
    np.testing.assert_array_equal(loaded(images).numpy(), model(images).numpy())
    assert (
        loaded.get_layer('expanded_conv_3/pad').rate == model.get_layer('expanded_conv_3/pad').rate
    )


def test_back_into_slims_checkpoint_bit_for_bit(small, held_values, tmp_path):
    prefix = utils.save_keras_checkpoint(small, str(tmp_path / 'model.ckpt-0'), 'slim')
    reader = tf.train.load_checkpoint(prefix)
    assert set(reader.get_variable_to_shape_map()) == {*held_values, 'global_step'}
    for name, value in held_values.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)
    model = utils.load_model(str(tmp_path), _small_config())
    again = utils.save_keras_checkpoint(model, str(tmp_path / 'again' / 'model.ckpt-0'), 'slim')
    for suffix in ('.index', '.data-00000-of-00001'):
        first, second = (pathlib.Path(path + suffix) for path in (prefix, again))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.once
def test_what_cannot_be_saved(small, tmp_path):
    with pytest.raises(errors.UsageError, match=r"Unknown save_format 'hdf5'.*'h5'"):
        utils.save_keras_checkpoint(small, str(tmp_path), 'hdf5')
    (tmp_path / 'file').write_text('')
    for save_format in ('ckpt', 'slim', 'keras', 'tf'):
        with pytest.raises(errors.OutputError, match='cannot be written'):
            utils.save_keras_checkpoint(small, str(tmp_path / 'file' / 'x'), save_format)


@pytest.mark.once
def test_what_is_no_path_is_not_taken_for_one(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prefix = utils.save_keras_checkpoint(small, 'model[1].ckpt', 'slim')
    held = slim_checkpoint.look_into(prefix)
    assert held.scope == _SCOPE
    assert len(held.read()) == len(small.weights)
