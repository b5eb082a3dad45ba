"""S3D-G: Inception-v1 with separable convolutions over space and time, and gated features.

Xie, Sun, Huang, Tu, Murphy, "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs
in Video Classification", ECCV 2018, arXiv:1712.04851. For 64 frames of 224 x 224 and 1001 classes:
10,149,433 variables with batch norm's statistics, 64 billion multiply-adds.

    with slim.arg_scope(s3dg.s3dg_arg_scope()):
        logits, end_points = s3dg.s3dg(videos)
"""

from __future__ import annotations

import functools

import tensorflow.compat.v1 as tf

import slim
from nets import checks, i3d, i3d_utils
from nets.network import Network

trunc_normal = i3d_utils.trunc_normal
conv3d_spatiotemporal = i3d_utils.conv3d_spatiotemporal
inception_block_v1_3d = i3d_utils.inception_block_v1_3d
arg_scope = slim.arg_scope


def s3dg_arg_scope(weight_decay=1e-7, batch_norm_decay=0.999, batch_norm_epsilon=0.001):
    """The arg scope of S3D-G; arguments as of `i3d.i3d_arg_scope`."""
    return i3d.i3d_arg_scope(
        weight_decay, batch_norm_decay, batch_norm_epsilon, separable_conv3d=True
    )


def self_gating(input_tensor, scope, data_format='NDHWC'):
    """Weighs every channel by a sigmoid of all channels' averages: section 4.4 of the paper.

    Args:
      input_tensor: float32, of rank 5.
      scope: prefix of the variables, `SCOPE/self_gating/transformer_W`.
      data_format: NDHWC or NCDHW.

    Returns:
      A tensor like `input_tensor`.
    """
    axes = [data_format.index(letter) for letter in 'DHW']
    sides = [input_tensor.shape.as_list()[axis] for axis in axes]
    if None in sides:  # a pooling window needs to know its size
        average = tf.reduce_mean(input_tensor, axes, keepdims=True)
    else:
        average = slim.avg_pool3d(
            input_tensor,
            sides,
            stride=1,
            data_format=data_format,
            scope=f'{scope}/self_gating/avg_pool3d',
        )
    weights = slim.conv3d(
        average,
        input_tensor.shape.as_list()[data_format.index('C')],
        [1, 1, 1],
        activation_fn=None,
        normalizer_fn=None,
        biases_initializer=None,
        data_format=data_format,
        weights_initializer=trunc_normal(0.01),
        scope=f'{scope}/self_gating/transformer_W',
    )
    return tf.multiply(tf.nn.sigmoid(weights), input_tensor)


def s3dg_base(
    inputs,
    first_temporal_kernel_size=3,
    temporal_conv_startat='Conv2d_2c_3x3',
    gating_startat='Conv2d_2c_3x3',
    final_endpoint='Mixed_5c',
    min_depth=16,
    depth_multiplier=1.0,
    data_format='NDHWC',
    scope='InceptionV1',
):
    """S3D-G without pool and classifier.

    Args:
      inputs: float32 [batch, frames, height, width, channels], or as `data_format` says; all but
        the channels may be unknown.
      first_temporal_kernel_size: frames that the first layer's kernel spans: 1, 3, 5 or 7.
      temporal_conv_startat: the first layer that convolves over time, `Conv2d_2c_3x3` or one of
        `Mixed_3b` ... `Mixed_5c`; None for no layer but the first.
      gating_startat: the first layer that is gated, one of the same; None for no layer.
      final_endpoint: where to stop, as of `i3d.i3d_base`.
      min_depth: least width of a layer.
      depth_multiplier: factor on the width of every layer, above 0.
      data_format: NDHWC, or NCDHW for [batch, channels, frames, height, width].
      scope: variable scope.

    Returns:
      (net, end_points): the last layer, float32 [batch, frames / 8, height / 32, width / 32, 1024]
      for `Mixed_5c`, and all layers by name.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    checks.check_depth_multiplier(depth_multiplier)
    return i3d_utils.inception_v1_3d_base(
        inputs,
        final_endpoint,
        scope,
        first_temporal_kernel_size=first_temporal_kernel_size,
        temporal_conv_startat=temporal_conv_startat,
        gating_startat=gating_startat,
        self_gating_fn=functools.partial(self_gating, data_format=data_format),
        depth=lambda width: max(int(width * depth_multiplier), min_depth),
        data_format=data_format,
        # On as many pixels as the first layer has, two convolutions are slower than one.
        stem_arguments={'separable': False},
    )


def s3dg(
    inputs,
    num_classes=1000,
    first_temporal_kernel_size=3,
    temporal_conv_startat='Conv2d_2c_3x3',
    gating_startat='Conv2d_2c_3x3',
    final_endpoint='Mixed_5c',
    min_depth=16,
    depth_multiplier=1.0,
    dropout_keep_prob=0.8,
    is_training=True,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    data_format='NDHWC',
    scope='InceptionV1',
):
    """Builds S3D-G.

    Args:
      inputs: float32 [batch, frames, height, width, channels], or as `data_format` says; all but
        the channels may be unknown. The head averages over 2 frames of 7 x 7 places, or over less
        where less is known to be there; a side that is unknown must have them.
      num_classes: width of the logits; 0 or None ends the network with the pooled features, float32
        [batch, frames / 8 - 1, 1, 1, 1024].
      first_temporal_kernel_size, temporal_conv_startat, gating_startat, final_endpoint, min_depth,
        depth_multiplier: of `s3dg_base`.
      dropout_keep_prob: share of the pooled features that is kept.
      is_training: whether dropout drops and batch norm uses and updates batch statistics; None
        leaves it to the caller's arg scopes.
      prediction_fn: function of (logits, scope); None leaves `Predictions` away.
      spatial_squeeze: logits [batch, num_classes], for frames of up to 224 x 224; False for
        [batch, height / 32 - 6, width / 32 - 6, num_classes].
      reuse: whether to use existing variables (see `tf.variable_scope`).
      data_format: NDHWC, or NCDHW for [batch, channels, frames, height, width].
      scope: variable scope.

    Returns:
      (logits, end_points): the logits, averaged over time; the end points of the base, `Logits` and
      `Predictions`.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    base = functools.partial(
        s3dg_base,
        first_temporal_kernel_size=first_temporal_kernel_size,
        temporal_conv_startat=temporal_conv_startat,
        gating_startat=gating_startat,
        min_depth=min_depth,
        depth_multiplier=depth_multiplier,
        data_format=data_format,
    )
    return i3d_utils.inception_v1_3d(
        inputs,
        base,
        num_classes,
        dropout_keep_prob,
        is_training,
        prediction_fn,
        spatial_squeeze,
        reuse,
        scope,
        final_endpoint,
        data_format,
    )


s3dg.default_image_size = 224
s3dg.default_num_frames = 64

NETWORKS = (Network('s3dg', s3dg, s3dg_arg_scope, 'batch_norm_decay'),)
