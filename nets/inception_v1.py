"""Inception V1, GoogLeNet.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich, CVPR 2015,
arXiv:1409.4842; here with batch norm and without the auxiliary heads. For 224 x 224 images and 1001
classes: 6,633,209 variables, counted with batch norm's statistics, and 1,498 million multiply-adds.

    with slim.arg_scope(inception_v1.inception_v1_arg_scope()):
        logits, end_points = inception_v1.inception_v1(images, num_classes=1001)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, inception_utils, training_form
from nets.inception_utils import Block, conv, max_pool
from nets.network import Network

trunc_normal = inception_utils.trunc_normal
inception_v1_arg_scope = inception_utils.inception_arg_scope


def _mixed(scope, direct, middle, small, pooled, small_scope='Conv2d_0b_3x3'):
    """Figure 2(b) of the paper; both (reduced, depth) pairs have 3x3 kernels, as trained."""
    return Block(
        scope,
        (
            [conv('Conv2d_0a_1x1', direct)],
            [conv('Conv2d_0a_1x1', middle[0]), conv('Conv2d_0b_3x3', middle[1])],
            [conv('Conv2d_0a_1x1', small[0]), conv(small_scope, small[1])],
            [max_pool('MaxPool_0a_3x3'), conv('Conv2d_0b_1x1', pooled)],
        ),
    )


_ROOT = (
    conv('Conv2d_1a_7x7', 64, stride=2),
    max_pool('MaxPool_2a_3x3', stride=2),
    conv('Conv2d_2b_1x1', 64),
    conv('Conv2d_2c_3x3', 192),
    max_pool('MaxPool_3a_3x3', stride=2),
)

# Table 1 of the paper.
_MIXED = (
    _mixed('Mixed_3b', 64, (96, 128), (16, 32), 32),
    _mixed('Mixed_3c', 128, (128, 192), (32, 96), 64),
    max_pool('MaxPool_4a_3x3', stride=2),
    _mixed('Mixed_4b', 192, (96, 208), (16, 48), 64),
    _mixed('Mixed_4c', 160, (112, 224), (24, 64), 64),
    _mixed('Mixed_4d', 128, (128, 256), (24, 64), 64),
    _mixed('Mixed_4e', 112, (144, 288), (32, 64), 64),
    _mixed('Mixed_4f', 256, (160, 320), (32, 128), 128),
    max_pool('MaxPool_5a_2x2', stride=2),
    _mixed('Mixed_5b', 256, (160, 320), (32, 128), 128, small_scope='Conv2d_0a_3x3'),  # sic
    _mixed('Mixed_5c', 384, (192, 384), (48, 128), 128),
)


def inception_v1_base(
    inputs, final_endpoint='Mixed_5c', include_root_block=True, scope='InceptionV1'
):
    """Builds Inception V1 up to `final_endpoint`, without pooling and classifier.

    Args:
      inputs: float32 [batch, height, width, channels]; batch, height and width may be unknown.
      final_endpoint: `Conv2d_1a_7x7`, `MaxPool_2a_3x3`, `Conv2d_2b_1x1`, `Conv2d_2c_3x3`,
        `MaxPool_3a_3x3`, `Mixed_3b`, `Mixed_3c`, `MaxPool_4a_3x3`, `Mixed_4b` to `Mixed_4f`,
        `MaxPool_5a_2x2`, `Mixed_5b` or `Mixed_5c`.
      include_root_block: False leaves out what comes before `Mixed_3b`, and reads its input.
      scope: variable scope.

    Returns:
      (net, end_points): output of the last stage, float32 [batch, height / 32, width / 32, 1024],
      and the outputs of all stages by name.

    Raises:
      UsageError: unknown end point, or wrong rank; no variable was created then.
    """
    checks.check_images(inputs)
    stages = inception_utils.until(
        (*_ROOT, *_MIXED) if include_root_block else _MIXED, final_endpoint
    )
    layers = [slim.conv2d, slim.fully_connected]
    with (
        tf.variable_scope(scope, 'InceptionV1'),
        slim.arg_scope(layers, weights_initializer=trunc_normal(0.01)),
    ):
        return inception_utils.build_stages(inputs, stages)


def inception_v1(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.8,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope='InceptionV1',
    global_pool=False,
):
    """Builds Inception V1.

    Args:
      inputs: float32 [batch, height, width, channels], -1..1; batch, height and width may be
        unknown. Without `global_pool` the sides are 193 to 224 pixels, or more where nothing is
        squeezed.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      is_training: whether dropout drops and batch norm uses and updates batch statistics; None
        leaves it to the caller's arg scopes.
      dropout_keep_prob: share of the pooled features that is kept.
      prediction_fn: function of the logits and a `scope`, for the end point `Predictions`.
      spatial_squeeze: False keeps the logits' height and width, float32 [batch, 1, 1, num_classes].
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope.
      global_pool: average the whole map, not a window of 7 x 7, so that images of any size fit.

    Returns:
      (net, end_points): the logits, float32 [batch, num_classes]; or the pooled features, float32
      [batch, 1, 1, 1024], without classes. Beside the end points of the base: `AvgPool_0a_7x7` or
      `global_pool`, `Logits`, `Predictions`.

    Raises:
      UsageError: wrong rank, sizes that do not fit, or a negative `num_classes`; no variable was
        created then.
    """
    checks.check_images(inputs)
    checks.check_num_classes(num_classes)
    if not global_pool:
        largest = 7 if num_classes and spatial_squeeze else None
        inception_utils.check_map_size(inputs, (*_ROOT, *_MIXED), 7, largest, 'global_pool=True')
    with (
        tf.variable_scope(scope, 'InceptionV1', reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm, slim.dropout),
    ):
        net, end_points = inception_v1_base(inputs, scope=variable_scope)
        with tf.variable_scope('Logits'):
            if global_pool:
                net = tf.reduce_mean(net, [1, 2], keepdims=True, name='global_pool')
                end_points['global_pool'] = net
            else:
                net = slim.avg_pool2d(net, [7, 7], stride=1, scope='AvgPool_0a_7x7')
                end_points['AvgPool_0a_7x7'] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope='Dropout_0b')
            logits = inception_utils.convolutional_logits(
                net, num_classes, spatial_squeeze, 'Conv2d_0c_1x1'
            )
            end_points['Logits'] = logits
            end_points['Predictions'] = prediction_fn(logits, scope='Predictions')
    return logits, end_points


inception_v1.default_image_size = 224

NETWORKS = (Network('inception_v1', inception_v1, inception_v1_arg_scope, 'batch_norm_decay'),)
