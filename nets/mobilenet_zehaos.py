"""The MobileNet V1 of the Zehaos suite, by its variable names, as a classifier and as a detector.

    network         width   variables   for
    mobilenet         1.0   4,254,889   classes of a picture
    mobilenet        0.75   2,602,745
    mobilenet         0.5   1,343,049
    mobilenetdet      1.0   3,893,384   boxes of three classes, with its head

It is not `mobilenet_v1`: convolutions have biases, batch norm has no gamma, layers end with plain
relu, widths are rounded, and depthwise weights decay too. A checkpoint of one does not fit the
other. `mobilenetdet` has the variables of `mobilenet` but for the classifier: a classifier's
checkpoint starts a detector.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, detector_head, full_precision, training_form
from nets.network import Network

# Filters and stride of conv_1, then of conv_ds_2 .. conv_ds_14.
_FIRST = (32, 2)
_SEPARABLE = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)
_POOL_SIZE = 7  # side of the last layer for 224 pixels
_LARGEST = 256  # greatest side of an image for which pooling leaves one place


def mobilenet_base(inputs, width_multiplier=1.0, scope=None):
    """Builds the layers without pooling and classifier.

    Args:
      inputs: float32 [batch, height, width, channels], -1..1.
      width_multiplier: factor on the filters of every layer, above 0; the result is rounded.
      scope: variable scope, or None for `MobileNet`.

    Returns:
      (net, end_points): the last layer, float32 [batch, height / 32, width / 32, 1024], sides
      rounded up; and the bare convolutions, without batch norm and relu, by the names of their
      scopes.

    Raises:
      UsageError: an argument outside of what is said above; no variable was created then.
    """
    checks.check_images(inputs)
    checks.check_depth_multiplier(width_multiplier)

    def filters(full: int) -> int:
        return max(round(full * width_multiplier), 1)

    end_points = {}

    def keep(net: tf.Tensor, name: str) -> tf.Tensor:
        end_points[f'{variable_scope.name}/{name}'] = net
        return net

    def norm(net: tf.Tensor, name: str) -> tf.Tensor:
        return slim.batch_norm(net, activation_fn=tf.nn.relu, scope=name)

    with tf.variable_scope(scope, 'MobileNet') as variable_scope:
        full, stride = _FIRST
        net = keep(slim.conv2d(inputs, filters(full), [3, 3], stride, scope='conv_1'), 'conv_1')
        net = norm(net, 'conv_1/batch_norm')
        for number, (full, stride) in enumerate(_SEPARABLE, start=2):
            name = f'conv_ds_{number}'
            depthwise, pointwise = f'{name}/depthwise_conv', f'{name}/pointwise_conv'
            net = slim.separable_conv2d(net, None, [3, 3], 1, stride, scope=depthwise)
            net = norm(keep(net, depthwise), f'{name}/dw_batch_norm')
            net = slim.conv2d(net, filters(full), [1, 1], scope=pointwise)
            net = norm(keep(net, pointwise), f'{name}/pw_batch_norm')
    return net, end_points


def mobilenet(
    inputs,
    num_classes=1000,
    is_training=True,
    width_multiplier=1.0,
    reuse=None,
    scope='MobileNet',
):
    """Builds the classifier.

    Args:
      inputs: float32 [batch, height, width, channels], -1..1, up to 256 x 256 pixels.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      is_training: of batch norm; None leaves it to the caller's arg scopes.
      width_multiplier: see `mobilenet_base`.
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope.

    Returns:
      (net, end_points): logits, float32 [batch, num_classes]; or the pooled features, float32
      [batch, 1, 1, channels], without classes. Beside the end points of the base: `squeeze`,
      `Logits`, `Predictions`.

    Raises:
      UsageError: see `mobilenet_base`, a negative `num_classes`, or images that are too large.
    """
    checks.check_num_classes(num_classes)
    checks.check_images(inputs)
    height, width = inputs.shape.as_list()[1:3]
    checks.check_one_place(height, width, _LARGEST)
    with (
        tf.variable_scope(scope, 'MobileNet', reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm),
    ):
        net, end_points = mobilenet_base(inputs, width_multiplier, variable_scope)
        window = [min(side or _POOL_SIZE, _POOL_SIZE) for side in net.shape.as_list()[1:3]]
        net = slim.avg_pool2d(net, window, scope='avg_pool_15')
        if not num_classes:
            return net, end_points
        net = end_points['squeeze'] = tf.squeeze(net, [1, 2], name='squeeze')
        logits = slim.fully_connected(
            full_precision.in_float32(net), num_classes, activation_fn=None, scope='fc_16'
        )
        end_points['Logits'] = logits
        end_points['Predictions'] = slim.softmax(logits, scope='Predictions')
    return logits, end_points


mobilenet.default_image_size = 224


def mobilenetdet(
    inputs,
    num_classes=3,
    is_training=True,
    width_multiplier=1.0,
    dropout_keep_prob=0.5,
    shapes=9,
    reuse=None,
    scope='MobileNet',
):
    """Builds the detector: the base, and boxes from each place of its last layer.

    Args:
      inputs: float32 [batch, height, width, channels], -1..1.
      num_classes: of the objects; 0 or None ends the network with the base.
      is_training: of dropout and batch norm; None leaves it to the caller's arg scopes.
      width_multiplier: see `mobilenet_base`.
      dropout_keep_prob: share of the last layer that is kept.
      shapes: anchors at each place.
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope.

    Returns:
      (net, end_points): float32 [batch, height / 32, width / 32, shapes * (num_classes + 5)], see
      `detector_head.add`; or the base's last layer without classes. Beside the end points of the
      base: `Logits`, the same as `net`.

    Raises:
      UsageError: see `mobilenet_base`, or a negative `num_classes`.
    """
    checks.check_num_classes(num_classes)
    with (
        tf.variable_scope(scope, 'MobileNet', reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm, slim.dropout),
    ):
        net, end_points = mobilenet_base(inputs, width_multiplier, variable_scope)
        if not num_classes:
            return net, end_points
        net = end_points['Logits'] = detector_head.add(net, num_classes, shapes, dropout_keep_prob)
    return net, end_points


mobilenetdet.default_image_size = 224


def mobilenet_arg_scope(weight_decay=0.0, batch_norm_decay=0.999):
    """The arg scope of both networks.

    Args:
      weight_decay: L2 coefficient of all convolutions, the depthwise ones included; the classifier
        and the detector's head have none.
      batch_norm_decay: of the moving averages.

    Returns:
      An arg scope.
    """
    with (
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            activation_fn=None,
            normalizer_fn=None,
        ),
        slim.arg_scope(
            [slim.batch_norm], center=True, scale=False, decay=batch_norm_decay, epsilon=0.001
        ),
    ):
        return slim.current_arg_scope()


NETWORKS = (
    Network('mobilenet', mobilenet, mobilenet_arg_scope, 'batch_norm_decay'),
    Network(
        'mobilenetdet', mobilenetdet, mobilenet_arg_scope, 'batch_norm_decay', finds_boxes=True
    ),
)
