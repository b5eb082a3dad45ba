"""Networks by name: `get_network_fn('mobilenet_v2', num_classes=1001, is_training=True)(images)`.

`NETWORKS` joins the rows of the family files. `networks_map` and `arg_scopes_map` are derived from
it and, as in TF-Slim, are plain dictionaries: a script may add networks of its own to both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import slim
from nets import (
    alexnet,
    cifarnet,
    i3d,
    inception_resnet_v2,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
    lenet,
    mobilenet_v1,
    mobilenet_zehaos,
    overfeat,
    resnet_v1,
    resnet_v2,
    s3dg,
    vgg,
)
from nets.mobilenet import mobilenet_v2, mobilenet_v3
from nets.nasnet import nasnet, pnasnet
from nets.network import Network
from slim import errors

_FAMILIES = (
    alexnet,
    cifarnet,
    overfeat,
    vgg,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
    inception_resnet_v2,
    i3d,
    s3dg,
    lenet,
    resnet_v1,
    resnet_v2,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    mobilenet_zehaos,
    nasnet,
    pnasnet,
)
NETWORKS = tuple(network for family in _FAMILIES for network in family.NETWORKS)

networks_map = {network.name: network.build for network in NETWORKS}
arg_scopes_map = {network.name: network.arg_scope for network in NETWORKS}


def get_network_fn(
    name: str,
    num_classes: int | None,
    weight_decay: float = 0.0,
    is_training: bool = False,
    batch_norm_decay: float | None = None,
) -> Callable[..., Any]:
    """Returns `network_fn(images, **kwargs) -> (logits, end_points)`, bound to its arg scope.

    Args:
      name: a key of `networks_map`.
      num_classes: width of the logits; 0 or None leaves the classifier away, and the network
        returns its pooled features instead.
      weight_decay: L2 coefficient for the arg scope of the network; 0.0 adds no loss.
      is_training: whether dropout drops and batch norm uses and updates batch statistics.
      batch_norm_decay: decay of the moving statistics; None for the network's own.

    Returns:
      A function of images, float32 [batch, height, width, channels], and of further arguments of
      the network. Its `default_image_size` is the network's published side in pixels.

    Raises:
      UsageError (a ValueError): no network has this name, or it has no batch norm to set.
    """
    if name not in networks_map:
        raise errors.unknown_name('network', name, networks_map)
    build = networks_map[name]
    row = next((row for row in NETWORKS if row.name == name), None)
    scope_arguments = {'weight_decay': weight_decay}
    if batch_norm_decay is not None:
        scope_arguments[_decay_argument(name, row)] = batch_norm_decay
    if row and row.scope_has_form and row.arg_scope is arg_scopes_map[name]:
        scope_arguments['is_training'] = is_training

    @functools.wraps(build)  # hands on build.default_image_size
    def network_fn(images: Any, **kwargs: Any) -> Any:
        with slim.arg_scope(arg_scopes_map[name](**scope_arguments)):
            return build(images, num_classes=num_classes, is_training=is_training, **kwargs)

    return network_fn


def _decay_argument(name: str, row: Network | None) -> str:
    if row is None:
        raise errors.UsageError(
            f'batch_norm_decay: network {name!r} has no row that says which argument takes it; set '
            'the decay in its arg scope.'
        )
    if row.decay_argument is None:
        raise errors.UsageError(f'batch_norm_decay: network {name!r} has no batch norm to set')
    return row.decay_argument
