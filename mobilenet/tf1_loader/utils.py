"""Loads the slim networks' checkpoints into Keras models, and saves the models."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from mobilenet import common_modules
from mobilenet.configs import archs
from mobilenet.tf1_loader import fitting, names, slim_checkpoint
from runtime import folders
from slim import errors


def load_model(
    checkpoint_path: str, config: archs.MobileNetConfig, use_mv_average: bool = True
) -> tf_keras.Model:
    """Builds the model of a configuration with the weights of a slim network's checkpoint.

    Prints which weights these are: moving averages, or the last ones.

    Args:
      checkpoint_path: a checkpoint's prefix, or a folder, of which the newest one counts.
      config: the network.
      use_mv_average: take a variable's moving average where the checkpoint has one.

    Raises:
      CheckpointError: there is no checkpoint, or it does not fit the configuration.
      UsageError: a value in the configuration that no network can have.
    """
    kind = type(config)
    held = slim_checkpoint.look_into(checkpoint_path, names.scope_of(kind), use_mv_average)
    model = common_modules.mobilenet_model(config)
    variables = names.variables(model, names.name_map(kind))
    shapes = {name: variable.shape.as_list() for name, variable in variables.items()}
    fitting.check(held, shapes, has_classifier=bool(config.num_classes))
    values = held.read()
    for name, variable in variables.items():
        variable.assign(values[name])
    print(f'{config.name} from {errors.printable(held.prefix)}: its {held.note}', flush=True)
    return model


def generate_layer_weights_map(
    checkpoint_path: str,
    include_filters: Sequence[str] = (),
    exclude_filters: Sequence[str] = (),
    use_mv_average: bool = True,
) -> dict[str, list[Any]]:
    """Values of a slim network's variables by its layers.

    Args:
      checkpoint_path: a checkpoint's prefix, or a folder, of which the newest one counts.
      include_filters: words of which a variable's name must have one; none: all variables.
      exclude_filters: words of which it may have none.
      use_mv_average: take a variable's moving average where it has one.

    Returns:
      Layer, below the scope (`Conv/BatchNorm`), to arrays in the order of a Keras layer's weights.
    """
    held = slim_checkpoint.look_into(
        checkpoint_path, use_mv_average=use_mv_average, exclude_filters=exclude_filters
    )
    layers: dict[str, dict[str, Any]] = {}
    for name, value in held.read().items():
        full = f'{held.scope}/{name}'
        if not include_filters or any(word in full for word in include_filters):
            layer, _, leaf = name.rpartition('/')
            layers.setdefault(layer, {})[leaf] = value

    def place(leaf: str) -> int:
        known = names.WEIGHT_ORDER
        return known.index(leaf) if leaf in known else len(known)

    return {
        layer: [weights[leaf] for leaf in sorted(weights, key=place)]
        for layer, weights in layers.items()
    }


def load_tf2_keras_model_weights(
    keras_model: tf_keras.Model,
    weights_map: Mapping[str, Sequence[Any]],
    name_map_fn: Callable[[str], str],
) -> None:
    """Sets a model's weights to those of `generate_layer_weights_map`.

    Args:
      keras_model: the model.
      weights_map: layer of the slim network to values.
      name_map_fn: Keras layer's name to that of the slim network.

    Raises:
      CheckpointError: layers that the map lacks, or with weights of other shapes; nothing is set
        then.
    """
    wrong = []
    found = []
    for layer in keras_model.layers:
        if not layer.weights:
            continue
        name = name_map_fn(layer.name)
        wanted = [weight.shape.as_list() for weight in layer.weights]
        if name not in weights_map:
            wrong.append(f'{name} is missing')
            continue
        shapes = [list(value.shape) for value in weights_map[name]]
        if shapes != wanted:
            wrong.append(f'{name} is {shapes} in the checkpoint and {wanted} in the model')
        found.append((layer, weights_map[name]))
    if wrong:
        more = f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''
        raise errors.CheckpointError(
            f'The weights do not fit {keras_model.name}: {", ".join(wrong[:5])}{more}'
        )
    for layer, values in found:
        layer.set_weights(values)


def _save_checkpoint(model: tf_keras.Model, path: str) -> str:
    checkpoint = tf.train.Checkpoint(model=model)
    return tf.train.CheckpointManager(checkpoint, path, max_to_keep=1).save()


def _save_saved_model(model: tf_keras.Model, path: str) -> str:
    inputs = {name: tf.TensorSpec(t.shape, t.dtype, name) for name, t in _inputs(model)}

    # Layers need no translation by autograph, which takes a minute on TensorFlow 2.15.
    @tf.function(input_signature=[inputs], autograph=False)
    def serve(images):
        outputs = model([images[name] for name in inputs], training=False)
        return dict(zip(model.output_names, tf.nest.flatten(outputs), strict=True))

    # The default, a trace of each layer's call as well, takes a minute, too.
    model.save(path, save_format='tf', save_traces=False, signatures={'serving_default': serve})
    return path


def _inputs(model: tf_keras.Model) -> list[tuple[str, Any]]:
    return list(zip(model.input_names, model.inputs, strict=True))


def _save_file(save_format: str) -> Callable[[tf_keras.Model, str], str]:
    def save(model: tf_keras.Model, path: str) -> str:
        path = path if path.endswith(f'.{save_format}') else f'{path}.{save_format}'
        with warnings.catch_warnings():
            # What is asked for by its name needs no advice against it.
            warnings.filterwarnings('ignore', message='You are saving your model as an HDF5')
            model.save(path, save_format=save_format)
        return path

    return save


def _save_slim(model: tf_keras.Model, path: str) -> str:
    to_slim, scope = names.of_model({layer.name for layer in model.layers})
    variables = names.variables(model, to_slim)
    values = {f'{scope}/{name}': variable for name, variable in variables.items()}
    slim_checkpoint.write(path, {**values, 'global_step': tf.constant(0, tf.int64)})
    return path


# By `save_format`: the writer, which returns what it has written.
_SAVERS: Mapping[str, Callable[[tf_keras.Model, str], str]] = {
    'ckpt': _save_checkpoint,
    'tf': _save_saved_model,
    'keras': _save_file('keras'),
    'h5': _save_file('h5'),
    'slim': _save_slim,
}


def save_keras_checkpoint(
    keras_model: tf_keras.Model, save_path: str, save_format: str = 'ckpt'
) -> str:
    """Saves a model.

    Args:
      keras_model: the model.
      save_path: a folder for 'ckpt' and 'tf', a file for 'keras' and 'h5' (whose ending is added
        where it is not there), a prefix for 'slim'.
      save_format: 'ckpt', a `tf.train.Checkpoint` with the model as `model`; 'tf', a SavedModel;
        'keras' or 'h5', one file; 'slim', a checkpoint with the slim network's variables, which
        the scripts and `load_mobilenet_*` read.

    Returns:
      What was written; for 'ckpt' and 'slim' the prefix.

    Raises:
      UsageError: another format.
      OutputError: the files cannot be written.
    """
    if save_format not in _SAVERS:
        raise errors.unknown_name('save_format', save_format, _SAVERS)
    path = os.path.expanduser(save_path)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        return _SAVERS[save_format](keras_model, path)
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, errors.SuiteError):
            raise
        raise folders.cannot_write(path, error) from error
