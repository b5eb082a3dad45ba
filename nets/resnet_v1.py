"""ResNet v1: residual networks of bottlenecks, activated after the addition.

He, Zhang, Ren, Sun, CVPR 2016, arXiv:1512.03385. For 224 x 224 images and 1001 classes, counted
over all variables with batch norm's statistics:

    network         variables    multiply-adds
    resnet_v1_50    25,612,201    3,482 million
    resnet_v1_101   44,656,553    7,194 million
    resnet_v1_152   60,346,281   10,907 million
    resnet_v1_200   64,851,881   14,401 million

    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        logits, end_points = resnet_v1.resnet_v1_50(images, num_classes=1001)
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import checks, resnet_utils
from nets.network import Network
from slim import errors

resnet_arg_scope = resnet_utils.resnet_arg_scope


class NoOpScope:
    """A context manager that does nothing."""

    def __enter__(self):
        return None

    def __exit__(self, exc_type, exc_value, traceback):
        return False


@slim.add_arg_scope
def bottleneck(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    rate=1,
    outputs_collections=None,
    scope=None,
    use_bounded_activations=False,
):
    """One unit: 1x1, 3x3, 1x1, plus the input, then the activation.

    Args:
      inputs: float32 [batch, height, width, channels].
      depth: channels of the result; where they are not those of the input, the input is projected.
      depth_bottleneck: channels of the two inner layers.
      stride: of the 3x3 layer and of the shortcut.
      rate: of dilation of the 3x3 layer; one of stride and rate must be 1.
      outputs_collections: collection that receives the result, aliased with its scope; or None.
      scope: variable scope, or None for `bottleneck_v1`.
      use_bounded_activations: keep the sum within 0..6 and the residual within -6..6, for networks
        that are to be computed in few bits.

    Returns:
      float32 [batch, height / stride, width / stride, depth], sides rounded up.
    """
    activation_fn = tf.nn.relu6 if use_bounded_activations else tf.nn.relu
    with tf.variable_scope(scope, 'bottleneck_v1') as entered:
        if depth == slim.utils.last_dimension(inputs.shape, min_rank=4):
            shortcut = resnet_utils.subsample(inputs, stride, 'shortcut')
        else:
            shortcut = slim.conv2d(
                inputs,
                depth,
                [1, 1],
                stride=stride,
                activation_fn=tf.nn.relu6 if use_bounded_activations else None,
                scope='shortcut',
            )
        net = slim.conv2d(inputs, depth_bottleneck, [1, 1], stride=1, scope='conv1')
        net = resnet_utils.conv2d_same(net, depth_bottleneck, 3, stride, rate, scope='conv2')
        net = slim.conv2d(net, depth, [1, 1], stride=1, activation_fn=None, scope='conv3')
        if use_bounded_activations:
            net = tf.clip_by_value(net, -6.0, 6.0)
        net = activation_fn(shortcut + net)
        return slim.utils.collect_named_outputs(outputs_collections, entered.name, net)


def resnet_v1(
    inputs,
    blocks,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    include_root_block=True,
    spatial_squeeze=True,
    store_non_strided_activations=False,
    reuse=None,
    scope=None,
):
    """Builds a residual network from a list of blocks.

    Args:
      inputs: float32 [batch, height, width, channels]; batch, height and width may be unknown. With
        output strides and dense outputs, sides of 32 n + 1 keep the pixels aligned.
      blocks: list of `resnet_utils.Block`, such as `resnet_v1_block` makes.
      num_classes: width of the logits; 0 or None ends the network with its features.
      is_training: of batch norm; None leaves it to the caller's arg scopes.
      global_pool: average height and width before the classifier; False for dense outputs.
      output_stride: input side / output side at most: units beyond it are dilated instead of
        strided. None leaves the strides as they are: 32 in the published networks, which also take
        4, 8 and 16.
      include_root_block: begin with the 7x7 convolution and the max pooling.
      spatial_squeeze: drop height and width of the logits; they must be 1.
      store_non_strided_activations: the end point of a block is its activation before the stride,
        which is then taken between the blocks.
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope, or None for `resnet_v1`.

    Returns:
      (net, end_points). net: the logits, float32 [batch, num_classes], [batch, 1, 1, num_classes]
      unsqueezed, [batch, height / stride, width / stride, num_classes] unpooled; or, without
      classes, the features, float32 [batch, 1, 1, channels] or unpooled. end_points: the tensors by
      name of their variable scope, `SCOPE/block1/unit_1/bottleneck_v1/conv1` ... `SCOPE/block4`;
      then `global_pool`, `SCOPE/logits`, `SCOPE/spatial_squeeze`, `predictions`.

    Raises:
      UsageError: images of another rank, a negative number of classes, or an output stride that the
        blocks do not have; no variable was created then.
    """
    resnet_utils.check_arguments(inputs, blocks, num_classes, output_stride, include_root_block)
    scopes = resnet_utils.network_scope(scope, 'resnet_v1', bottleneck, is_training, reuse)
    with scopes as (scope_name, collection):
        net = inputs
        if include_root_block:
            net, output_stride = resnet_utils.root_block(net, output_stride)
        net = resnet_utils.stack_blocks_dense(
            net, blocks, output_stride, store_non_strided_activations
        )
        end_points = slim.utils.convert_collection_to_dict(collection)
        return resnet_utils.head(
            net, end_points, scope_name, num_classes, global_pool, spatial_squeeze
        )


def resnet_v1_block(scope, base_depth, num_units, stride):
    """A block of `num_units` bottlenecks, the last one strided, with 4 * `base_depth` channels."""
    return resnet_utils.bottleneck_block(bottleneck, scope, base_depth, num_units, stride)


def _published(num_layers, min_base_depth, depth_multiplier, **arguments):
    """`resnet_v1` with the blocks of a published network, their widths scaled."""
    if depth_multiplier != 0:  # 0 asks for the least width
        checks.check_depth_multiplier(depth_multiplier)

    def block(scope, base_depth, num_units, stride):
        width = max(int(base_depth * depth_multiplier), min_base_depth)
        if width < 1:
            raise errors.UsageError(
                f'{scope} would have no channels: depth_multiplier is {depth_multiplier} and '
                f'min_base_depth {min_base_depth}.'
            )
        return resnet_v1_block(scope, width, num_units, stride)

    return resnet_v1(blocks=resnet_utils.published_blocks(num_layers, block), **arguments)


# The functions hand on all their arguments by name. The deeper two have two of them in another
# order than the others: sic, since calls by position rely on it.


def resnet_v1_50(
    inputs,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    spatial_squeeze=True,
    store_non_strided_activations=False,
    min_base_depth=8,
    depth_multiplier=1,
    reuse=None,
    scope='resnet_v1_50',
):
    """Builds the network of 50 layers.

    Arguments, result and errors are those of `resnet_v1`, and
      min_base_depth: least width of a 3x3 layer of the blocks.
      depth_multiplier: factor on the widths of the blocks; the root keeps its 64. With 0 every
        block has the least width.
    """
    return _published(50, **locals())


def resnet_v1_101(
    inputs,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    spatial_squeeze=True,
    store_non_strided_activations=False,
    min_base_depth=8,
    depth_multiplier=1,
    reuse=None,
    scope='resnet_v1_101',
):
    """Builds the network of 101 layers; see `resnet_v1_50`."""
    return _published(101, **locals())


def resnet_v1_152(
    inputs,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    store_non_strided_activations=False,
    spatial_squeeze=True,
    min_base_depth=8,
    depth_multiplier=1,
    reuse=None,
    scope='resnet_v1_152',
):
    """Builds the network of 152 layers; see `resnet_v1_50`."""
    return _published(152, **locals())


def resnet_v1_200(
    inputs,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    store_non_strided_activations=False,
    spatial_squeeze=True,
    min_base_depth=8,
    depth_multiplier=1,
    reuse=None,
    scope='resnet_v1_200',
):
    """Builds the network of 200 layers; see `resnet_v1_50`."""
    return _published(200, **locals())


for _network in (resnet_v1, resnet_v1_50, resnet_v1_101, resnet_v1_152, resnet_v1_200):
    _network.default_image_size = 224

NETWORKS = (
    Network('resnet_v1_50', resnet_v1_50, resnet_arg_scope, 'batch_norm_decay'),
    Network('resnet_v1_101', resnet_v1_101, resnet_arg_scope, 'batch_norm_decay'),
    Network('resnet_v1_152', resnet_v1_152, resnet_arg_scope, 'batch_norm_decay'),
    Network('resnet_v1_200', resnet_v1_200, resnet_arg_scope, 'batch_norm_decay'),
)
