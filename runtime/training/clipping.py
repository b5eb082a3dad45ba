"""An optimizer that never sees a large gradient."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf


class ByNorm:
    """As `optimizer`, but that the gradient of each variable is brought to `norm` where longer.

    The gradients are those that are applied: averaged over the workers, and without a loss scale.
    """

    def __init__(self, optimizer: Any, norm: float) -> None:
        self._optimizer, self._norm = optimizer, norm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._optimizer, name)

    def apply_gradients(self, pairs: Any, *args: Any, **kwargs: Any) -> Any:
        clipped = [
            (gradient if gradient is None else tf.clip_by_norm(gradient, self._norm), variable)
            for gradient, variable in pairs
        ]
        return self._optimizer.apply_gradients(clipped, *args, **kwargs)
