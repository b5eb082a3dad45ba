"""The row that describes one network of the factory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Network:
    """One network: what it is called, what builds it, what its layers default to.

    Every family file ends with a tuple of these; `nets_factory` only joins the tuples.
    """

    name: str
    build: Callable[..., Any]  # (images, num_classes, is_training, **kwargs) -> logits, end_points
    arg_scope: Callable[..., Any]  # (weight_decay=...) -> a slim arg scope
    decay_argument: str | None = None  # of arg_scope: decay of the batch norm statistics
    scope_has_form: bool = False  # arg_scope takes `is_training`, as the network does
    finds_boxes: bool = False  # its logits are a map of boxes, not classes of the whole image

    @property
    def image_size(self) -> int:
        """Pixels per side of the published network, kept on `build`, where TF-Slim has it."""
        return self.build.default_image_size
