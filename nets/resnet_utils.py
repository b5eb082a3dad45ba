"""What the residual networks of both versions share: blocks, root, head, arg scope, sizes.

A network is a list of blocks, a block a list of units: `Block(scope, unit_fn, args)`, where `args`
holds the keyword arguments of each unit. `stack_blocks_dense` builds such a list; `resnet_v1.py`
and `resnet_v2.py` bring the units and the order around them. Images and activations are float32
[batch, height, width, channels] throughout.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision, training_form
from nets.mobilenet.conv_blocks import fixed_padding
from nets.striding import Striding

# Layers of a published network -> units of its four blocks. Table 1 of arXiv:1512.03385; for 200
# layers arXiv:1603.05027 adds 16 units to the second block of 152.
_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}

# Scope, width of the 3x3 layers, stride of the four blocks. TF-Slim strides at the end of a block,
# in its last unit, where the papers do it in the first unit of the next one.
_BLOCKS = (('block1', 64, 2), ('block2', 128, 2), ('block3', 256, 2), ('block4', 512, 1))

_ROOT_STRIDE = 4


class Block(NamedTuple):
    """Units that are built one after another in one variable scope."""

    scope: str
    unit_fn: Callable[..., tf.Tensor]  # (net, rate=..., **arguments) -> net
    args: Sequence[dict[str, Any]]  # of each unit; `stride` is 1 where it is left out


def bottleneck_block(
    bottleneck: Callable[..., tf.Tensor], scope: str, base_depth: int, num_units: int, stride: int
) -> Block:
    """A block of `num_units` bottlenecks; the last one has the stride.

    `base_depth` is the width inside of the bottlenecks; they put out four times as many channels.
    """
    unit = {'depth': base_depth * 4, 'depth_bottleneck': base_depth, 'stride': 1}
    return Block(scope, bottleneck, [unit] * (num_units - 1) + [{**unit, 'stride': stride}])


def published_blocks(num_layers: int, block: Callable[[str, int, int, int], Block]) -> list[Block]:
    """The blocks of a published network, made by `block(scope, base_depth, num_units, stride)`."""
    return [
        block(scope, base_depth, num_units, stride)
        for (scope, base_depth, stride), num_units in zip(_BLOCKS, _UNITS[num_layers], strict=True)
    ]


def subsample(inputs, factor, scope=None):
    """Every `factor`-th pixel in both directions.

    Args:
      inputs: float32 [batch, height, width, channels].
      factor: stride; 1 returns `inputs` itself.
      scope: name scope.

    Returns:
      float32 [batch, height / factor, width / factor, channels], sides rounded up.
    """
    if factor == 1:
        return inputs
    return slim.max_pool2d(inputs, [1, 1], stride=factor, scope=scope)


def conv2d_same(inputs, num_outputs, kernel_size, stride, rate=1, scope=None):
    """A convolution whose padding does not depend on the size of the image.

    SAME padding puts the outputs of a strided convolution at other pixels for even than for odd
    sides. This one gives `subsample(slim.conv2d(stride=1, padding='SAME'), stride)` for both.

    Args:
      inputs: float32 [batch, height, width, channels].
      num_outputs: channels of the result.
      kernel_size: side of the kernel, an int.
      stride: of the outputs.
      rate: of dilation; one of stride and rate must be 1.
      scope: variable scope.

    Returns:
      float32 [batch, height / stride, width / stride, num_outputs], sides rounded up.
    """
    padding = 'SAME'
    if stride > 1:
        padding = 'VALID'
        inputs = fixed_padding(inputs, [kernel_size, kernel_size])
    return slim.conv2d(
        inputs, num_outputs, kernel_size, stride=stride, rate=rate, padding=padding, scope=scope
    )


def _reachable_strides(blocks: Sequence[Block]) -> list[int]:
    """The strides that a stack of blocks has before its first and after each of its units."""
    strides = [unit.get('stride', 1) for block in blocks for unit in block.args]
    return sorted(set(itertools.accumulate(strides, operator.mul, initial=1)))


@slim.add_arg_scope
def stack_blocks_dense(
    net,
    blocks,
    output_stride=None,
    store_non_strided_activations=False,
    outputs_collections=None,
):
    """Builds blocks one after another, densely if asked to.

    Args:
      net: float32 [batch, height, width, channels]; batch, height and width may be unknown.
      blocks: list of `Block`.
      output_stride: input side / output side at most: units beyond it are dilated instead of
        strided. None leaves the strides as they are.
      store_non_strided_activations: the output of a block is its activation before the stride; the
        stride is taken between the blocks. The final result is the same.
      outputs_collections: collection that receives the output of each block, aliased with the name
        of the block's variable scope; or None.

    Returns:
      float32 [batch, height / output_stride, width / output_stride, channels of the last unit],
      sides rounded up.

    Raises:
      UsageError: the blocks do not have such a stride; no variable was created then.
    """
    checks.check_output_stride(output_stride, [None, *_reachable_strides(blocks)])
    striding = Striding(output_stride)
    for block in blocks:
        late_stride = 1
        with tf.variable_scope(block.scope, 'block') as entered:
            for number, unit in enumerate(block.args, start=1):
                stride = unit.get('stride', 1)
                if store_non_strided_activations and number == len(block.args):
                    late_stride, stride = stride, 1
                stride, rate = striding.next_layer(stride)
                own_stride = {'stride': stride} if 'stride' in unit else {}
                with tf.variable_scope(f'unit_{number}'):
                    net = block.unit_fn(net, rate=rate, **{**unit, **own_stride})
            net = slim.utils.collect_named_outputs(outputs_collections, entered.name, net)
            late_stride, _ = striding.next_layer(late_stride)
            net = subsample(net, late_stride)
    return net


def check_arguments(
    inputs: tf.Tensor,
    blocks: Sequence[Block],
    num_classes: int | None,
    output_stride: int | None,
    include_root_block: bool,
) -> None:
    """UsageError for arguments of a network that cannot be built."""
    checks.check_images(inputs)
    checks.check_num_classes(num_classes)
    root_stride = _ROOT_STRIDE if include_root_block else 1
    reachable = [root_stride * stride for stride in _reachable_strides(blocks)]
    checks.check_output_stride(output_stride, [None, *reachable])


@contextlib.contextmanager
def network_scope(
    scope: str | None,
    default_name: str,
    bottleneck: Callable[..., tf.Tensor],
    is_training: bool | None,
    reuse: Any,
) -> Iterator[tuple[str, str]]:
    """The scopes around a network: (name of the variable scope, collection of the end points).

    None for `is_training` leaves batch norm as the caller's arg scopes have it.
    """
    with contextlib.ExitStack() as stack:
        entered = stack.enter_context(tf.variable_scope(scope, default_name, reuse=reuse))
        # A collection of its own for each network in the graph, with the same variables or not.
        collection = f'{entered.original_name_scope}_end_points'
        collected = [slim.conv2d, bottleneck, stack_blocks_dense]
        stack.enter_context(slim.arg_scope(collected, outputs_collections=collection))
        stack.enter_context(training_form.form_scope(is_training, slim.batch_norm))
        yield entered.name, collection


def root_block(inputs: tf.Tensor, output_stride: int | None) -> tuple[tf.Tensor, int | None]:
    """7x7 convolution and 3x3 max pooling, float32 [batch, height / 4, width / 4, 64]; and the
    output stride that is left to the blocks."""
    net = conv2d_same(inputs, 64, 7, stride=2, scope='conv1')
    net = slim.max_pool2d(net, [3, 3], stride=2, scope='pool1')
    return net, None if output_stride is None else output_stride // _ROOT_STRIDE


def head(
    net: tf.Tensor,
    end_points: dict[str, tf.Tensor],
    scope_name: str,
    num_classes: int | None,
    global_pool: bool,
    spatial_squeeze: bool,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Global average, classifier and softmax, each where it is wanted; adds their end points."""
    if global_pool:
        net = tf.reduce_mean(net, [1, 2], keepdims=True, name='pool5')
        end_points['global_pool'] = net
    if num_classes:
        net = full_precision.in_float32(net)
        net = slim.conv2d(
            net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope='logits'
        )
        end_points[f'{scope_name}/logits'] = net
        if spatial_squeeze:
            net = tf.squeeze(net, [1, 2], name='SpatialSqueeze')
            end_points[f'{scope_name}/spatial_squeeze'] = net
        end_points['predictions'] = slim.softmax(net, scope='predictions')
    return net, end_points


