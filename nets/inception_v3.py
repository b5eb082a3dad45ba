"""Inception V3.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, CVPR 2016, arXiv:1512.00567. For 299 x 299 images and 1001
classes: 27,182,194 variables, counted with batch norm's statistics and the auxiliary head, and
5,719 million multiply-adds.

    with slim.arg_scope(inception_v3.inception_v3_arg_scope()):
        logits, end_points = inception_v3.inception_v3(images, num_classes=1001)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, inception_utils, training_form
from nets.inception_utils import Block, Fork, avg_pool, conv, max_pool
from nets.network import Network

trunc_normal = inception_utils.trunc_normal
inception_v3_arg_scope = inception_utils.inception_arg_scope


def _mixed_5(scope, pooled, five_scopes=('Conv2d_0a_1x1', 'Conv2d_0b_5x5')):
    """Figure 5 of the paper, with a 5x5 left as it is."""
    return Block(
        scope,
        (
            [conv('Conv2d_0a_1x1', 64)],
            [conv(five_scopes[0], 48), conv(five_scopes[1], 64)],
            [conv('Conv2d_0a_1x1', 64), conv('Conv2d_0b_3x3', 96), conv('Conv2d_0c_3x3', 96)],
            [avg_pool('AvgPool_0a_3x3'), conv('Conv2d_0b_1x1', pooled)],
        ),
    )


def _mixed_6(scope, inner):
    """Figure 6 of the paper with n = 7; the two branches of 7x1 and 1x7 are `inner` wide."""
    return Block(
        scope,
        (
            [conv('Conv2d_0a_1x1', 192)],
            [
                conv('Conv2d_0a_1x1', inner),
                conv('Conv2d_0b_1x7', inner),
                conv('Conv2d_0c_7x1', 192),
            ],
            [
                conv('Conv2d_0a_1x1', inner),
                conv('Conv2d_0b_7x1', inner),
                conv('Conv2d_0c_1x7', inner),
                conv('Conv2d_0d_7x1', inner),
                conv('Conv2d_0e_1x7', 192),
            ],
            [avg_pool('AvgPool_0a_3x3'), conv('Conv2d_0b_1x1', 192)],
        ),
    )


def _mixed_7(scope, fork_scope):
    """Figure 7 of the paper."""
    return Block(
        scope,
        (
            [conv('Conv2d_0a_1x1', 320)],
            [
                conv('Conv2d_0a_1x1', 384),
                Fork([conv('Conv2d_0b_1x3', 384), conv(fork_scope, 384)]),
            ],
            [
                conv('Conv2d_0a_1x1', 448),
                conv('Conv2d_0b_3x3', 384),
                Fork([conv('Conv2d_0c_1x3', 384), conv('Conv2d_0d_3x1', 384)]),
            ],
            [avg_pool('AvgPool_0a_3x3'), conv('Conv2d_0b_1x1', 192)],
        ),
    )


_HALVING = {'stride': 2, 'padding': 'VALID'}

# Table 1 of the paper.
_STAGES = (
    conv('Conv2d_1a_3x3', 32, **_HALVING),
    conv('Conv2d_2a_3x3', 32, padding='VALID'),
    conv('Conv2d_2b_3x3', 64),
    max_pool('MaxPool_3a_3x3', **_HALVING),
    conv('Conv2d_3b_1x1', 80, padding='VALID'),
    conv('Conv2d_4a_3x3', 192, padding='VALID'),
    max_pool('MaxPool_5a_3x3', **_HALVING),
    _mixed_5('Mixed_5b', pooled=32),
    _mixed_5('Mixed_5c', pooled=64, five_scopes=('Conv2d_0b_1x1', 'Conv_1_0c_5x5')),  # sic
    _mixed_5('Mixed_5d', pooled=64),
    Block(
        'Mixed_6a',
        (
            [conv('Conv2d_1a_1x1', 384, kernel=[3, 3], **_HALVING)],  # sic
            [
                conv('Conv2d_0a_1x1', 64),
                conv('Conv2d_0b_3x3', 96),
                conv('Conv2d_1a_1x1', 96, kernel=[3, 3], **_HALVING),  # sic
            ],
            [max_pool('MaxPool_1a_3x3', **_HALVING)],
        ),
    ),
    _mixed_6('Mixed_6b', inner=128),
    _mixed_6('Mixed_6c', inner=160),
    _mixed_6('Mixed_6d', inner=160),
    _mixed_6('Mixed_6e', inner=192),
    Block(
        'Mixed_7a',
        (
            [conv('Conv2d_0a_1x1', 192), conv('Conv2d_1a_3x3', 320, **_HALVING)],
            [
                conv('Conv2d_0a_1x1', 192),
                conv('Conv2d_0b_1x7', 192),
                conv('Conv2d_0c_7x1', 192),
                conv('Conv2d_1a_3x3', 192, **_HALVING),
            ],
            [max_pool('MaxPool_1a_3x3', **_HALVING)],
        ),
    ),
    _mixed_7('Mixed_7b', fork_scope='Conv2d_0b_3x1'),  # sic
    _mixed_7('Mixed_7c', fork_scope='Conv2d_0c_3x1'),
)


def inception_v3_base(
    inputs, final_endpoint='Mixed_7c', min_depth=16, depth_multiplier=1.0, scope=None
):
    """Builds Inception V3 up to `final_endpoint`, without pooling and classifier.

    Args:
      inputs: float32 [batch, height, width, channels]; batch, height and width may be unknown.
      final_endpoint: `Conv2d_1a_3x3`, `Conv2d_2a_3x3`, `Conv2d_2b_3x3`, `MaxPool_3a_3x3`,
        `Conv2d_3b_1x1`, `Conv2d_4a_3x3`, `MaxPool_5a_3x3`, `Mixed_5b` to `Mixed_5d`, `Mixed_6a` to
        `Mixed_6e`, or `Mixed_7a` to `Mixed_7c`. The last needs sides of 75 pixels.
      min_depth: least width of a layer.
      depth_multiplier: factor on the width of every layer, above 0.
      scope: variable scope, `InceptionV3` unless given.

    Returns:
      (net, end_points): output of the last stage, float32 [batch, 8, 8, 2048] for 299 x 299, and
      the outputs of all stages by name.

    Raises:
      UsageError: unknown end point, wrong rank, too small images, or a multiplier of 0 or less; no
        variable was created then.
    """
    stages = inception_utils.until(_STAGES, final_endpoint)
    checks.check_images(inputs, min_size=inception_utils.least_input(stages, 1))
    layout = inception_utils.scaled_layout(depth_multiplier, min_depth)
    with tf.variable_scope(scope, 'InceptionV3'):
        return inception_utils.build_stages(inputs, stages, layout)


def _auxiliary_logits(net, num_classes, width, spatial_squeeze):
    """The auxiliary classifier, on `Mixed_6e`: float32 [batch, num_classes].

    Its 5x5 convolution has a smaller kernel, and another name, on small images: 4x4 below 299
    pixels, and so on. A checkpoint holds the name of the size that it was trained with.
    """
    with tf.variable_scope('AuxLogits'):
        net = slim.avg_pool2d(net, [5, 5], stride=3, padding='VALID', scope='AvgPool_1a_5x5')
        net = slim.conv2d(net, width(128), [1, 1], scope='Conv2d_1b_1x1')
        kernel = inception_utils.reduced_kernel(net, [5, 5])
        net = slim.conv2d(
            net,
            width(768),
            kernel,
            weights_initializer=trunc_normal(0.01),
            padding='VALID',
            scope='Conv2d_2a_{}x{}'.format(*kernel),
        )
        return inception_utils.convolutional_logits(
            net,
            num_classes,
            spatial_squeeze,
            'Conv2d_2b_1x1',
            weights_initializer=trunc_normal(0.001),
        )


def inception_v3(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.8,
    min_depth=16,
    depth_multiplier=1.0,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    create_aux_logits=True,
    scope='InceptionV3',
    global_pool=False,
):
    """Builds Inception V3.

    Args:
      inputs: float32 [batch, height, width, channels], -1..1; batch, height and width may be
        unknown. The sides are 75 pixels or more, 107 with the auxiliary head; up to 346 with the
        auxiliary head and 362 without `global_pool`, or more where nothing is squeezed.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      is_training: whether dropout drops and batch norm uses and updates batch statistics; None
        leaves it to the caller's arg scopes.
      dropout_keep_prob: share of the pooled features that is kept.
      min_depth: least width of a layer.
      depth_multiplier: factor on the width of every layer, above 0.
      prediction_fn: function of the logits and a `scope`, for the end point `Predictions`.
      spatial_squeeze: False keeps the logits' height and width, float32 [batch, 1, 1, num_classes].
      reuse: whether to use existing variables (see `tf.variable_scope`).
      create_aux_logits: whether to build the auxiliary classifier, for its loss in training. The
        name of one of its layers depends on the image size (see `_auxiliary_logits`).
      scope: variable scope.
      global_pool: average the whole map, not a window of at most 8 x 8.

    Returns:
      (net, end_points): the logits, float32 [batch, num_classes]; or the pooled features, float32
      [batch, 1, 1, 2048], without classes. Beside the end points of the base: `AuxLogits`,
      `AvgPool_1a` or `global_pool`, `PreLogits`, `Logits`, `Predictions`.

    Raises:
      UsageError: wrong rank, sizes that do not fit, a multiplier of 0 or less, or a negative
        `num_classes`; no variable was created then.
    """
    checks.check_num_classes(num_classes)
    create_aux_logits = create_aux_logits and bool(num_classes)
    squeezed = num_classes and spatial_squeeze
    if create_aux_logits:  # 19 x 19 are pooled to 5 x 5
        stages = inception_utils.until(_STAGES, 'Mixed_6e')
        largest = 19 if squeezed else None
        inception_utils.check_map_size(inputs, stages, 5, largest, 'create_aux_logits=False')
    if squeezed and not global_pool:  # the window moves by 2, so that 9 x 9 gives 1 x 1 too
        inception_utils.check_map_size(inputs, _STAGES, 1, 9, 'global_pool=True')
    with (
        tf.variable_scope(scope, 'InceptionV3', reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm, slim.dropout),
    ):
        net, end_points = inception_v3_base(
            inputs,
            scope=variable_scope,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
        )
        if create_aux_logits:
            width = inception_utils.scaled_layout(depth_multiplier, min_depth).width
            end_points['AuxLogits'] = _auxiliary_logits(
                end_points['Mixed_6e'], num_classes, width, spatial_squeeze
            )
        return inception_utils.convolutional_head(
            net,
            end_points,
            [8, 8],
            num_classes,
            dropout_keep_prob,
            prediction_fn,
            spatial_squeeze,
            global_pool,
        )


inception_v3.default_image_size = 299

NETWORKS = (Network('inception_v3', inception_v3, inception_v3_arg_scope, 'batch_norm_decay'),)
