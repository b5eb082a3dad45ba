"""What the Inception networks share: arg scope, table format and its interpreter, heads.

A network is a sequence of stages, applied one after another:

    conv, max_pool, avg_pool   one layer
    Block                      branches side by side, concatenated; a branch is a sequence of layers
    Fork                       the last layer of a branch, split in two or more
    Step                       a function of the network's own

A stage's scope is its prefix in the graph and in checkpoints, and its end point. Activations are
float32 [batch, height, width, channels] throughout, except where `data_format` says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision
from slim import errors


def inception_arg_scope(
    weight_decay=0.00004,
    use_batch_norm=True,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    activation_fn=tf.nn.relu,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    batch_norm_scale=False,
):
    """The arg scope of Inception V1 to V4.

    Args:
      weight_decay: L2 coefficient of all weights, biases left out.
      use_batch_norm: batch norm after every convolution; otherwise a bias.
      batch_norm_decay: decay of the moving averages.
      batch_norm_epsilon: added to the variance, so that nothing is divided by zero.
      activation_fn: of every convolution.
      batch_norm_updates_collections: where the updates of the moving averages go.
      batch_norm_scale: whether batch norm has a factor, gamma; the ReLU behind it needs none.

    Returns:
      An arg scope.
    """
    regularizer = slim.l2_regularizer(weight_decay)
    with (
        slim.arg_scope([slim.conv2d, slim.fully_connected], weights_regularizer=regularizer),
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm if use_batch_norm else None,
            normalizer_params={
                'decay': batch_norm_decay,
                'epsilon': batch_norm_epsilon,
                'updates_collections': batch_norm_updates_collections,
                'scale': batch_norm_scale,
            }
            if use_batch_norm
            else {},
        ) as scope,
    ):
        return scope


def trunc_normal(stddev):
    """An initializer: normal around 0, values beyond two `stddev` drawn again."""
    return tf.truncated_normal_initializer(0.0, stddev)


# Table format


class Layout(NamedTuple):
    """What a table leaves open: how wide the layers are, and which axis holds the channels."""

    width: Callable[[int], int] = int  # channels in the table -> channels built
    channel_axis: int = 3


AS_WRITTEN = Layout()


class Layer(NamedTuple):
    """A convolution or a pooling."""

    function: Callable[..., tf.Tensor]
    scope: str
    kernel: Sequence[int]  # height, width
    stride: int = 1
    padding: str = 'SAME'
    depth: int | None = None  # channels of the result; None for a pooling
    arguments: Mapping[str, Any] = {}  # further ones of the function

    def build(self, net: tf.Tensor, layout: Layout) -> tf.Tensor:
        arguments = dict(self.arguments, stride=self.stride, padding=self.padding)
        if self.depth is not None:
            arguments['num_outputs'] = layout.width(self.depth)
        return self.function(net, kernel_size=self.kernel, scope=self.scope, **arguments)

    def least_input(self, size: int) -> int:
        """The least side of the input that gives an output of `size` pixels per side."""
        return (size - 1) * self.stride + (max(self.kernel) if self.padding == 'VALID' else 1)


class Fork(NamedTuple):
    """Layers that all read the same input, concatenated, without a scope of their own."""

    layers: Sequence[Layer]

    def build(self, net: tf.Tensor, layout: Layout) -> tf.Tensor:
        return tf.concat([layer.build(net, layout) for layer in self.layers], layout.channel_axis)

    def least_input(self, size: int) -> int:
        return max(layer.least_input(size) for layer in self.layers)


Branch = Sequence[Layer | Fork]


class Block(NamedTuple):
    """Branches in scopes `Branch_0`, `Branch_1` and so on, concatenated."""

    scope: str
    branches: Sequence[Branch]

    def build(self, net: tf.Tensor, layout: Layout) -> tf.Tensor:
        with tf.variable_scope(self.scope):
            return concat_branches(net, self.branches, layout)

    def least_input(self, size: int) -> int:
        return max(least_input(branch, size) for branch in self.branches)


class Step(NamedTuple):
    """Any function that keeps height and width; an end point where it has a scope."""

    scope: str | None
    function: Callable[[tf.Tensor], tf.Tensor]

    def build(self, net: tf.Tensor, layout: Layout) -> tf.Tensor:
        return self.function(net)

    def least_input(self, size: int) -> int:
        return size


Stages = Sequence[Layer | Block | Step]


def conv(scope, depth, kernel=None, stride=1, padding='SAME', stddev=None):
    """A convolution. `kernel` None: as the scope's last part says; `stddev` None: arg scope's."""
    arguments = {} if stddev is None else {'weights_initializer': trunc_normal(stddev)}
    kernel = kernel or _kernel_named_by(scope)
    return Layer(slim.conv2d, scope, kernel, stride, padding, depth, arguments)


def max_pool(scope, stride=1, padding='SAME'):
    """A maximum pooling, its kernel as the scope's last part says."""
    return Layer(slim.max_pool2d, scope, _kernel_named_by(scope), stride, padding)


