"""What the trainer's flags can name. Pure Python, since `--help` lists it."""

from __future__ import annotations

_KINDS = ('exponential', 'piecewise_constant', 'stepwise', 'cosine')
# Name to kind. Every schedule has a warm-up; the long names are those of the Model Garden.
SCHEDULES = {name: name for name in _KINDS} | {f'{name}_with_warmup': name for name in _KINDS}
OPTIMIZERS = ('sgd', 'momentum', 'rmsprop', 'adam', 'adamw')
