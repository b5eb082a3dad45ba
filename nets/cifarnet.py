"""A small network for CIFAR-10, after Krizhevsky's cuda-convnet: two convolutions, each with a pool
and a local response normalization, and three fully connected layers.

For 32 x 32 images and 10 classes: 1,756,426 variables, 33 million multiply-adds.

    with slim.arg_scope(cifarnet.cifarnet_arg_scope()):
        logits, end_points = cifarnet.cifarnet(images)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision, plain_stack, training_form
from nets.network import Network
from nets.plain_stack import layer

trunc_normal = plain_stack.trunc_normal


def _local_response_norm(net, scope):
    return tf.nn.lrn(net, depth_radius=4, bias=1.0, alpha=0.001 / 9.0, beta=0.75, name=scope)


_LAYERS = (
    layer('conv1', slim.conv2d, 64, [5, 5]),
    layer('pool1', slim.max_pool2d, [2, 2], 2),
    layer('norm1', _local_response_norm),
    layer('conv2', slim.conv2d, 64, [5, 5]),
    layer('norm2', _local_response_norm),
    layer('pool2', slim.max_pool2d, [2, 2], 2),
    layer('Flatten', slim.flatten),
    layer('fc3', slim.fully_connected, 384),
    layer('dropout3', slim.dropout),
    layer('fc4', slim.fully_connected, 192),
)
_NO_END_POINTS = ('norm1', 'norm2', 'dropout3')


def cifarnet(
    images,
    num_classes=10,
    is_training=False,
    dropout_keep_prob=0.5,
    prediction_fn=slim.softmax,
    scope='CifarNet',
):
    """Builds the network.

    Args:
      images: float32 [batch, height, width, channels], at least 4 x 4; the batch may be unknown.
      num_classes: width of the logits; 0 or None ends the network with fc4.
      is_training: whether dropout drops; None leaves it to the caller's arg scopes.
      dropout_keep_prob: share of fc3's outputs that is kept.
      prediction_fn: function of (logits, scope); None leaves `Predictions` away.
      scope: variable scope.

    Returns:
      (logits, end_points): the logits are float32 [batch, num_classes]; end points are `conv1`,
      `pool1`, `conv2`, `pool2`, `Flatten`, `fc3`, `fc4`, `Logits`, `Predictions`.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    plain_stack.check_flattened(images, min_size=4)
    checks.check_num_classes(num_classes)
    with tf.variable_scope(scope, 'CifarNet', [images]):
        with (
            slim.arg_scope([slim.dropout], keep_prob=dropout_keep_prob),
            training_form.form_scope(is_training, slim.dropout),
        ):
            end_points = plain_stack.run_layers(images, _LAYERS)
        for name in _NO_END_POINTS:
            del end_points[name]
        net = end_points['fc4']
        if not num_classes:
            return net, end_points
        logits = slim.fully_connected(
            full_precision.in_float32(net),
            num_classes,
            biases_initializer=tf.zeros_initializer(),
            weights_initializer=trunc_normal(1 / 192.0),
            weights_regularizer=None,
            activation_fn=None,
            scope='logits',
        )
        end_points['Logits'] = logits
        if prediction_fn:
            end_points['Predictions'] = prediction_fn(logits, scope='Predictions')
    return logits, end_points


cifarnet.default_image_size = 32


def cifarnet_arg_scope(weight_decay=0.004):
    """The arg scope of the network.

    Args:
      weight_decay: L2 coefficient of fc3 and fc4; the convolutions and the logits have none.

    Returns:
      An arg scope.
    """
    with (
        slim.arg_scope(
            [slim.conv2d], weights_initializer=trunc_normal(0.05), activation_fn=tf.nn.relu
        ),
        slim.arg_scope(
            [slim.fully_connected],
            biases_initializer=tf.constant_initializer(0.1),
            weights_initializer=trunc_normal(0.04),
            weights_regularizer=slim.l2_regularizer(weight_decay),
            activation_fn=tf.nn.relu,
        ) as scope,
    ):
        return scope


NETWORKS = (Network('cifarnet', cifarnet, cifarnet_arg_scope),)
