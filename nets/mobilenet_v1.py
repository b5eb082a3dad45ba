"""MobileNetV1: depthwise separable convolutions.

Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam 2017, arXiv:1704.04861. For 224 x 224
images and 1001 classes, counted over all variables with batch norm's statistics:

    network             width   variables   multiply-adds
    mobilenet_v1         1.0    4,254,889     569 million
    mobilenet_v1_075     0.75   2,602,745     325 million
    mobilenet_v1_050     0.5    1,343,049     150 million
    mobilenet_v1_025     0.25     475,801      41 million

    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=True)):
        logits, end_points = mobilenet_v1.mobilenet_v1(images, num_classes=1001)
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision, training_form
from nets.mobilenet import architectures, conv_blocks
from nets.mobilenet import mobilenet as lib
from nets.network import Network
from nets.striding import Striding
from slim import errors

Conv = collections.namedtuple('Conv', ['kernel', 'stride', 'depth'])
DepthSepConv = collections.namedtuple('DepthSepConv', ['kernel', 'stride', 'depth'])


def _row(row):
    if isinstance(row, architectures.Convolution):
        return Conv(kernel=[row.kernel, row.kernel], stride=row.stride, depth=row.channels)
    return DepthSepConv(kernel=[3, 3], stride=row.stride, depth=row.channels)


MOBILENETV1_CONV_DEFS = [_row(row) for row in architectures.V1]

_POOL_SIZE = 7  # side of the last layer for 224 pixels


def _layers(
    conv_defs: list[Any], depth: Callable[[int], int], output_stride: int | None
) -> Iterator[tuple[str, Callable[..., tf.Tensor], dict[str, Any]]]:
    """(end point, layer function, its arguments) of every layer of the table."""
    striding = Striding(output_stride)
    for number, row in enumerate(conv_defs):
        if not isinstance(row, (Conv, DepthSepConv)):
            raise errors.UsageError(f'conv_defs has {row!r}; rows are Conv or DepthSepConv.')
        stride, rate = striding.next_layer(row.stride)
        spatial = {'kernel_size': row.kernel, 'stride': stride, 'rate': rate}
        name = f'Conv2d_{number}'
        if isinstance(row, Conv):
            yield name, slim.conv2d, {'num_outputs': depth(row.depth), **spatial}
        else:
            depthwise = {'num_outputs': None, 'depth_multiplier': 1, **spatial}
            pointwise = {'num_outputs': depth(row.depth), 'kernel_size': [1, 1]}
            yield f'{name}_depthwise', slim.separable_conv2d, depthwise
            yield f'{name}_pointwise', slim.conv2d, pointwise


def mobilenet_v1_base(
    inputs,
    final_endpoint='Conv2d_13_pointwise',
    min_depth=8,
    depth_multiplier=1.0,
    conv_defs=None,
    output_stride=None,
    use_explicit_padding=False,
    scope=None,
):
    """Builds the layers of a table, without pooling and classifier.

    Args:
      inputs: float32 [batch, height, width, channels]; batch, height and width may be unknown.
      final_endpoint: the last layer to build: `Conv2d_0`, `Conv2d_N_depthwise` or
        `Conv2d_N_pointwise` for N from 1 to 13; None builds all.
      min_depth: least width of a layer.
      depth_multiplier: factor on the width of every layer, above 0; the result is truncated.
      conv_defs: list of `Conv` and `DepthSepConv`, None for `MOBILENETV1_CONV_DEFS`.
      output_stride: input size / output size at most: 8, 16 or 32; layers beyond it are dilated
        instead of strided. None leaves the strides as they are.
      use_explicit_padding: pad independently of the image size (see `conv_blocks.fixed_padding`).
      scope: variable scope, or None for `MobilenetV1`.

    Returns:
      (net, end_points): the last layer, and all layers by name. For 224 x 224 images the network
      ends with float32 [batch, 7, 7, 1024].

    Raises:
      UsageError: an argument outside of what is said above; no variable was created then.
    """
    checks.check_images(inputs)
    checks.check_depth_multiplier(depth_multiplier)
    checks.check_output_stride(output_stride, (None, 8, 16, 32))

    def depth(full: int) -> int:
        return max(int(full * depth_multiplier), min_depth)

    conv_defs = MOBILENETV1_CONV_DEFS if conv_defs is None else conv_defs
    layers = list(_layers(conv_defs, depth, output_stride))
    checks.check_final_endpoint(final_endpoint, (end_point for end_point, _, _ in layers))

    end_points = {}
    with (
        tf.variable_scope(scope, 'MobilenetV1'),
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            padding='VALID' if use_explicit_padding else 'SAME',
        ),
    ):
        net = inputs
        for end_point, layer, arguments in layers:
            if use_explicit_padding:
                net = conv_blocks.fixed_padding(
                    net, arguments['kernel_size'], arguments.get('rate', 1)
                )
            net = end_points[end_point] = layer(net, scope=end_point, **arguments)
            if end_point == final_endpoint:
                break
    return net, end_points


def _pool(net: tf.Tensor, global_pool: bool, end_points: dict[str, tf.Tensor]) -> tf.Tensor:
    """Averages height and width: the whole image, or windows of 7 x 7, smaller where it is."""
    if global_pool:
        net = tf.reduce_mean(net, [1, 2], keepdims=True, name='global_pool')
        end_points['global_pool'] = net
        return net
    sides = net.shape.as_list()[1:3]
    window = [min(side or _POOL_SIZE, _POOL_SIZE) for side in sides]
    net = slim.avg_pool2d(net, window, padding='VALID', scope='AvgPool_1a')
    end_points['AvgPool_1a'] = net
    return net


def mobilenet_v1(
    inputs,
    num_classes=1000,
    dropout_keep_prob=0.999,
    is_training=True,
    min_depth=8,
    depth_multiplier=1.0,
    conv_defs=None,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope='MobilenetV1',
    global_pool=False,
):
    """Builds MobileNetV1.

    Args:
      inputs: float32 [batch, height, width, channels], -1..1; batch, height and width may be
        unknown.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      dropout_keep_prob: share of the pooled features that is kept.
      is_training: of dropout and batch norm; None leaves it to the caller's arg scopes.
      min_depth, depth_multiplier, conv_defs: see `mobilenet_v1_base`.
      prediction_fn: function of (logits, scope); None leaves `Predictions` away.
      spatial_squeeze: drop the two axes of height and width, which are 1, from the logits.
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope.
      global_pool: average the whole image, whatever its size. Otherwise windows of 7 x 7 pixels of
        the last layer are averaged, or fewer where it is smaller. That is one window up to 256 x
        256 pixels; larger images need `global_pool`, or logits that are not squeezed.

    Returns:
      (net, end_points): the logits, float32 [batch, num_classes], or [batch, 1, 1, num_classes]
      unless squeezed; or the pooled features, float32 [batch, 1, 1, channels], without classes.
      Beside the end points of the base: `AvgPool_1a` or `global_pool`, `Logits`, `Predictions`.

    Raises:
      UsageError: see `mobilenet_v1_base`, or a negative `num_classes`; no variable was created
        then.
    """
    checks.check_num_classes(num_classes)
    with (
        tf.variable_scope(scope, 'MobilenetV1', reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm, slim.dropout),
    ):
        net, end_points = mobilenet_v1_base(
            inputs,
            final_endpoint=None,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            conv_defs=conv_defs,
            scope=variable_scope,
        )
        with tf.variable_scope('Logits'):
            net = _pool(net, global_pool, end_points)
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope='Dropout_1b')
            logits = slim.conv2d(
                full_precision.in_float32(net),
                num_classes,
                [1, 1],
                activation_fn=None,
                normalizer_fn=None,
                scope='Conv2d_1c_1x1',
            )
            if spatial_squeeze:
                logits = tf.squeeze(logits, [1, 2], name='SpatialSqueeze')
        end_points['Logits'] = logits
        if prediction_fn:
            end_points['Predictions'] = prediction_fn(logits, scope='Predictions')
    return logits, end_points


mobilenet_v1.default_image_size = 224

wrapped_partial = lib.wrapped_partial

mobilenet_v1_075 = wrapped_partial(mobilenet_v1, depth_multiplier=0.75)
mobilenet_v1_050 = wrapped_partial(mobilenet_v1, depth_multiplier=0.50)
mobilenet_v1_025 = wrapped_partial(mobilenet_v1, depth_multiplier=0.25)


def mobilenet_v1_arg_scope(
    is_training=True,
    weight_decay=0.00004,
    stddev=0.09,
    regularize_depthwise=False,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    normalizer_fn=slim.batch_norm,
):
    """The arg scope of MobileNetV1.

    Args:
      is_training: of batch norm; None leaves it to the network.
      weight_decay: L2 coefficient of the convolutions.
      stddev: of the truncated normal that weights start from.
      regularize_depthwise: decay the depthwise weights too. They are few, and decaying them costs
        accuracy (section 3 of the paper).
      batch_norm_decay: of the moving averages.
      batch_norm_epsilon: added to the variance.
      batch_norm_updates_collections: where the updates of the moving averages go.
      normalizer_fn: norm of all layers but the classifier.

    Returns:
      An arg scope.
    """
    regularizer = slim.l2_regularizer(weight_decay)
    with (
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            weights_initializer=tf.truncated_normal_initializer(stddev=stddev),
            activation_fn=tf.nn.relu6,
            normalizer_fn=normalizer_fn,
        ),
        slim.arg_scope(
            [slim.batch_norm],
            center=True,
            scale=True,
            decay=batch_norm_decay,
            epsilon=batch_norm_epsilon,
            updates_collections=batch_norm_updates_collections,
            **conv_blocks.given_arguments(is_training=is_training),
        ),
        slim.arg_scope([slim.conv2d], weights_regularizer=regularizer),
        slim.arg_scope(
            [slim.separable_conv2d],
            weights_regularizer=regularizer if regularize_depthwise else None,
        ),
    ):
        return slim.current_arg_scope()


NETWORKS = tuple(
    Network(name, build, mobilenet_v1_arg_scope, 'batch_norm_decay', scope_has_form=True)
    for name, build in (
        ('mobilenet_v1', mobilenet_v1),
        ('mobilenet_v1_075', mobilenet_v1_075),
        ('mobilenet_v1_050', mobilenet_v1_050),
        ('mobilenet_v1_025', mobilenet_v1_025),
    )
)