def avg_pool(scope):
    """An average pooling with stride 1 that keeps the size."""
    return Layer(slim.avg_pool2d, scope, _kernel_named_by(scope))


def _kernel_named_by(scope: str) -> list[int]:
    return [int(side) for side in re.findall(r'(\d+)x(\d+)$', scope)[0]]


# Interpreter


def least_input(stages: Branch | Stages, size: int) -> int:
    """The least side in pixels that leaves a map of `size` x `size` behind the last stage."""
    for stage in reversed(stages):
        size = stage.least_input(size)
    return size


def concat_branches(
    net: tf.Tensor, branches: Sequence[Branch], layout: Layout = AS_WRITTEN
) -> tf.Tensor:
    """Builds every branch on `net` and concatenates them along the channels."""
    outputs = []
    for number, branch in enumerate(branches):
        with tf.variable_scope(f'Branch_{number}'):
            output = net
            for layer in branch:
                output = layer.build(output, layout)
        outputs.append(output)
    return tf.concat(outputs, layout.channel_axis)


def until(stages: Stages, end_point: str | None) -> Stages:
    """The stages up to `end_point`; all of them for None.

    Raises:
      UsageError: no stage has this end point.
    """
    names = [stage.scope for stage in stages]
    checks.check_final_endpoint(end_point, filter(None, names))
    return stages if end_point is None else stages[: names.index(end_point) + 1]


