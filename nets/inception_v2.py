"""Inception V2, the Inception network that batch norm was introduced with.

Ioffe, Szegedy, ICML 2015, arXiv:1502.03167. For 224 x 224 images and 1001 classes: 11,199,137
variables, counted with batch norm's statistics, and 1,935 million multiply-adds.

    with slim.arg_scope(inception_v2.inception_v2_arg_scope()):
        logits, end_points = inception_v2.inception_v2(images, num_classes=1001)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, inception_utils, training_form
from nets.inception_utils import Block, avg_pool, conv, max_pool
from nets.network import Network
from slim import errors

trunc_normal = inception_utils.trunc_normal
inception_v2_arg_scope = inception_utils.inception_arg_scope

_DATA_FORMATS = ('NHWC', 'NCHW')
_AVG_POOL = avg_pool('AvgPool_0a_3x3')


def _reduce(depth):
    return conv('Conv2d_0a_1x1', depth, stddev=0.09)


def _mixed(scope, direct, single, double, pooled, pool=_AVG_POOL):
    """Figure 5 of the paper; `single` and `double` are (reduced, depth) of one and two 3x3."""
    return Block(
        scope,
        (
            [conv('Conv2d_0a_1x1', direct)],
            [_reduce(single[0]), conv('Conv2d_0b_3x3', single[1])],
            [
                _reduce(double[0]),
                conv('Conv2d_0b_3x3', double[1]),
                conv('Conv2d_0c_3x3', double[1]),
            ],
            [pool, conv('Conv2d_0b_1x1', pooled, stddev=0.1)],
        ),
    )


def _halving(scope, single, double):
    """The same without `direct` and `pooled`; the last layer of every branch has stride 2."""
    return Block(
        scope,
        (
            [_reduce(single[0]), conv('Conv2d_1a_3x3', single[1], stride=2)],
            [
                _reduce(double[0]),
                conv('Conv2d_0b_3x3', double[1]),
                conv('Conv2d_1a_3x3', double[1], stride=2),
            ],
            [max_pool('MaxPool_1a_3x3', stride=2)],
        ),
    )


_FIRST = conv('Conv2d_1a_7x7', 64, stride=2, stddev=1.0)

_ROOT = (
    max_pool('MaxPool_2a_3x3', stride=2),
    conv('Conv2d_2b_1x1', 64, stddev=0.1),
    conv('Conv2d_2c_3x3', 192),
    max_pool('MaxPool_3a_3x3', stride=2),
)

# Figure 5 of the paper; 4b to 5c have the widths that the published checkpoint was trained with.
_MIXED = (
    _mixed('Mixed_3b', 64, (64, 64), (64, 96), 32),
    _mixed('Mixed_3c', 64, (64, 96), (64, 96), 64),
    _halving('Mixed_4a', (128, 160), (64, 96)),
    _mixed('Mixed_4b', 224, (64, 96), (96, 128), 128),
    _mixed('Mixed_4c', 192, (96, 128), (96, 128), 128),
    _mixed('Mixed_4d', 160, (128, 160), (128, 160), 96),
    _mixed('Mixed_4e', 96, (128, 192), (160, 192), 96),
    _halving('Mixed_5a', (128, 192), (192, 256)),
    _mixed('Mixed_5b', 352, (192, 320), (160, 224), 128),
    _mixed('Mixed_5c', 352, (192, 320), (192, 224), 128, pool=max_pool('MaxPool_0a_3x3')),
)


def _separable(layer, width):
    """The same layer as a separable convolution, up to 8 filters on each of the 3 colours.

    It stands outside of the arg scope: a bias, no batch norm, no weight decay.
    """
    filters = min(int(width(layer.depth) / 3), 8)
    arguments = {**layer.arguments, 'depth_multiplier': filters}
    return layer._replace(function=slim.separable_conv2d, arguments=arguments)


def inception_v2_base(
    inputs,
    final_endpoint='Mixed_5c',
    min_depth=16,
    depth_multiplier=1.0,
    use_separable_conv=True,
    data_format='NHWC',
    include_root_block=True,
    scope=None,
):
    """Builds Inception V2 up to `final_endpoint`, without pooling and classifier.

    Args:
      inputs: float32 [batch, height, width, channels], or as `data_format` says; batch, height and
        width may be unknown.
      final_endpoint: `Conv2d_1a_7x7`, `MaxPool_2a_3x3`, `Conv2d_2b_1x1`, `Conv2d_2c_3x3`,
        `MaxPool_3a_3x3`, `Mixed_3b`, `Mixed_3c`, `Mixed_4a` to `Mixed_4e`, or `Mixed_5a` to
        `Mixed_5c`.
      min_depth: least width of a layer.
      depth_multiplier: factor on the width of every layer, above 0.
      use_separable_conv: whether the first layer is a separable convolution.
      data_format: `NHWC`, or `NCHW` without the separable convolution.
      include_root_block: False leaves out what comes before `Mixed_3b`, and reads its input.
      scope: variable scope, `InceptionV2` unless given.

    Returns:
      (net, end_points): output of the last stage, float32 [batch, height / 32, width / 32, 1024],
      and the outputs of all stages by name.

    Raises:
      UsageError: unknown end point or data format, wrong rank or a multiplier of 0 or less; no
        variable was created then.
    """
    checks.check_images(inputs)
    if data_format not in _DATA_FORMATS:
        raise errors.unknown_name('data_format', data_format, _DATA_FORMATS)
    if data_format == 'NCHW' and include_root_block and use_separable_conv:
        raise errors.UsageError(
            'use_separable_conv goes with NHWC only; give use_separable_conv=False for NCHW.'
        )
    layout = inception_utils.scaled_layout(depth_multiplier, min_depth, data_format)
    stages = _MIXED
    if include_root_block:
        first = _separable(_FIRST, layout.width) if use_separable_conv else _FIRST
        stages = (first, *_ROOT, *_MIXED)
    stages = inception_utils.until(stages, final_endpoint)
    layers = [slim.conv2d, slim.max_pool2d, slim.avg_pool2d, slim.batch_norm]
    with (
        tf.variable_scope(scope, 'InceptionV2'),
        slim.arg_scope(layers, data_format=data_format),
    ):
        return inception_utils.build_stages(inputs, stages, layout)


def inception_v2(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.8,
    min_depth=16,
    depth_multiplier=1.0,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope='InceptionV2',
    global_pool=False,
):
    """Builds Inception V2.

    Args:
      inputs: float32 [batch, height, width, channels], -1..1; batch, height and width may be
        unknown. Without `global_pool` the sides are up to 256 pixels, or more where nothing is
        squeezed.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      is_training: whether dropout drops and batch norm uses and updates batch statistics; None
        leaves it to the caller's arg scopes.
      dropout_keep_prob: share of the pooled features that is kept.
      min_depth: least width of a layer.
      depth_multiplier: factor on the width of every layer, above 0.
      prediction_fn: function of the logits and a `scope`, for the end point `Predictions`.
      spatial_squeeze: False keeps the logits' height and width, float32 [batch, 1, 1, num_classes].
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope.
      global_pool: average the whole map, not a window of at most 7 x 7.

    Returns:
      (net, end_points): the logits, float32 [batch, num_classes]; or the pooled features, float32
      [batch, 1, 1, 1024], without classes. Beside the end points of the base: `AvgPool_1a` or
      `global_pool`, `PreLogits`, `Logits`, `Predictions`.

    Raises:
      UsageError: wrong rank, sizes that do not fit, a multiplier of 0 or less, or a negative
        `num_classes`; no variable was created then.
    """
    checks.check_num_classes(num_classes)
    if num_classes and spatial_squeeze and not global_pool:
        stages = (_FIRST, *_ROOT, *_MIXED)  # the window moves by 2, so that 8 x 8 gives 1 x 1 too
        inception_utils.check_map_size(inputs, stages, 1, 8, 'global_pool=True')
    with (
        tf.variable_scope(scope, 'InceptionV2', reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm, slim.dropout),
    ):
        net, end_points = inception_v2_base(
            inputs,
            scope=variable_scope,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
        )
        return inception_utils.convolutional_head(
            net,
            end_points,
            [7, 7],
            num_classes,
            dropout_keep_prob,
            prediction_fn,
            spatial_squeeze,
            global_pool,
        )


inception_v2.default_image_size = 224

NETWORKS = (Network('inception_v2', inception_v2, inception_v2_arg_scope, 'batch_norm_decay'),)
