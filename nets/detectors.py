"""Detectors by the name of the network below: one head on many bodies.

The last layer has one place for each 32 pixels, and channels for nine anchors:

    detector = detectors.get_detector_fn('mobilenet_v2', num_classes=3, is_training=True)
    layer, _ = detector(images)  # [batch, height / 32, width / 32, 9 * 8]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

import slim
from nets import detector_head, nets_factory, training_form
from slim import errors

# Network -> its argument for the width, and the end point with the last layer before pooling; None:
# the network has the head itself.
_BODIES: dict[str, tuple[str, str | None]] = {
    'mobilenetdet': ('width_multiplier', None),
    **{
        f'mobilenet_v1{width}': ('depth_multiplier', 'Conv2d_13_pointwise')
        for width in ('', '_075', '_050', '_025')
    },
    **{
        f'mobilenet_v2{width}': ('depth_multiplier', 'layer_19')
        for width in ('', '_140', '_050', '_035')
    },
}
NAMES = tuple(_BODIES)


def get_detector_fn(
    name: str,
    num_classes: int,
    weight_decay: float = 0.0,
    is_training: bool = False,
    width_multiplier: float = 1.0,
    shapes: int = 9,
    dropout_keep_prob: float = 0.5,
    batch_norm_decay: float | None = None,
) -> Callable[[Any], tuple[Any, dict[str, Any]]]:
    """Returns `detector(images) -> (layer, end_points)`.

    Args:
      name: one of `NAMES`.
      num_classes: of the objects, C.
      weight_decay: L2 coefficient of the body; the head has none.
      is_training: whether dropout drops and batch norm uses and updates batch statistics.
      width_multiplier: factor on the body's width; 1.0 for the width that its name says.
      shapes: anchors at each place, K.
      dropout_keep_prob: share of the body's last layer that is kept in training.
      batch_norm_decay: decay of the moving statistics; None for the body's own.

    Returns:
      A function of images, float32 [batch, height, width, 3] in -1..1, to float32 [batch, rows,
      columns, K * (C + 5)] (`detector_head.add`), a row or column for each 32 pixels; and the
      body's end points.

    Raises:
      UsageError: no such body.
    """
    if name not in _BODIES:
        raise errors.unknown_name('network of a detector', name, NAMES)
    width_argument, last = _BODIES[name]
    # A name with a width in it has that as its default, which 1.0 must not overwrite.
    width = {} if width_multiplier == 1.0 else {width_argument: width_multiplier}
    network_fn = nets_factory.get_network_fn(
        name, None if last else num_classes, weight_decay, is_training, batch_norm_decay
    )

    def detector(images: Any) -> tuple[Any, dict[str, Any]]:
        if last is None:
            kwargs = {**width, 'shapes': shapes, 'dropout_keep_prob': dropout_keep_prob}
            return network_fn(images, **kwargs)
        _, end_points = network_fn(images, **width)
        # Beside the body's variables.
        scope = end_points[last].op.name.split('/')[0]
        with (
            tf.variable_scope(scope, auxiliary_name_scope=False),
            training_form.form_scope(is_training, slim.dropout),
        ):
            net = end_points[last]
            return detector_head.add(net, num_classes, shapes, dropout_keep_prob), end_points

    return detector
