"""A network of a few layers with the ends of a MobileNet, for what is not about the network."""

from __future__ import annotations

import types
from typing import Any


def model(classes: int = 10, size: int = 16, batch_norm: bool = True, dropout: float = 0.2) -> Any:
    """Probabilities of `classes` from [size, size, 3]."""
    import tf_keras

    layers = tf_keras.layers
    inputs = layers.Input((size, size, 3), name='Input')
    decay = tf_keras.regularizers.L2(1e-4)
    net = layers.Conv2D(8, 5, 4, name='Conv2d_0', kernel_regularizer=decay)(inputs)
    if batch_norm:
        net = layers.BatchNormalization(momentum=0.9, name='Conv2d_0/batch_norm')(net)
    net = layers.Flatten(name='flat')(layers.ReLU(name='relu')(net))
    net = layers.Dropout(dropout, name='top/Dropout')(net)
    net = layers.Dense(classes, name='top/SpatialSqueeze')(net)
    return tf_keras.Model(inputs, layers.Softmax(name='top/Predictions')(net), name='Tiny')


def use(monkeypatch: Any = None, **arguments: Any) -> None:
    """The trainer builds this network, whatever it is told to."""
    from mobilenet import mobilenet_trainer

    def build_model(model_name: str, model_config: Any, dataset_config: Any) -> Any:
        return model(dataset_config.num_classes, dataset_config.image_size, **arguments)

    if monkeypatch:
        monkeypatch.setattr(mobilenet_trainer, 'build_model', build_model)
    else:
        mobilenet_trainer.build_model = build_model


def params(folder: Any, **values: Any) -> types.SimpleNamespace:
    """What `train_and_eval` takes: two epochs of 7 steps on the digits."""
    settings = {
        'model_dir': str(folder),
        'dataset_name': 'digits',
        'image_size': 16,
        'batch_size': 200,
        'epochs': 2,
        'lr': 0.003,
        'warmup_epochs': 1.0,
        'learning_scheduler_name': 'exponential',
        'device': 'cpu',
    }
    return types.SimpleNamespace(**{**settings, **values})
