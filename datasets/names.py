"""The names of the data sets: data, without TensorFlow. `dataset_factory` has a module for each."""

from __future__ import annotations

NAMES = (
    'cifar10',
    'flowers',
    'folder',
    'imagenet',
    'imagenette',
    'mnist',
    'visualwakewords',
)