def build_stages(
    net: tf.Tensor, stages: Stages, layout: Layout = AS_WRITTEN
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds all stages and returns (last output, end points by scope)."""
    end_points = {}
    for stage in stages:
        net = stage.build(net, layout)
        if stage.scope is not None:
            end_points[stage.scope] = net
    return net, end_points


def scaled_layout(depth_multiplier: float, min_depth: int, data_format: str = 'NHWC') -> Layout:
    """Widths times `depth_multiplier`, rounded down, and no less than `min_depth`."""
    checks.check_depth_multiplier(depth_multiplier)
    return Layout(
        width=lambda depth: max(int(depth * depth_multiplier), min_depth),
        channel_axis=data_format.index('C'),
    )


# Heads


def check_map_size(
    images: tf.Tensor, stages: Stages, least: int, largest: int | None, remedy: str
) -> None:
    """UsageError unless `stages` leave a map of `least` to `largest` pixels per side.

    Args:
      images: float32 [batch, height, width, channels]; an unknown side is not checked.
      stages: from the images to the map that a head reads.
      least, largest: sides of the map that the head can work with; None for no upper bound.
      remedy: argument of the network that lifts the restriction, for the message.
    """
    checks.check_images(images)
    least_size = least_input(stages, least)
    largest_size = least_input(stages, largest + 1) - 1 if largest else None
    sides = images.shape.as_list()[1:3]
    if any(
        side is not None and (side < least_size or (largest_size and side > largest_size))
        for side in sides
    ):
        allowed = f'{least_size} to {largest_size}' if largest_size else f'{least_size} or more'
        raise errors.UsageError(
            f'The images are {sides[0]} x {sides[1]} pixels; '
            f'without {remedy} this network needs {allowed} per side.'
        )


def reduced_kernel(net: tf.Tensor, kernel: Sequence[int]) -> Sequence[int]:
    """The kernel, no larger than the map where the map's size is known."""
    sides = net.shape.as_list()[1:3]
    return kernel if None in sides else [min(*pair) for pair in zip(sides, kernel, strict=True)]


def convolutional_logits(net, num_classes, spatial_squeeze, scope, **kwargs):
    """A 1x1 convolution alone; `spatial_squeeze` takes height and width, both 1, away."""
    net = full_precision.in_float32(net)
    logits = slim.conv2d(
        net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope=scope, **kwargs
    )
    return tf.squeeze(logits, [1, 2], name='SpatialSqueeze') if spatial_squeeze else logits


def convolutional_head(
    net,
    end_points,
    kernel,
    num_classes,
    dropout_keep_prob,
    prediction_fn,
    spatial_squeeze,
    global_pool,
):
    """The classifier of Inception V2 and V3: pooling, dropout, 1x1 convolution, prediction.

    Returns:
      (net, end_points): the logits, float32 [batch, num_classes]; or the pooled features, float32
      [batch, 1, 1, channels], without classes.
    """
    with tf.variable_scope('Logits'):
        if global_pool:
            net = tf.reduce_mean(net, [1, 2], keepdims=True, name='global_pool')
            end_points['global_pool'] = net
        else:
            kernel = reduced_kernel(net, kernel)
            scope = 'AvgPool_1a_{}x{}'.format(*kernel)
            net = slim.avg_pool2d(net, kernel, padding='VALID', scope=scope)
            end_points['AvgPool_1a'] = net
        if not num_classes:
            return net, end_points
        net = slim.dropout(net, keep_prob=dropout_keep_prob, scope='Dropout_1b')
        end_points['PreLogits'] = net
        logits = convolutional_logits(net, num_classes, spatial_squeeze, 'Conv2d_1c_1x1')
    end_points['Logits'] = logits
    end_points['Predictions'] = prediction_fn(logits, scope='Predictions')
    return logits, end_points


def check_dense_auxiliary(images: tf.Tensor, stages: Stages) -> None:
    """UsageError unless the map behind `stages` fits `dense_auxiliary_logits`."""
    check_map_size(images, stages, 5, None, 'create_aux_logits=False')
    if None in images.shape.as_list()[1:3]:
        raise errors.UsageError(
            f'The images have shape {images.shape}; the auxiliary head needs a known size: '
            'give create_aux_logits=False.'
        )


def dense_auxiliary_logits(net, num_classes, pool_scope, conv_scope, logits_scope):
    """The auxiliary classifier of Inception V4 and Inception-ResNet: float32 [batch, num_classes].

    It reads a map of at least 5 x 5, whose size must be known: its last convolution covers it all.
    """
    with tf.variable_scope('AuxLogits'):
        net = slim.avg_pool2d(net, [5, 5], stride=3, padding='VALID', scope=pool_scope)
        net = slim.conv2d(net, 128, [1, 1], scope='Conv2d_1b_1x1')
        net = slim.conv2d(net, 768, net.shape.as_list()[1:3], padding='VALID', scope=conv_scope)
        net = slim.flatten(net)
        net = full_precision.in_float32(net)
        return slim.fully_connected(net, num_classes, activation_fn=None, scope=logits_scope)


def pool_map(net: tf.Tensor, scope: str) -> tf.Tensor:
    """The average over height and width, float32 [batch, 1, 1, channels]."""
    kernel = net.shape.as_list()[1:3]
    if None in kernel:  # a pooling needs to know its window
        return tf.reduce_mean(net, [1, 2], keepdims=True, name='global_pool')
    return slim.avg_pool2d(net, kernel, padding='VALID', scope=scope)


def dense_logits(net, end_points, num_classes):
    """The last layer of Inception V4 and Inception-ResNet.

    Args:
      net: float32 [batch, channels].
      end_points: receives `PreLogitsFlatten`, `Logits` and `Predictions`.
      num_classes: width of the logits.

    Returns:
      (logits, end_points), the logits float32 [batch, num_classes].
    """
    end_points['PreLogitsFlatten'] = net
    net = full_precision.in_float32(net)
    logits = slim.fully_connected(net, num_classes, activation_fn=None, scope='Logits')
    end_points['Logits'] = logits
    end_points['Predictions'] = tf.nn.softmax(logits, name='Predictions')
    return logits, end_points
