"""MobileNetV3, found by search, and MobileNetEdgeTPU.

Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le, Adam, ICCV 2019,
arXiv:1905.02244; EdgeTPU is the same search for another device, with full convolutions where
channels are few. For 224 x 224 images and 1001 classes, counted over all variables with batch
norm's statistics:

    network                           variables   multiply-adds
    mobilenet_v3_large                5,508,713     217 million
    mobilenet_v3_large_minimalistic   3,949,969     209 million
    mobilenet_v3_small                2,555,993      57 million
    mobilenet_v3_small_minimalistic   2,057,873      52 million
    mobilenet_edgetpu                 4,131,593     991 million
    mobilenet_edgetpu_075             3,019,569     625 million

    with slim.arg_scope(mobilenet_v3.training_scope(is_training=True)):
        logits, end_points = mobilenet_v3.large(images)
"""

from __future__ import annotations

import copy
import functools

import numpy as np
import tensorflow.compat.v1 as tf

import slim
from nets.mobilenet import architectures
from nets.mobilenet import conv_blocks as ops
from nets.mobilenet import mobilenet as lib
from nets.network import Network
from slim import errors

op = lib.op
expand_input = ops.expand_input_by_factor
training_scope = lib.training_scope


def hard_swish(x):
    """x * relu6(x + 3) / 6: swish without an exponential (section 5.2 of the paper)."""
    with tf.name_scope('hard_swish'):
        return x * tf.nn.relu6(x + np.float32(3)) * np.float32(1.0 / 6.0)


def _hard_sigmoid(x):
    # sic: not 1 / 6. The published checkpoints were trained with this constant.
    return tf.nn.relu6(x + 3) * 0.16667


squeeze_excite = functools.partial(
    ops.squeeze_excite, squeeze_factor=4, inner_activation_fn=tf.nn.relu, gating_fn=_hard_sigmoid
)


def _se4(expansion_tensor, input_tensor):
    del input_tensor
    return squeeze_excite(expansion_tensor)


def reduce_to_1x1(input_tensor, default_size=7, **kwargs):
    """Averages a square image to 1 x 1.

    Args:
      input_tensor: float32 [batch, height, width, channels].
      default_size: side of the window for an image that is not square or of unknown size; the
        window is never larger than the image. Such an image may keep more than one pixel.
      **kwargs: of `slim.avg_pool2d`.

    Returns:
      float32 [batch, 1, 1, channels] for a square image of known size.
    """
    height, width = input_tensor.shape.as_list()[1:3]
    if height is not None and height == width:
        window = [height, width]
    else:
        window = [min(side or default_size, default_size) for side in (height, width)]
    return slim.avg_pool2d(input_tensor, kernel_size=window, **kwargs)


def mbv3_op(ef, n, k, s=1, act=tf.nn.relu, se=None, **kwargs):
    """A row of a table: the inverted residual block of MobileNetV3.

    Args:
      ef: expansion factor.
      n: channels of the result.
      k: side of the depthwise kernel.
      s: stride.
      act: activation of the expand and the depthwise layer.
      se: squeeze and excite, or None; see `expansion_transform` of `conv_blocks.expanded_conv`.
      **kwargs: of `conv_blocks.expanded_conv`.
    """
    return op(
        ops.expanded_conv,
        expansion_size=expand_input(ef),
        kernel_size=(k, k),
        stride=s,
        num_outputs=n,
        inner_activation_fn=act,
        expansion_transform=se,
        **kwargs,
    )


def mbv3_fused(ef, n, k, s=1, **kwargs):
    """A row of a table: as `mbv3_op`, with one k x k convolution for expand and depthwise."""
    return mbv3_op(ef, n, k, s, **kwargs)._replace(op=ops.fused_conv)


mbv3_op_se = functools.partial(mbv3_op, se=_se4)


def _defaults(normalizer_fn, **norm_arguments):
    """What the layers share, keyed by tuples of functions as TF-Slim's users know and edit them."""
    return {
        (normalizer_fn,): norm_arguments,
        (slim.conv2d, slim.fully_connected, slim.separable_conv2d): {
            'normalizer_fn': normalizer_fn,
            'activation_fn': tf.nn.relu,
        },
        (ops.expanded_conv,): {'normalizer_fn': normalizer_fn, 'residual': True},
        (slim.conv2d, slim.separable_conv2d): {'padding': 'SAME'},
    }


DEFAULTS = _defaults(slim.batch_norm, center=True, scale=True)
DEFAULTS_GROUP_NORM = _defaults(slim.group_norm, groups=8)

_SQUEEZE_EXCITE = {None: None, 4: _se4}
_ACTIVATIONS = {'relu': tf.nn.relu, 'hard_swish': hard_swish}


def _layer(row):
    """A row of `architectures` as a layer of these tables."""
    if isinstance(row, architectures.GlobalPooling):
        return op(reduce_to_1x1, default_size=7, stride=1)
    activation = _ACTIVATIONS[row.activation]
    if isinstance(row, architectures.InvertedResidual):
        kind = mbv3_fused if row.fused else mbv3_op
        own = {'act': activation, 'se': _SQUEEZE_EXCITE[row.squeeze_factor]}
        if not row.residual:
            own['residual'] = False
        return kind(row.expansion, row.channels, row.kernel, row.stride, **own)
    return op(
        slim.conv2d,
        num_outputs=row.channels,
        kernel_size=(row.kernel, row.kernel),
        stride=row.stride,
        activation_fn=activation,
        **({} if row.normalized else {'normalizer_fn': None}),
    )


