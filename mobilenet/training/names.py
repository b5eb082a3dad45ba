"""What the trainer's flags can name. Pure Python, since `--help` lists it."""

from __future__ import annotations

_KINDS = ('exponential', 'piecewise_constant', 'stepwise', 'cosine')
# Name to kind. Every schedule has a warm-up; the long names are those of the Model Garden.
SCHEDULES = {name: name for name in _KINDS} | {f'{name}_with_warmup': name for name in _KINDS}
OPTIMIZERS = ('sgd', 'momentum', 'rmsprop', 'adam', 'adamw')
# Flag to the configuration in configs/archs.py.
MODELS = {
    'mobilenet_v1': 'MobileNetV1Config',
    'mobilenet_v2': 'MobileNetV2Config',
    'mobilenet_v3_small': 'MobileNetV3SmallConfig',
    'mobilenet_v3_large': 'MobileNetV3LargeConfig',
    'mobilenet_v3_edge_tpu': 'MobileNetV3EdgeTPUConfig',
}
