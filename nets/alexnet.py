"""AlexNet, the second version: one column of convolutions, without local response normalization.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997. For
224 x 224 images and 1001 classes: 50,308,009 variables, 737 million multiply-adds.

    with slim.arg_scope(alexnet.alexnet_v2_arg_scope()):
        logits, end_points = alexnet.alexnet_v2(images)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import plain_stack
from nets.network import Network
from nets.plain_stack import layer

trunc_normal = plain_stack.trunc_normal

_ALEXNET = plain_stack.ImagenetStack(
    'alexnet_v2',
    (
        layer('conv1', slim.conv2d, 64, [11, 11], 4, padding='VALID'),
        layer('pool1', slim.max_pool2d, [3, 3], 2),
        layer('conv2', slim.conv2d, 192, [5, 5]),
        layer('pool2', slim.max_pool2d, [3, 3], 2),
        layer('conv3', slim.conv2d, 384, [3, 3]),
        layer('conv4', slim.conv2d, 384, [3, 3]),
        layer('conv5', slim.conv2d, 256, [3, 3]),
        layer('pool5', slim.max_pool2d, [3, 3], 2),
    ),
    fc6=(4096, 5),
    min_size={'VALID': 195},
    fc_arguments={
        'weights_initializer': trunc_normal(0.005),
        'biases_initializer': tf.constant_initializer(0.1),
    },
    fc8_arguments={'biases_initializer': tf.zeros_initializer()},
)


def alexnet_v2_arg_scope(weight_decay=0.0005):
    """The arg scope of AlexNet; `weight_decay` is the L2 coefficient of all weights."""
    return plain_stack.imagenet_arg_scope(weight_decay, bias=0.1)


def alexnet_v2(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    scope='alexnet_v2',
    global_pool=False,
):
    """Builds AlexNet.

    Args:
      inputs: float32 [batch, height, width, 3], at least 195 x 195; batch, height and width may be
        unknown.
      num_classes: width of the logits; 0 or None ends the network with fc7 or its global pool.
      is_training: whether dropout drops; None leaves it to the caller's arg scopes.
      dropout_keep_prob: share of fc6's and fc7's outputs that is kept.
      spatial_squeeze: logits [batch, num_classes], for images of up to 226 x 226, which give one
        place; False for [batch, 1 + (height - 195) // 32, 1 + (width - 195) // 32, num_classes].
      scope: variable scope.
      global_pool: average fc7 over the image, so that images of any size give a single place.

    Returns:
      (logits, end_points): end points are keyed `SCOPE/conv1` ... `SCOPE/fc8`, and `global_pool`.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    return plain_stack.build_imagenet_stack(
        _ALEXNET,
        inputs,
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        scope,
        global_pool,
    )


alexnet_v2.default_image_size = 224

NETWORKS = (Network('alexnet_v2', alexnet_v2, alexnet_v2_arg_scope),)
