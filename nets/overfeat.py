"""OverFeat, the fast model.

Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun, ICLR 2014, arXiv:1312.6229, Table 1. For 231 x 231
images and 1001 classes: 145,708,521 variables, 2.6 billion multiply-adds.

    with slim.arg_scope(overfeat.overfeat_arg_scope()):
        logits, end_points = overfeat.overfeat(images)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import plain_stack
from nets.network import Network
from nets.plain_stack import layer

trunc_normal = plain_stack.trunc_normal

_OVERFEAT = plain_stack.ImagenetStack(
    'overfeat',
    (
        layer('conv1', slim.conv2d, 64, [11, 11], 4, padding='VALID'),
        layer('pool1', slim.max_pool2d, [2, 2]),
        layer('conv2', slim.conv2d, 256, [5, 5], padding='VALID'),
        layer('pool2', slim.max_pool2d, [2, 2]),
        layer('conv3', slim.conv2d, 512, [3, 3]),
        layer('conv4', slim.conv2d, 1024, [3, 3]),
        layer('conv5', slim.conv2d, 1024, [3, 3]),
        layer('pool5', slim.max_pool2d, [2, 2]),
    ),
    fc6=(3072, 6),
    min_size={'VALID': 231},
    fc_arguments={
        'weights_initializer': trunc_normal(0.005),
        'biases_initializer': tf.constant_initializer(0.1),
    },
    fc8_arguments={'biases_initializer': tf.zeros_initializer()},
)


def overfeat_arg_scope(weight_decay=0.0005):
    """The arg scope of OverFeat; `weight_decay` is the L2 coefficient of all weights."""
    return plain_stack.imagenet_arg_scope(weight_decay)


def overfeat(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    scope='overfeat',
    global_pool=False,
):
    """Builds OverFeat.

    Arguments, result and errors are those of `alexnet.alexnet_v2`, with other sizes: images must be
    at least 231 x 231, and up to 262 x 262 they give a single place of logits.
    """
    return plain_stack.build_imagenet_stack(
        _OVERFEAT,
        inputs,
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        scope,
        global_pool,
    )


overfeat.default_image_size = 231

NETWORKS = (Network('overfeat', overfeat, overfeat_arg_scope),)