def resnet_arg_scope(
    weight_decay=0.0001,
    batch_norm_decay=0.997,
    batch_norm_epsilon=1e-5,
    batch_norm_scale=True,
    activation_fn=tf.nn.relu,
    use_batch_norm=True,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
):
    """The arg scope of both versions: `with slim.arg_scope(resnet_arg_scope()): ...`.

    Args:
      weight_decay: L2 coefficient of the convolutions' weights.
      batch_norm_decay: decay of batch norm's moving averages.
      batch_norm_epsilon: added to the variance.
      batch_norm_scale: whether batch norm has a gamma.
      activation_fn: of the convolutions.
      use_batch_norm: False gives the convolutions biases instead.
      batch_norm_updates_collections: collection of the updates of the moving averages; None makes
        them part of the forward pass.

    Returns:
      An arg scope. Max pooling pads with SAME, which keeps the features of different sizes aligned;
      the papers' own code pads with VALID.
    """
    batch_norm = {
        'decay': batch_norm_decay,
        'epsilon': batch_norm_epsilon,
        'scale': batch_norm_scale,
        'updates_collections': batch_norm_updates_collections,
    }
    with (
        slim.arg_scope(
            [slim.conv2d],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm if use_batch_norm else None,
            normalizer_params=batch_norm,
        ),
        slim.arg_scope([slim.batch_norm], **batch_norm),
        slim.arg_scope([slim.max_pool2d], padding='SAME') as arg_scope,
    ):
        return arg_scope
