"""MobileNetV2: inverted residuals and linear bottlenecks.

Sandler, Howard, Zhu, Zhmoginov, Chen, CVPR 2018, arXiv:1801.04381. For 224 x 224 images and 1001
classes, counted over all variables with batch norm's statistics:

    network             width   variables   multiply-adds
    mobilenet_v2_140     1.4    6,158,505     582 million
    mobilenet_v2         1.0    3,540,265     301 million
    mobilenet_v2_050     0.5    1,988,505      97 million
    mobilenet_v2_035     0.35   1,692,489      59 million

    with slim.arg_scope(mobilenet_v2.training_scope(is_training=True)):
        logits, end_points = mobilenet_v2.mobilenet(images)
"""

from __future__ import annotations

import copy

import tensorflow.compat.v1 as tf

import slim
from nets.mobilenet import architectures
from nets.mobilenet import conv_blocks as ops
from nets.mobilenet import mobilenet as lib
from nets.network import Network
from slim import errors

op = lib.op
expand_input = ops.expand_input_by_factor

_CONVOLUTIONS = (slim.conv2d, slim.fully_connected, slim.separable_conv2d)
_EXPANSION = 6


def _layer(row):
    """A row of `architectures.V2` as a layer of this table; `_defaults` has what all share."""
    if isinstance(row, architectures.Convolution):
        kernel_size = [row.kernel, row.kernel]
        return op(slim.conv2d, num_outputs=row.channels, stride=row.stride, kernel_size=kernel_size)
    own_size = {}
    if row.expansion != _EXPANSION:
        # Without an expand layer nothing is rounded: the depthwise layer keeps its input's width.
        divisible_by = 1 if row.expansion == 1 else 8
        own_size['expansion_size'] = expand_input(row.expansion, divisible_by)
    return op(ops.expanded_conv, num_outputs=row.channels, stride=row.stride, **own_size)


def _defaults(normalizer_fn):
    """What the layers share, keyed by tuples of functions as TF-Slim's users know and edit them."""
    return {
        _CONVOLUTIONS: {'normalizer_fn': normalizer_fn, 'activation_fn': tf.nn.relu6},
        (ops.expanded_conv,): {
            'expansion_size': expand_input(_EXPANSION),
            'split_expansion': 1,
            'normalizer_fn': normalizer_fn,
            'residual': True,
        },
        (slim.conv2d, slim.separable_conv2d): {'padding': 'SAME'},
    }


# Batch norm's centre and scale are variables: part of the network, not of a training scope.
V2_DEF = {
    'defaults': {
        (slim.batch_norm,): {'center': True, 'scale': True},
        **_defaults(slim.batch_norm),
    },
    'spec': [_layer(row) for row in architectures.V2],
}

V2_DEF_GROUP_NORM = copy.deepcopy(V2_DEF)
V2_DEF_GROUP_NORM['defaults'] = _defaults(slim.group_norm)


def _unshrunk_last_layer(conv_defs, multiplier):
    """A copy whose last layer keeps its full width under a multiplier below 1."""
    conv_defs = copy.deepcopy(conv_defs)
    if 0 < multiplier < 1:
        conv_defs['spec'][-1].params['num_outputs'] /= multiplier
    return conv_defs


def _with_activation(conv_defs, activation_fn):
    """A copy whose convolutions use `activation_fn`."""
    conv_defs = copy.deepcopy(conv_defs)
    conv_defs['defaults'][_CONVOLUTIONS]['activation_fn'] = activation_fn
    return conv_defs


