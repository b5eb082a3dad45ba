"""ResNet v2: residual networks of bottlenecks that normalize and activate before each weight layer.

He, Zhang, Ren, Sun, ECCV 2016, arXiv:1603.05027. For 224 x 224 images and 1001 classes, counted
over all variables with batch norm's statistics:

    network         variables    multiply-adds
    resnet_v2_50    25,615,849    3,482 million
    resnet_v2_101   44,677,609    7,194 million
    resnet_v2_152   60,382,697   10,907 million
    resnet_v2_200   64,896,489   14,401 million

    with slim.arg_scope(resnet_v2.resnet_arg_scope()):
        logits, end_points = resnet_v2.resnet_v2_50(images, num_classes=1001)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import resnet_utils
from nets.network import Network

resnet_arg_scope = resnet_utils.resnet_arg_scope


@slim.add_arg_scope
def bottleneck(
    inputs, depth, depth_bottleneck, stride, rate=1, outputs_collections=None, scope=None
):
    """One unit: norm and activation, then 1x1, 3x3, 1x1, plus the input.

    Args:
      inputs: float32 [batch, height, width, channels].
      depth: channels of the result; where they are not those of the input, the activated input is
        projected.
      depth_bottleneck: channels of the two inner layers.
      stride: of the 3x3 layer and of the shortcut.
      rate: of dilation of the 3x3 layer; one of stride and rate must be 1.
      outputs_collections: collection that receives the result, aliased with its scope; or None.
      scope: variable scope, or None for `bottleneck_v2`.

    Returns:
      float32 [batch, height / stride, width / stride, depth], sides rounded up, not activated.
    """
    plain = {'activation_fn': None, 'normalizer_fn': None}  # the next unit does both
    with tf.variable_scope(scope, 'bottleneck_v2') as entered:
        preact = slim.batch_norm(inputs, activation_fn=tf.nn.relu, scope='preact')
        if depth == slim.utils.last_dimension(inputs.shape, min_rank=4):
            shortcut = resnet_utils.subsample(inputs, stride, 'shortcut')
        else:
            shortcut = slim.conv2d(preact, depth, [1, 1], stride=stride, scope='shortcut', **plain)
        net = slim.conv2d(preact, depth_bottleneck, [1, 1], stride=1, scope='conv1')
        net = resnet_utils.conv2d_same(net, depth_bottleneck, 3, stride, rate, scope='conv2')
        net = slim.conv2d(net, depth, [1, 1], stride=1, scope='conv3', **plain)
        net = shortcut + net
        return slim.utils.collect_named_outputs(outputs_collections, entered.name, net)


def resnet_v2(
    inputs,
    blocks,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    include_root_block=True,
    spatial_squeeze=True,
    reuse=None,
    scope=None,
):
    """Builds a residual network from a list of blocks.

    Arguments, result and errors are those of `resnet_v1.resnet_v1`, with `bottleneck_v2` in the
    names of the end points. The output of a block is not yet normalized nor activated; the
    features, which the function returns without classes, are.
    """
    resnet_utils.check_arguments(inputs, blocks, num_classes, output_stride, include_root_block)
    scopes = resnet_utils.network_scope(scope, 'resnet_v2', bottleneck, is_training, reuse)
    with scopes as (scope_name, collection):
        net = inputs
        if include_root_block:
            # The first unit begins with a norm and an activation of its own.
            with slim.arg_scope([slim.conv2d], activation_fn=None, normalizer_fn=None):
                net, output_stride = resnet_utils.root_block(net, output_stride)
        net = resnet_utils.stack_blocks_dense(net, blocks, output_stride)
        net = slim.batch_norm(net, activation_fn=tf.nn.relu, scope='postnorm')
        end_points = slim.utils.convert_collection_to_dict(collection)
        return resnet_utils.head(
            net, end_points, scope_name, num_classes, global_pool, spatial_squeeze
        )


def resnet_v2_block(scope, base_depth, num_units, stride):
    """A block of `num_units` bottlenecks, the last one strided, with 4 * `base_depth` channels."""
    return resnet_utils.bottleneck_block(bottleneck, scope, base_depth, num_units, stride)


def _published(num_layers, **arguments):
    """`resnet_v2` with the blocks of a published network."""
    return resnet_v2(blocks=resnet_utils.published_blocks(num_layers, resnet_v2_block), **arguments)


# The functions hand on all their arguments by name.


def resnet_v2_50(
    inputs,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    spatial_squeeze=True,
    reuse=None,
    scope='resnet_v2_50',
):
    """Builds the network of 50 layers; arguments, result and errors are those of `resnet_v2`."""
    return _published(50, **locals())


def resnet_v2_101(
    inputs,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    spatial_squeeze=True,
    reuse=None,
    scope='resnet_v2_101',
):
    """Builds the network of 101 layers; see `resnet_v2`."""
    return _published(101, **locals())


def resnet_v2_152(
    inputs,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    spatial_squeeze=True,
    reuse=None,
    scope='resnet_v2_152',
):
    """Builds the network of 152 layers; see `resnet_v2`."""
    return _published(152, **locals())


def resnet_v2_200(
    inputs,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    spatial_squeeze=True,
    reuse=None,
    scope='resnet_v2_200',
):
    """Builds the network of 200 layers; see `resnet_v2`."""
    return _published(200, **locals())


for _network in (resnet_v2, resnet_v2_50, resnet_v2_101, resnet_v2_152, resnet_v2_200):
    _network.default_image_size = 224

NETWORKS = (
    Network('resnet_v2_50', resnet_v2_50, resnet_arg_scope, 'batch_norm_decay'),
    Network('resnet_v2_101', resnet_v2_101, resnet_arg_scope, 'batch_norm_decay'),
    Network('resnet_v2_152', resnet_v2_152, resnet_arg_scope, 'batch_norm_decay'),
    Network('resnet_v2_200', resnet_v2_200, resnet_arg_scope, 'batch_norm_decay'),
)