def _v3_def(rows):
    return {'defaults': DEFAULTS, 'spec': [_layer(row) for row in rows]}


V3_LARGE = _v3_def(architectures.V3_LARGE)
V3_LARGE_MINIMALISTIC = _v3_def(architectures.V3_LARGE_MINIMALISTIC)
V3_SMALL = _v3_def(architectures.V3_SMALL)
V3_SMALL_MINIMALISTIC = _v3_def(architectures.V3_SMALL_MINIMALISTIC)
V3_EDGETPU = _v3_def(architectures.EDGETPU)


def _reduce_consecutive_layers(conv_defs, first, last):
    """A copy whose layers `first` to `last`, counted from 0, have half the channels.

    A detector has fewer classes than ImageNet and is as good without them (section 6.3).
    """
    conv_defs = copy.deepcopy(conv_defs)
    for layer in conv_defs['spec'][first : last + 1]:
        layer.params['num_outputs'] //= 2
    return conv_defs


V3_LARGE_DETECTION = _reduce_consecutive_layers(V3_LARGE, 13, 16)
V3_SMALL_DETECTION = _reduce_consecutive_layers(V3_SMALL, 9, 12)


def _keep_width(params, multiplier):
    """A `multiplier_func` that leaves the layer as wide as the table says."""
    del params, multiplier


def _unscaled_last_layer(conv_defs):
    """A copy whose last layer keeps its width under any multiplier."""
    conv_defs = copy.deepcopy(conv_defs)
    conv_defs['spec'][-1] = conv_defs['spec'][-1]._replace(multiplier_func=_keep_width)
    return conv_defs


@slim.add_arg_scope
def mobilenet(
    input_tensor,
    num_classes=1001,
    depth_multiplier=1.0,
    scope='MobilenetV3',
    conv_defs=None,
    finegrain_classification_mode=False,
    use_groupnorm=False,
    **kwargs,
):
    """Builds MobileNetV3, or another table of this module.

    Inference mode is created by default; `training_scope` around makes it training.

    Args:
      input_tensor: float32 [batch, height, width, channels], -1..1; batch, height and width may be
        unknown. `reduce_to_1x1` says what becomes of images that are not square.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      depth_multiplier: factor on the width of every layer, above 0.
      scope: variable scope.
      conv_defs: table of layers, None for `V3_LARGE`.
      finegrain_classification_mode: the last layer keeps its width under any multiplier.
      use_groupnorm: group norm (arXiv:1803.08494) in place of batch norm. Further argument then:
        `groups`, 8 unless given; it must divide every width of the network.
      **kwargs: of `mobilenet.mobilenet` and `mobilenet.mobilenet_base`: `is_training`,
        `output_stride`, `use_explicit_padding`, `final_endpoint`, `base_only`, `reuse`,
        `prediction_fn`, `use_reduce_mean_for_pooling`.

    Returns:
      (logits, end_points) as of `mobilenet.mobilenet`; the logits are float32 [batch, num_classes].

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    if 'multiplier' in kwargs:
        raise errors.UsageError('MobileNetV3 has no multiplier; give depth_multiplier instead.')
    conv_defs = V3_LARGE if conv_defs is None else conv_defs
    if finegrain_classification_mode:
        conv_defs = _unscaled_last_layer(conv_defs)
    if use_groupnorm:
        group_norm = {(slim.group_norm,): {'groups': kwargs.pop('groups', 8)}}
        conv_defs = {**conv_defs, 'defaults': {**DEFAULTS_GROUP_NORM, **group_norm}}
    return lib.mobilenet(
        input_tensor,
        num_classes=num_classes,
        conv_defs=conv_defs,
        scope=scope,
        multiplier=depth_multiplier,
        **kwargs,
    )


mobilenet.default_image_size = 224


@slim.add_arg_scope
def mobilenet_base(input_tensor, depth_multiplier=1.0, **kwargs):
    """The layers of the table alone, without the last pooling and the classifier.

    Arguments, result and errors are those of `mobilenet`.
    """
    return mobilenet(input_tensor, depth_multiplier=depth_multiplier, base_only=True, **kwargs)


def wrapped_partial(func, new_defaults=None, **kwargs):
    """`mobilenet.wrapped_partial`, with further arguments bound as a dictionary."""
    return lib.wrapped_partial(func, **{**(new_defaults or {}), **kwargs})


large = wrapped_partial(mobilenet, conv_defs=V3_LARGE)
small = wrapped_partial(mobilenet, conv_defs=V3_SMALL)
large_minimalistic = wrapped_partial(mobilenet, conv_defs=V3_LARGE_MINIMALISTIC)
small_minimalistic = wrapped_partial(mobilenet, conv_defs=V3_SMALL_MINIMALISTIC)
edge_tpu = wrapped_partial(mobilenet, {'scope': 'MobilenetEdgeTPU'}, conv_defs=V3_EDGETPU)
edge_tpu_075 = wrapped_partial(edge_tpu, depth_multiplier=0.75, finegrain_classification_mode=True)

NETWORKS = tuple(
    Network(name, build, training_scope, 'bn_decay', scope_has_form=True)
    for name, build in (
        ('mobilenet_v3_large', large),
        ('mobilenet_v3_small', small),
        ('mobilenet_v3_large_minimalistic', large_minimalistic),
        ('mobilenet_v3_small_minimalistic', small_minimalistic),
        ('mobilenet_edgetpu', edge_tpu),
        ('mobilenet_edgetpu_075', edge_tpu_075),
    )
)