@slim.add_arg_scope
def mobilenet(
    input_tensor,
    num_classes=1001,
    depth_multiplier=1.0,
    scope='MobilenetV2',
    conv_defs=None,
    finegrain_classification_mode=False,
    min_depth=None,
    divisible_by=None,
    activation_fn=None,
    **kwargs,
):
    """Builds MobileNetV2.

    Inference mode is created by default; `training_scope` around makes it training.

    Args:
      input_tensor: float32 [batch, height, width, channels], -1..1; batch, height and width may be
        unknown.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      depth_multiplier: factor on the width of every layer, above 0.
      scope: variable scope.
      conv_defs: table of layers, None for `V2_DEF`.
      finegrain_classification_mode: a multiplier below 1 leaves the last layer (1280) as it is.
      min_depth: least width of a layer; None leaves `lib.depth_multiplier`'s arg scope (8).
      divisible_by: every width is a multiple of it; None leaves the arg scope (8).
      activation_fn: None for the table's, ReLU6.
      **kwargs: of `mobilenet.mobilenet` and `mobilenet.mobilenet_base`: `is_training`,
        `output_stride`, `use_explicit_padding`, `final_endpoint`, `base_only`, `reuse`,
        `prediction_fn`, `use_reduce_mean_for_pooling`.

    Returns:
      (logits, end_points) as of `mobilenet.mobilenet`; the logits are float32 [batch, num_classes].

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    if 'multiplier' in kwargs:
        raise errors.UsageError('MobileNetV2 has no multiplier; give depth_multiplier instead.')
    conv_defs = V2_DEF if conv_defs is None else conv_defs
    if finegrain_classification_mode:
        conv_defs = _unshrunk_last_layer(conv_defs, depth_multiplier)
    if activation_fn:
        conv_defs = _with_activation(conv_defs, activation_fn)
    with lib.safe_arg_scope(
        (lib.depth_multiplier,), min_depth=min_depth, divisible_by=divisible_by
    ):
        return lib.mobilenet(
            input_tensor,
            num_classes=num_classes,
            conv_defs=conv_defs,
            scope=scope,
            multiplier=depth_multiplier,
            **kwargs,
        )


mobilenet.default_image_size = 224

wrapped_partial = lib.wrapped_partial

mobilenet_v2_140 = wrapped_partial(mobilenet, depth_multiplier=1.4)
mobilenet_v2_050 = wrapped_partial(
    mobilenet, depth_multiplier=0.50, finegrain_classification_mode=True
)
mobilenet_v2_035 = wrapped_partial(
    mobilenet, depth_multiplier=0.35, finegrain_classification_mode=True
)


@slim.add_arg_scope
def mobilenet_base(input_tensor, depth_multiplier=1.0, **kwargs):
    """MobileNetV2 without pooling and classifier, float32 [batch, height / 32, width / 32, 1280].

    Arguments, result and errors are those of `mobilenet`.
    """
    return mobilenet(input_tensor, depth_multiplier=depth_multiplier, base_only=True, **kwargs)


@slim.add_arg_scope
def mobilenet_base_group_norm(input_tensor, depth_multiplier=1.0, **kwargs):
    """`mobilenet_base` with group norm (arXiv:1803.08494) in place of batch norm.

    Height and width must be known. Further argument: `groups`, 8 unless given; it must divide every
    width of the network.
    """
    conv_defs = copy.deepcopy(V2_DEF_GROUP_NORM)
    conv_defs['defaults'][(slim.group_norm,)] = {'groups': kwargs.pop('groups', 8)}
    return mobilenet_base(
        input_tensor, depth_multiplier=depth_multiplier, conv_defs=conv_defs, **kwargs
    )


def training_scope(**kwargs):
    """The arg scope of MobileNetV2; arguments are those of `mobilenet.training_scope`."""
    return lib.training_scope(**kwargs)


NETWORKS = (
    Network('mobilenet_v2', mobilenet, training_scope, 'bn_decay', scope_has_form=True),
    Network('mobilenet_v2_140', mobilenet_v2_140, training_scope, 'bn_decay', scope_has_form=True),
    Network('mobilenet_v2_050', mobilenet_v2_050, training_scope, 'bn_decay', scope_has_form=True),
    Network('mobilenet_v2_035', mobilenet_v2_035, training_scope, 'bn_decay', scope_has_form=True),
)
