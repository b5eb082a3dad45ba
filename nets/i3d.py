"""I3D: Inception-v1 whose kernels are inflated into time.

Carreira, Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR
2017, arXiv:1705.07750. For 64 frames of 224 x 224 and 1001 classes: 13,320,569 variables with batch
norm's statistics, 111 billion multiply-adds.

    with slim.arg_scope(i3d.i3d_arg_scope()):
        logits, end_points = i3d.i3d(videos)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import i3d_utils
from nets.network import Network

trunc_normal = i3d_utils.trunc_normal
conv3d_spatiotemporal = i3d_utils.conv3d_spatiotemporal


def i3d_arg_scope(
    weight_decay=1e-7,
    batch_norm_decay=0.999,
    batch_norm_epsilon=0.001,
    use_renorm=False,
    separable_conv3d=False,
):
    """The arg scope of I3D.

    Args:
      weight_decay: L2 coefficient of all weights.
      batch_norm_decay: decay of the moving statistics.
      batch_norm_epsilon: added to the variance.
      use_renorm: batch renormalization (arXiv:1702.03275) in place of batch norm.
      separable_conv3d: convolve over space, then over time (see `conv3d_spatiotemporal`).

    Returns:
      An arg scope.
    """
    batch_norm_params = {
        'decay': batch_norm_decay,
        'epsilon': batch_norm_epsilon,
        'fused': False,  # the fused one is for images
        'renorm': use_renorm,
        'variables_collections': {
            'beta': None,
            'gamma': None,
            'moving_mean': ['moving_vars'],
            'moving_variance': ['moving_vars'],
        },
    }
    with (
        slim.arg_scope(
            [slim.conv3d, conv3d_spatiotemporal],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            activation_fn=tf.nn.relu,
            normalizer_fn=slim.batch_norm,
            normalizer_params=batch_norm_params,
        ),
        slim.arg_scope([conv3d_spatiotemporal], separable=separable_conv3d) as scope,
    ):
        return scope


def i3d_base(inputs, final_endpoint='Mixed_5c', scope='InceptionV1'):
    """I3D without pool and classifier.

    Args:
      inputs: float32 [batch, frames, height, width, channels]; all but the channels may be unknown.
      final_endpoint: where to stop: `Conv2d_1a_7x7`, `MaxPool_2a_3x3`, `Conv2d_2b_1x1`,
        `Conv2d_2c_3x3`, `MaxPool_3a_3x3`, `Mixed_3b`, `Mixed_3c`, `MaxPool_4a_3x3`, `Mixed_4b` ...
        `Mixed_4f`, `MaxPool_5a_2x2`, `Mixed_5b` or `Mixed_5c`.
      scope: variable scope.

    Returns:
      (net, end_points): the last layer, float32 [batch, frames / 8, height / 32, width / 32, 1024]
      for `Mixed_5c`, and all layers by name.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    return i3d_utils.inception_v1_3d_base(
        inputs, final_endpoint, scope, first_temporal_kernel_size=7
    )


def i3d(
    inputs,
    num_classes=1000,
    dropout_keep_prob=0.8,
    is_training=True,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope='InceptionV1',
):
    """Builds I3D; arguments, result and errors are those of `s3dg.s3dg`."""
    return i3d_utils.inception_v1_3d(
        inputs,
        i3d_base,
        num_classes,
        dropout_keep_prob,
        is_training,
        prediction_fn,
        spatial_squeeze,
        reuse,
        scope,
    )


i3d.default_image_size = 224
i3d.default_num_frames = 64

NETWORKS = (Network('i3d', i3d, i3d_arg_scope, 'batch_norm_decay'),)
