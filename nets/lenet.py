"""LeNet for digits, wider than LeCun, Bottou, Bengio, Haffner, Proc. IEEE 1998, and with dropout.

For 28 x 28 images of one channel and 10 classes: 3,274,634 variables, 14 million multiply-adds.

    with slim.arg_scope(lenet.lenet_arg_scope()):
        logits, end_points = lenet.lenet(images)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision, plain_stack, training_form
from nets.network import Network
from nets.plain_stack import layer

_LAYERS = (
    layer('conv1', slim.conv2d, 32, [5, 5]),
    layer('pool1', slim.max_pool2d, [2, 2], 2),
    layer('conv2', slim.conv2d, 64, [5, 5]),
    layer('pool2', slim.max_pool2d, [2, 2], 2),
    layer('Flatten', slim.flatten),
    layer('fc3', slim.fully_connected, 1024),
)


def lenet(
    images,
    num_classes=10,
    is_training=False,
    dropout_keep_prob=0.5,
    prediction_fn=slim.softmax,
    scope='LeNet',
):
    """Builds LeNet.

    Args:
      images: float32 [batch, height, width, channels], at least 4 x 4; the batch may be unknown.
      num_classes: width of the logits; 0 or None ends the network with fc3.
      is_training: whether dropout drops; None leaves it to the caller's arg scopes.
      dropout_keep_prob: share of fc3's outputs that is kept.
      prediction_fn: function of (logits, scope); None leaves `Predictions` away.
      scope: variable scope.

    Returns:
      (logits, end_points): the logits are float32 [batch, num_classes]; end points are `conv1`,
      `pool1`, `conv2`, `pool2`, `Flatten`, `fc3`, `dropout3`, `Logits`, `Predictions`.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    plain_stack.check_flattened(images, min_size=4)
    checks.check_num_classes(num_classes)
    with tf.variable_scope(scope, 'LeNet', [images]):
        end_points = plain_stack.run_layers(images, _LAYERS)
        net = end_points['fc3']
        if not num_classes:
            return net, end_points
        with training_form.form_scope(is_training, slim.dropout):
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope='dropout3')
        end_points['dropout3'] = net
        net = full_precision.in_float32(net)
        logits = slim.fully_connected(net, num_classes, activation_fn=None, scope='fc4')
        end_points['Logits'] = logits
    if prediction_fn:
        end_points['Predictions'] = prediction_fn(logits, scope='Predictions')
    return logits, end_points


lenet.default_image_size = 28


def lenet_arg_scope(weight_decay=0.0):
    """The arg scope of LeNet; `weight_decay` is the L2 coefficient of all weights."""
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=tf.truncated_normal_initializer(stddev=0.1),
        activation_fn=tf.nn.relu,
    ) as scope:
        return scope


NETWORKS = (Network('lenet', lenet, lenet_arg_scope),)
