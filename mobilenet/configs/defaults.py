"""Learning rate and optimizer where nothing else is said, by the trainer's names."""

from __future__ import annotations

from typing import Any

LR_NAME_DEFAULT = 'exponential'

LR_CONFIG_DEFAULT: dict[str, Any] = {
    'initial_lr': 0.008,
    'decay_epochs': 2.4,
    'decay_rate': 0.97,
    'warmup_epochs': 5,
    'staircase': True,
}

OP_NAME_DEFAULT = 'rmsprop'

OP_CONFIG_DEFAULT: dict[str, Any] = {
    'decay': 0.9,
    'epsilon': 0.002,
    'momentum': 0.9,
    'moving_average_decay': None,
}
