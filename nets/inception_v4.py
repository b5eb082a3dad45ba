"""Inception V4.

Szegedy, Ioffe, Vanhoucke, Alemi, AAAI 2017, arXiv:1602.07261. For 299 x 299 images and 1001
classes: 46,074,066 variables, counted with batch norm's statistics and the auxiliary head, and
12,261 million multiply-adds.

    with slim.arg_scope(inception_v4.inception_v4_arg_scope()):
        logits, end_points = inception_v4.inception_v4(images)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, inception_utils, training_form
from nets.inception_utils import Block, Fork, avg_pool, conv, max_pool
from nets.network import Network

inception_v4_arg_scope = inception_utils.inception_arg_scope

_HALVING = {'stride': 2, 'padding': 'VALID'}

# Figure 4 of the paper.
_INCEPTION_A = (
    [conv('Conv2d_0a_1x1', 96)],
    [conv('Conv2d_0a_1x1', 64), conv('Conv2d_0b_3x3', 96)],
    [conv('Conv2d_0a_1x1', 64), conv('Conv2d_0b_3x3', 96), conv('Conv2d_0c_3x3', 96)],
    [avg_pool('AvgPool_0a_3x3'), conv('Conv2d_0b_1x1', 96)],
)

# Figure 7, with k = 192, l = 224, m = 256, n = 384.
_REDUCTION_A = (
    [conv('Conv2d_1a_3x3', 384, **_HALVING)],
    [
        conv('Conv2d_0a_1x1', 192),
        conv('Conv2d_0b_3x3', 224),
        conv('Conv2d_1a_3x3', 256, **_HALVING),
    ],
    [max_pool('MaxPool_1a_3x3', **_HALVING)],
)

# Figure 5.
_INCEPTION_B = (
    [conv('Conv2d_0a_1x1', 384)],
    [conv('Conv2d_0a_1x1', 192), conv('Conv2d_0b_1x7', 224), conv('Conv2d_0c_7x1', 256)],
    [
        conv('Conv2d_0a_1x1', 192),
        conv('Conv2d_0b_7x1', 192),
        conv('Conv2d_0c_1x7', 224),
        conv('Conv2d_0d_7x1', 224),
        conv('Conv2d_0e_1x7', 256),
    ],
    [avg_pool('AvgPool_0a_3x3'), conv('Conv2d_0b_1x1', 128)],
)

# Figure 8.
_REDUCTION_B = (
    [conv('Conv2d_0a_1x1', 192), conv('Conv2d_1a_3x3', 192, **_HALVING)],
    [
        conv('Conv2d_0a_1x1', 256),
        conv('Conv2d_0b_1x7', 256),
        conv('Conv2d_0c_7x1', 320),
        conv('Conv2d_1a_3x3', 320, **_HALVING),
    ],
    [max_pool('MaxPool_1a_3x3', **_HALVING)],
)

# Figure 6.
_INCEPTION_C = (
    [conv('Conv2d_0a_1x1', 256)],
    [
        conv('Conv2d_0a_1x1', 384),
        Fork([conv('Conv2d_0b_1x3', 256), conv('Conv2d_0c_3x1', 256)]),
    ],
    [
        conv('Conv2d_0a_1x1', 384),
        conv('Conv2d_0b_3x1', 448),
        conv('Conv2d_0c_1x3', 512),
        Fork([conv('Conv2d_0d_1x3', 256), conv('Conv2d_0e_3x1', 256)]),
    ],
    [avg_pool('AvgPool_0a_3x3'), conv('Conv2d_0b_1x1', 256)],
)

# Figure 9; the stem, up to Mixed_5a, is figure 3.
_STAGES = (
    conv('Conv2d_1a_3x3', 32, **_HALVING),
    conv('Conv2d_2a_3x3', 32, padding='VALID'),
    conv('Conv2d_2b_3x3', 64),
    Block(
        'Mixed_3a',
        (
            [max_pool('MaxPool_0a_3x3', **_HALVING)],
            [conv('Conv2d_0a_3x3', 96, **_HALVING)],
        ),
    ),
    Block(
        'Mixed_4a',
        (
            [conv('Conv2d_0a_1x1', 64), conv('Conv2d_1a_3x3', 96, padding='VALID')],
            [
                conv('Conv2d_0a_1x1', 64),
                conv('Conv2d_0b_1x7', 64),
                conv('Conv2d_0c_7x1', 64),
                conv('Conv2d_1a_3x3', 96, padding='VALID'),
            ],
        ),
    ),
    Block(
        'Mixed_5a',
        (
            [conv('Conv2d_1a_3x3', 192, **_HALVING)],
            [max_pool('MaxPool_1a_3x3', **_HALVING)],
        ),
    ),
    *(Block(f'Mixed_5{letter}', _INCEPTION_A) for letter in 'bcde'),
    Block('Mixed_6a', _REDUCTION_A),
    *(Block(f'Mixed_6{letter}', _INCEPTION_B) for letter in 'bcdefgh'),
    Block('Mixed_7a', _REDUCTION_B),
    *(Block(f'Mixed_7{letter}', _INCEPTION_C) for letter in 'bcd'),
)


def _block(inputs, branches, scope, default_scope, reuse):
    with tf.variable_scope(scope, default_scope, reuse=reuse):
        return inception_utils.concat_branches(inputs, branches)


def block_inception_a(inputs, scope=None, reuse=None):
    """The block of the 35 x 35 maps: float32 [batch, height, width, 384], of any channels."""
    return _block(inputs, _INCEPTION_A, scope, 'BlockInceptionA', reuse)


def block_reduction_a(inputs, scope=None, reuse=None):
    """Halves a map: float32 [batch, (height - 1) // 2, (width - 1) // 2, 640 + channels]."""
    return _block(inputs, _REDUCTION_A, scope, 'BlockReductionA', reuse)


def block_inception_b(inputs, scope=None, reuse=None):
    """The block of the 17 x 17 maps: float32 [batch, height, width, 1024], of any channels."""
    return _block(inputs, _INCEPTION_B, scope, 'BlockInceptionB', reuse)


def block_reduction_b(inputs, scope=None, reuse=None):
    """Halves a map: float32 [batch, (height - 1) // 2, (width - 1) // 2, 512 + channels]."""
    return _block(inputs, _REDUCTION_B, scope, 'BlockReductionB', reuse)


def block_inception_c(inputs, scope=None, reuse=None):
    """The block of the 8 x 8 maps: float32 [batch, height, width, 1536], of any channels."""
    return _block(inputs, _INCEPTION_C, scope, 'BlockInceptionC', reuse)


def inception_v4_base(inputs, final_endpoint='Mixed_7d', scope=None):
    """Builds Inception V4 up to `final_endpoint`, without pooling and classifier.

    Args:
      inputs: float32 [batch, height, width, channels]; batch, height and width may be unknown.
      final_endpoint: `Conv2d_1a_3x3`, `Conv2d_2a_3x3`, `Conv2d_2b_3x3`, `Mixed_3a`, `Mixed_4a`,
        `Mixed_5a` to `Mixed_5e`, `Mixed_6a` to `Mixed_6h`, or `Mixed_7a` to `Mixed_7d`. The last
        needs sides of 75 pixels.
      scope: variable scope, `InceptionV4` unless given.

    Returns:
      (net, end_points): output of the last stage, float32 [batch, 8, 8, 1536] for 299 x 299, and
      the outputs of all stages by name.

    Raises:
      UsageError: unknown end point, wrong rank or too small images; no variable was created then.
    """
    stages = inception_utils.until(_STAGES, final_endpoint)
    checks.check_images(inputs, min_size=inception_utils.least_input(stages, 1))
    with tf.variable_scope(scope, 'InceptionV4'):
        return inception_utils.build_stages(inputs, stages)


def inception_v4(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    reuse=None,
    scope='InceptionV4',
    create_aux_logits=True,
):
    """Builds Inception V4.

    Args:
      inputs: float32 [batch, height, width, channels], -1..1; batch may be unknown, and height and
        width without the auxiliary head. The sides are 75 pixels or more, 107 with that head.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      is_training: whether dropout drops and batch norm uses and updates batch statistics; None
        leaves it to the caller's arg scopes.
      dropout_keep_prob: share of the pooled features that is kept.
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope.
      create_aux_logits: whether to build the auxiliary classifier, for its loss in training. The
        shape of one of its layers depends on the image size.

    Returns:
      (net, end_points): the logits, float32 [batch, num_classes]; or the pooled features, float32
      [batch, 1, 1, 1536], without classes. Beside the end points of the base: `AuxLogits`,
      `global_pool`, `PreLogitsFlatten`, `Logits`, `Predictions`.

    Raises:
      UsageError: wrong rank, sizes that do not fit, or a negative `num_classes`; no variable was
        created then.
    """
    checks.check_num_classes(num_classes)
    create_aux_logits = create_aux_logits and bool(num_classes)
    if create_aux_logits:
        inception_utils.check_dense_auxiliary(inputs, inception_utils.until(_STAGES, 'Mixed_6h'))
    with (
        tf.variable_scope(scope, 'InceptionV4', reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm, slim.dropout),
    ):
        net, end_points = inception_v4_base(inputs, scope=variable_scope)
        if create_aux_logits:
            end_points['AuxLogits'] = inception_utils.dense_auxiliary_logits(
                end_points['Mixed_6h'], num_classes, 'AvgPool_1a_5x5', 'Conv2d_2a', 'Aux_logits'
            )
        with tf.variable_scope('Logits'):
            net = inception_utils.pool_map(net, 'AvgPool_1a')
            end_points['global_pool'] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope='Dropout_1b')
            net = slim.flatten(net, scope='PreLogitsFlatten')
            return inception_utils.dense_logits(net, end_points, num_classes)


inception_v4.default_image_size = 299

NETWORKS = (Network('inception_v4', inception_v4, inception_v4_arg_scope, 'batch_norm_decay'),)
