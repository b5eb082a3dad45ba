"""Inception-ResNet V2: Inception blocks that add to their input.

Szegedy, Ioffe, Vanhoucke, Alemi, AAAI 2017, arXiv:1602.07261. For 299 x 299 images and 1001
classes: 59,244,594 variables, counted with batch norm's statistics and the auxiliary head, and
13,162 million multiply-adds.

    with slim.arg_scope(inception_resnet_v2.inception_resnet_v2_arg_scope()):
        logits, end_points = inception_resnet_v2.inception_resnet_v2(images)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, inception_utils, training_form
from nets.inception_utils import Block, Step, avg_pool, conv, max_pool
from nets.network import Network
from slim import errors

# Figure 16 of the paper.
_BLOCK35 = (
    [conv('Conv2d_1x1', 32)],
    [conv('Conv2d_0a_1x1', 32), conv('Conv2d_0b_3x3', 32)],
    [conv('Conv2d_0a_1x1', 32), conv('Conv2d_0b_3x3', 48), conv('Conv2d_0c_3x3', 64)],
)

# Figure 17.
_BLOCK17 = (
    [conv('Conv2d_1x1', 192)],
    [conv('Conv2d_0a_1x1', 128), conv('Conv2d_0b_1x7', 160), conv('Conv2d_0c_7x1', 192)],
)

# Figure 19.
_BLOCK8 = (
    [conv('Conv2d_1x1', 192)],
    [conv('Conv2d_0a_1x1', 192), conv('Conv2d_0b_1x3', 224), conv('Conv2d_0c_3x1', 256)],
)


def _residual(net, branches, scale, activation_fn, scope, default_scope, reuse):
    """activation(net + scale x (1x1 convolution of the branches)), of the shape of `net`."""
    with tf.variable_scope(scope, default_scope, reuse=reuse):
        added = slim.conv2d(
            inception_utils.concat_branches(net, branches),
            net.shape.as_list()[3],
            [1, 1],
            normalizer_fn=None,
            activation_fn=None,
            scope='Conv2d_1x1',
        )
        added *= scale
        if activation_fn is tf.nn.relu6:
            # Both summands stay within the range of the activation, for arithmetic of few bits.
            added = tf.clip_by_value(added, -6.0, 6.0)
        net += added
        return activation_fn(net) if activation_fn else net


def block35(net, scale=1.0, activation_fn=tf.nn.relu, scope=None, reuse=None):
    """The block of the 35 x 35 maps; returns the shape of `net`, float32 [batch, h, w, channels].

    Args:
      net: float32 [batch, height, width, channels].
      scale: factor on what is added; small ones keep deep networks stable (section 3.3).
      activation_fn: of the sum; None for none.
      scope: variable scope, `Block35` unless given.
      reuse: whether to use existing variables.
    """
    return _residual(net, _BLOCK35, scale, activation_fn, scope, 'Block35', reuse)


def block17(net, scale=1.0, activation_fn=tf.nn.relu, scope=None, reuse=None):
    """The block of the 17 x 17 maps, scope `Block17`; otherwise as `block35`."""
    return _residual(net, _BLOCK17, scale, activation_fn, scope, 'Block17', reuse)


def block8(net, scale=1.0, activation_fn=tf.nn.relu, scope=None, reuse=None):
    """The block of the 8 x 8 maps, scope `Block8`; otherwise as `block35`."""
    return _residual(net, _BLOCK8, scale, activation_fn, scope, 'Block8', reuse)


def _stages(activation_fn=tf.nn.relu, atrous=False, padding='VALID'):
    """Figure 15 of the paper, with a stem like that of Inception V3.

    Args:
      activation_fn: of the residual blocks' sums.
      atrous: keep stride 8 after `Mixed_6a`; the convolutions behind have rate 2 instead.
      padding: of the stem and of the layers that halve the map.
    """
    halving = {'stride': 2, 'padding': padding}
    mixed_6a = {'stride': 1 if atrous else 2, 'padding': padding}

    def blocks17(net):
        with slim.arg_scope([slim.conv2d], rate=2 if atrous else 1):
            return slim.repeat(net, 20, block17, scale=0.1, activation_fn=activation_fn)

    def blocks35(net):
        return slim.repeat(net, 10, block35, scale=0.17, activation_fn=activation_fn)

    def blocks8(net):
        net = slim.repeat(net, 9, block8, scale=0.2, activation_fn=activation_fn)
        return block8(net, activation_fn=None)

    return (
        conv('Conv2d_1a_3x3', 32, **halving),
        conv('Conv2d_2a_3x3', 32, padding=padding),
        conv('Conv2d_2b_3x3', 64),
        max_pool('MaxPool_3a_3x3', **halving),
        conv('Conv2d_3b_1x1', 80, padding=padding),
        conv('Conv2d_4a_3x3', 192, padding=padding),
        max_pool('MaxPool_5a_3x3', **halving),
        Block(
            'Mixed_5b',
            (
                [conv('Conv2d_1x1', 96)],
                [conv('Conv2d_0a_1x1', 48), conv('Conv2d_0b_5x5', 64)],
                [conv('Conv2d_0a_1x1', 64), conv('Conv2d_0b_3x3', 96), conv('Conv2d_0c_3x3', 96)],
                [avg_pool('AvgPool_0a_3x3'), conv('Conv2d_0b_1x1', 64)],
            ),
        ),
        Step(None, blocks35),
        Block(
            'Mixed_6a',
            (
                [conv('Conv2d_1a_3x3', 384, **mixed_6a)],
                [
                    conv('Conv2d_0a_1x1', 256),
                    conv('Conv2d_0b_3x3', 256),
                    conv('Conv2d_1a_3x3', 384, **mixed_6a),
                ],
                [max_pool('MaxPool_1a_3x3', **mixed_6a)],
            ),
        ),
        Step('PreAuxLogits', blocks17),
        Block(
            'Mixed_7a',
            (
                [conv('Conv2d_0a_1x1', 256), conv('Conv2d_1a_3x3', 384, **halving)],
                [conv('Conv2d_0a_1x1', 256), conv('Conv2d_1a_3x3', 288, **halving)],
                [
                    conv('Conv2d_0a_1x1', 256),
                    conv('Conv2d_0b_3x3', 288),
                    conv('Conv2d_1a_3x3', 320, **halving),
                ],
                [max_pool('MaxPool_1a_3x3', **halving)],
            ),
        ),
        Step(None, blocks8),
        conv('Conv2d_7b_1x1', 1536),
    )


def inception_resnet_v2_base(
    inputs,
    final_endpoint='Conv2d_7b_1x1',
    output_stride=16,
    align_feature_maps=False,
    scope=None,
    activation_fn=tf.nn.relu,
):
    """Builds Inception-ResNet V2 up to `final_endpoint`, without pooling and classifier.

    Args:
      inputs: float32 [batch, height, width, channels]; batch, height and width may be unknown.
      final_endpoint: `Conv2d_1a_3x3`, `Conv2d_2a_3x3`, `Conv2d_2b_3x3`, `MaxPool_3a_3x3`,
        `Conv2d_3b_1x1`, `Conv2d_4a_3x3`, `MaxPool_5a_3x3`, `Mixed_5b`, `Mixed_6a`, `PreAuxLogits`,
        `Mixed_7a` or `Conv2d_7b_1x1`. The last needs sides of 75 pixels, unless maps are aligned.
      output_stride: image pixels per pixel of `PreAuxLogits`: 16, or 8 with dilated convolutions,
        for a `final_endpoint` of `PreAuxLogits` or before.
      align_feature_maps: SAME padding throughout, so that the maps lie on the image's pixels.
      scope: variable scope, `InceptionResnetV2` unless given.
      activation_fn: of the residual blocks' sums.

    Returns:
      (net, end_points): output of the last stage, float32 [batch, 8, 8, 1536] for 299 x 299, and
      the outputs of all stages by name.

    Raises:
      UsageError: unknown end point, wrong rank, too small images, another output stride, or 8 with
        an end point behind `PreAuxLogits`; no variable was created then.
    """
    checks.check_output_stride(output_stride, (8, 16))
    atrous = output_stride == 8
    stages = _stages(activation_fn, atrous, 'SAME' if align_feature_maps else 'VALID')
    stages = inception_utils.until(stages, final_endpoint)
    names = [stage.scope for stage in stages]
    if atrous and 'Mixed_7a' in names:
        raise errors.UsageError(
            f'With output_stride=8 the network ends at PreAuxLogits or before, not at '
            f"{names[-1]}: give final_endpoint='PreAuxLogits'."
        )
    checks.check_images(inputs, min_size=inception_utils.least_input(stages, 1))
    with tf.variable_scope(scope, 'InceptionResnetV2'):
        return inception_utils.build_stages(inputs, stages)


def inception_resnet_v2(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    reuse=None,
    scope='InceptionResnetV2',
    create_aux_logits=True,
    activation_fn=tf.nn.relu,
):
    """Builds Inception-ResNet V2.

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
      activation_fn: of the residual blocks' sums; the arg scope has that of the convolutions.

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
        inception_utils.check_dense_auxiliary(
            inputs, inception_utils.until(_stages(), 'PreAuxLogits')
        )
    with (
        tf.variable_scope(scope, 'InceptionResnetV2', reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm, slim.dropout),
    ):
        net, end_points = inception_resnet_v2_base(
            inputs, scope=variable_scope, activation_fn=activation_fn
        )
        if create_aux_logits:
            end_points['AuxLogits'] = inception_utils.dense_auxiliary_logits(
                end_points['PreAuxLogits'],
                num_classes,
                'Conv2d_1a_3x3',  # sic: the 5x5 pooling
                'Conv2d_2a_5x5',
                'Logits',
            )
        with tf.variable_scope('Logits'):
            net = inception_utils.pool_map(net, 'AvgPool_1a_8x8')
            end_points['global_pool'] = net
            if not num_classes:
                return net, end_points
            net = slim.flatten(net)
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope='Dropout')
            return inception_utils.dense_logits(net, end_points, num_classes)


inception_resnet_v2.default_image_size = 299


def inception_resnet_v2_arg_scope(
    weight_decay=0.00004,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    activation_fn=tf.nn.relu,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    batch_norm_scale=False,
):
    """The arg scope of Inception-ResNet V2.

    Arguments and result are those of `inception_utils.inception_arg_scope`, but weight decay takes
    the biases as well, and weights start at Xavier's values.
    """
    scope = inception_utils.inception_arg_scope(
        weight_decay,
        True,
        batch_norm_decay,
        batch_norm_epsilon,
        activation_fn,
        batch_norm_updates_collections,
        batch_norm_scale,
    )
    layers = [slim.conv2d, slim.fully_connected]
    with (
        slim.arg_scope(scope),
        slim.arg_scope([slim.conv2d], weights_initializer=slim.xavier_initializer()),
        slim.arg_scope(layers, biases_regularizer=slim.l2_regularizer(weight_decay)) as scope,
    ):
        return scope


NETWORKS = (
    Network(
        'inception_resnet_v2',
        inception_resnet_v2,
        inception_resnet_v2_arg_scope,
        'batch_norm_decay',
    ),
)
