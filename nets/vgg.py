"""VGG: blocks of 3x3 convolutions, each followed by a 2x2 pool, and three fully connected layers.

Simonyan, Zisserman, ICLR 2015, arXiv:1409.1556; configurations A, D and E of its Table 1. For
224 x 224 images and 1001 classes:

    network     layers    variables    multiply-adds
    vgg_a           11  132,867,433      7.6 billion
    vgg_16          16  138,361,641     15.5 billion
    vgg_19          19  143,671,337     19.6 billion

    with slim.arg_scope(vgg.vgg_arg_scope()):
        logits, end_points = vgg.vgg_16(images)
"""

from __future__ import annotations

import slim
from nets.network import Network
from nets.plain_stack import ImagenetStack, build_imagenet_stack, imagenet_arg_scope, layer

_WIDTHS = (64, 128, 256, 512, 512)


def _stack(name, repeats):
    layers = []
    for block, (repeat, width) in enumerate(zip(repeats, _WIDTHS, strict=True), start=1):
        layers += [
            layer(f'conv{block}', slim.repeat, repeat, slim.conv2d, width, [3, 3]),
            layer(f'pool{block}', slim.max_pool2d, [2, 2]),
        ]
    return ImagenetStack(name, tuple(layers), fc6=(4096, 7), min_size={'VALID': 224, 'SAME': 32})


# 3x3 convolutions of each block: Table 1 of the paper.
_VGG_A = _stack('vgg_a', (1, 1, 2, 2, 2))
_VGG_16 = _stack('vgg_16', (2, 2, 3, 3, 3))
_VGG_19 = _stack('vgg_19', (2, 2, 4, 4, 4))


def vgg_arg_scope(weight_decay=0.0005):
    """The arg scope of VGG; `weight_decay` is the L2 coefficient of all weights."""
    return imagenet_arg_scope(weight_decay)


def vgg_a(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope='vgg_a',
    fc_conv_padding='VALID',
    global_pool=False,
):
    """VGG with 11 layers; arguments, result and errors as of `vgg_16`."""
    return build_imagenet_stack(
        _VGG_A,
        inputs,
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        scope,
        global_pool,
        fc_conv_padding,
        reuse,
    )


def vgg_16(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope='vgg_16',
    fc_conv_padding='VALID',
    global_pool=False,
):
    """VGG with 16 layers.

    Args:
      inputs: float32 [batch, height, width, 3], channel means subtracted; at least 224 x 224, or
        32 x 32 where fc6 is padded. Batch, height and width may be unknown.
      num_classes: width of the logits; 0 or None ends the network with fc7 or its global pool.
      is_training: whether dropout drops; None leaves it to the caller's arg scopes.
      dropout_keep_prob: share of fc6's and fc7's outputs that is kept.
      spatial_squeeze: logits [batch, num_classes], for images of up to 255 x 255 (63 x 63 where fc6
        is padded), that give a single place; False for [batch, 1 + (height - 224) // 32,
        1 + (width - 224) // 32, num_classes].
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope.
      fc_conv_padding: padding of fc6; 'SAME' gives one place of logits per 32 x 32 pixels.
      global_pool: average fc7 over the image, so that images of any size give a single place.

    Returns:
      (logits, end_points): end points are keyed `SCOPE/conv1/conv1_1` ... `SCOPE/fc8`, and
      `global_pool`.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    return build_imagenet_stack(
        _VGG_16,
        inputs,
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        scope,
        global_pool,
        fc_conv_padding,
        reuse,
    )


def vgg_19(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope='vgg_19',
    fc_conv_padding='VALID',
    global_pool=False,
):
    """VGG with 19 layers; arguments, result and errors as of `vgg_16`."""
    return build_imagenet_stack(
        _VGG_19,
        inputs,
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        scope,
        global_pool,
        fc_conv_padding,
        reuse,
    )


vgg_a.default_image_size = 224
vgg_16.default_image_size = 224
vgg_19.default_image_size = 224

vgg_d = vgg_16
vgg_e = vgg_19

NETWORKS = (
    Network('vgg_a', vgg_a, vgg_arg_scope),
    Network('vgg_16', vgg_16, vgg_arg_scope),
    Network('vgg_19', vgg_19, vgg_arg_scope),
)
