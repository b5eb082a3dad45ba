"""Building blocks of the MobileNets: channel rounding, inverted residual block, squeeze and excite.

Sources: MobileNetV1 (arXiv:1704.04861), V2 (arXiv:1801.04381), V3 (arXiv:1905.02244). Images and
activations are float32 [batch, height, width, channels] throughout.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

import slim
from nets.mobilenet import architectures
from slim import errors

make_divisible = architectures.make_divisible

DEPTHWISE_LOCATIONS = (None, 'input', 'output', 'expansion')


def fixed_padding(inputs: tf.Tensor, kernel_size: Sequence[int], rate: int = 1) -> tf.Tensor:
    """Zero-pads height and width for a VALID convolution, the same whatever the input size.

    SAME padding depends on the size when the stride is 2; this does not. Of the k_eff - 1 pixels,
    k_eff = k + (k - 1)(rate - 1), the smaller half goes before and the larger half after.
    """
    if tuple(kernel_size[:2]) == (1, 1):
        return inputs
    pads = []
    for size in kernel_size[:2]:
        total = (size - 1) * rate
        pads.append([total // 2, total - total // 2])
    return tf.pad(inputs, [[0, 0], *pads, [0, 0]])


@contextlib.contextmanager
def block_scope(scope: str | tf.VariableScope | None, default_name: str) -> Iterator[Any]:
    """A variable scope whose ops carry the same prefix as its variables.

    Entering an existing VariableScope object would open a nested name scope of the same name; its
    original one is entered again instead.
    """
    with (
        tf.variable_scope(scope, default_name=default_name) as entered,
        tf.name_scope(entered.original_name_scope),
    ):
        yield entered


@contextlib.contextmanager
def _separable_names(scope: str | None) -> Iterator[str]:
    """Prefix of the two layers of a separable convolution.

    MobileNetV1's `SCOPE_depthwise`; or plain `depthwise` inside a new scope when none is given.
    """
    if scope is not None:
        yield f'{scope}_'
        return
    with block_scope(None, 'separable'):
        yield ''


@slim.add_arg_scope
def split_separable_conv2d(
    input_tensor,
    num_outputs,
    scope=None,
    normalizer_fn=None,
    stride=1,
    rate=1,
    endpoints=None,
    use_explicit_padding=False,
):
    """MobileNetV1's block: 3x3 depthwise, then 1x1, each with its own norm and activation.

    Args:
      input_tensor: float32 [batch, height, width, channels].
      num_outputs: channels of the result.
      scope: prefix of the variables, `SCOPE_depthwise` and `SCOPE_pointwise`.
      normalizer_fn: norm of both layers.
      stride, rate: of the depthwise layer; one of them must be 1.
      endpoints: dictionary that receives both outputs, or None.
      use_explicit_padding: pad independently of the image size (see `fixed_padding`).

    Returns:
      float32 [batch, height / stride, width / stride, num_outputs].
    """
    kernel_size = [3, 3]
    padding = 'SAME'
    with _separable_names(scope) as prefix:
        net = input_tensor
        if use_explicit_padding:
            padding = 'VALID'
            net = fixed_padding(net, kernel_size, rate)
        net = slim.separable_conv2d(
            net,
            None,  # depthwise only
            kernel_size,
            depth_multiplier=1,
            stride=stride,
            rate=rate,
            normalizer_fn=normalizer_fn,
            padding=padding,
            scope=f'{prefix}depthwise',
        )
        depthwise = net
        net = slim.conv2d(
            net,
            num_outputs,
            [1, 1],
            stride=1,
            normalizer_fn=normalizer_fn,
            scope=f'{prefix}pointwise',
        )
    if endpoints is not None:
        endpoints.update({f'{prefix}depthwise': depthwise, f'{prefix}pointwise': net})
    return net


def expand_input_by_factor(n, divisible_by=8):
    """An `expansion_size`: n times the input channels, rounded to `divisible_by`."""
    return lambda num_inputs, **_: make_divisible(num_inputs * n, divisible_by)


def _split_channels(channels: int, num_ways: int, divisible_by: int) -> list[int]:
    """`num_ways` widths that add up to `channels`, each a multiple of `divisible_by`."""
    if channels % divisible_by:
        raise errors.UsageError(
            f'{channels} channels cannot be split into multiples of {divisible_by}: '
            'choose split_divisible_by to divide them, or split one way.'
        )
    units = channels // divisible_by
    ends = [-(-units * way // num_ways) for way in range(num_ways + 1)]  # rounded up
    return [(end - start) * divisible_by for start, end in itertools.pairwise(ends)]


def split_conv(input_tensor, num_outputs, num_ways, scope, divisible_by=8, **kwargs):
    """A 1x1 convolution in `num_ways` groups of channels, concatenated.

    It stays one ordinary convolution when `num_ways` is 1, or when a group would have fewer than
    `divisible_by` channels on either side.

    Args:
      input_tensor: float32 [batch, height, width, channels].
      num_outputs: channels of the result.
      num_ways: number of groups; group i has its variables under `SCOPE_part_i`.
      scope: name of the layer.
      divisible_by: every group's channels, in and out, are a multiple of this.
      **kwargs: handed to `slim.conv2d`.

    Returns:
      float32 [batch, height, width, num_outputs].

    Raises:
      UsageError: the channels are no multiple of `divisible_by`.
    """
    num_inputs = input_tensor.shape.as_list()[3]
    if num_ways == 1 or min(num_inputs, num_outputs) // num_ways < divisible_by:
        return slim.conv2d(input_tensor, num_outputs, [1, 1], scope=scope, **kwargs)
    input_widths = _split_channels(num_inputs, num_ways, divisible_by)
    output_widths = _split_channels(num_outputs, num_ways, divisible_by)
    groups = tf.split(input_tensor, input_widths, axis=3, name=f'split_{scope}')
    outputs = []
    for way, (group, width) in enumerate(zip(groups, output_widths, strict=True)):
        part = f'{scope}_part_{way}'
        net = slim.conv2d(group, width, [1, 1], scope=part, **kwargs)
        outputs.append(tf.identity(net, name=f'{part}_output'))
    return tf.concat(outputs, 3, name=f'{scope}_concat')


def given_arguments(**kwargs: Any) -> dict[str, Any]:
    """The arguments that are not None, so that None leaves the surrounding arg scope in force."""
    return {name: value for name, value in kwargs.items() if value is not None}


def _named(endpoints: dict[str, tf.Tensor], name: str, net: tf.Tensor) -> tf.Tensor:
    """`net` as an op called `name`, where `mobilenet_base` finds it, and in `endpoints`."""
    endpoints[name] = tf.identity(net, name=name)
    return endpoints[name]


def _pointwise(
    function: Callable[..., tf.Tensor], num_ways: int, divisible_by: int
) -> Callable[..., tf.Tensor]:
    """Binds the splitting arguments of `split_conv`; a caller's own function has none."""
    if function is not split_conv:
        return function
    return functools.partial(split_conv, num_ways=num_ways, divisible_by=divisible_by)


def _add_residual(residual: Any, stride: int, shortcut: tf.Tensor, net: tf.Tensor) -> tf.Tensor:
    """Adds the block's input where `residual` allows it; a callable decides for itself."""
    if callable(residual):
        return residual(input_tensor=shortcut, output_tensor=net)
    if residual and stride == 1 and shortcut.shape.as_list()[3] == net.shape.as_list()[3]:
        return net + shortcut
    return net


@slim.add_arg_scope
def expanded_conv(
    input_tensor,
    num_outputs,
    expansion_size=expand_input_by_factor(6),  # noqa: B008  (a pure function, TF-Slim's default)
    stride=1,
    rate=1,
    kernel_size=(3, 3),
    residual=True,
    normalizer_fn=None,
    split_projection=1,
    split_expansion=1,
    split_divisible_by=8,
    expansion_transform=None,
    depthwise_location='expansion',
    depthwise_channel_multiplier=1,
    endpoints=None,
    use_explicit_padding=False,
    padding='SAME',
    inner_activation_fn=None,
    depthwise_activation_fn=None,
    project_activation_fn=tf.identity,
    depthwise_fn=slim.separable_conv2d,
    expansion_fn=split_conv,
    projection_fn=split_conv,
    scope=None,
):
    """The inverted residual block: 1x1 expand, depthwise, 1x1 project, plus the input if it fits.

    The expand layer is left out where it would not widen. Every step is an op in the block's scope:
    `expansion_output`, `depthwise_output`, `output`.

    Args:
      input_tensor: float32 [batch, height, width, channels].
      num_outputs: channels of the result.
      expansion_size: channels between expand and project, or a function of `num_inputs`.
      stride, rate, kernel_size: of the depthwise layer; stride or rate must be 1.
      residual: whether to add the input when stride is 1 and the channels agree; or a function of
        `input_tensor` and `output_tensor` that returns the sum.
      normalizer_fn: norm of all layers.
      split_projection, split_expansion, split_divisible_by: see `split_conv`.
      expansion_transform: None, or a function of `expansion_tensor` and `input_tensor` applied
        before the projection (squeeze and excite).
      depthwise_location: 'expansion', between the 1x1 layers; 'input', before; 'output', after;
        None for no depthwise layer. Linear outside of 'expansion'.
      depthwise_channel_multiplier: depthwise outputs per channel.
      endpoints: None, or a dictionary that receives the steps, and `projection_output`, by name.
      use_explicit_padding: pad independently of the image size (see `fixed_padding`).
      padding: of the depthwise layer.
      inner_activation_fn: of the expand and the depthwise layer; None leaves the arg scope's.
      depthwise_activation_fn: of the depthwise layer; None leaves `inner_activation_fn`.
      project_activation_fn: identity, since the bottleneck is linear.
      depthwise_fn, expansion_fn, projection_fn: layers to use instead of the usual ones.
      scope: name of the block; None numbers `expanded_conv`.

    Returns:
      float32 [batch, height / stride, width / stride, num_outputs].

    Raises:
      UsageError: unknown `depthwise_location`, or explicit padding on top of another padding.
    """
    if depthwise_location not in DEPTHWISE_LOCATIONS:
        raise errors.unknown_name(
            'depthwise_location', depthwise_location, map(str, DEPTHWISE_LOCATIONS)
        )
    if use_explicit_padding:
        if padding != 'SAME':
            raise errors.UsageError(
                f"use_explicit_padding replaces padding='SAME'; it does not go with {padding!r}."
            )
        padding = 'VALID'
    endpoints = {} if endpoints is None else endpoints

    def depthwise(net: tf.Tensor, **activation: Any) -> tf.Tensor:
        if use_explicit_padding:
            net = fixed_padding(net, kernel_size, rate)
        net = depthwise_fn(
            net,
            num_outputs=None,
            kernel_size=kernel_size,
            depth_multiplier=depthwise_channel_multiplier,
            stride=stride,
            rate=rate,
            normalizer_fn=normalizer_fn,
            padding=padding,
            scope='depthwise',
            **activation,
        )
        return _named(endpoints, 'depthwise_output', net)

    with (
        block_scope(scope, 'expanded_conv'),
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            **given_arguments(activation_fn=inner_activation_fn),
        ),
        slim.arg_scope(
            [slim.separable_conv2d], **given_arguments(activation_fn=depthwise_activation_fn)
        ),
    ):
        shortcut = net = tf.identity(input_tensor, name='input')
        num_inputs = net.shape.as_list()[3]
        if depthwise_location == 'input':
            net = depthwise(net, activation_fn=None)

        inner_size = expansion_size
        if callable(expansion_size):
            inner_size = expansion_size(num_inputs=num_inputs)
        if inner_size > net.shape.as_list()[3]:
            expand = _pointwise(expansion_fn, split_expansion, split_divisible_by)
            net = expand(net, inner_size, scope='expand', normalizer_fn=normalizer_fn)
            net = _named(endpoints, 'expansion_output', net)

        if depthwise_location == 'expansion':
            net = depthwise(net)
        if expansion_transform is not None:
            net = expansion_transform(expansion_tensor=net, input_tensor=shortcut)

        project = _pointwise(projection_fn, split_projection, split_divisible_by)
        net = project(
            net,
            num_outputs,
            scope='project',
            normalizer_fn=normalizer_fn,
            activation_fn=project_activation_fn,
        )
        # Not an op of its own: the classic list of end points does not have it.
        endpoints['projection_output'] = net
        if depthwise_location == 'output':
            net = depthwise(net, activation_fn=None)
        net = _add_residual(residual, stride, shortcut, net)
        return tf.identity(net, name='output')


def fused_conv(
    input_tensor, num_outputs, kernel_size, stride=1, rate=1, use_explicit_padding=False, **kwargs
):
    """`expanded_conv` whose expand layer does the spatial work, without a depthwise layer.

    Full convolutions keep some accelerators busier than depthwise ones, where channels are few.

    Args:
      input_tensor: float32 [batch, height, width, channels].
      num_outputs: channels of the result.
      kernel_size, stride, rate: of the expand layer; a block that does not widen has none, and
        only projects.
      use_explicit_padding: pad independently of the image size (see `fixed_padding`).
      **kwargs: of `expanded_conv`.

    Returns:
      float32 [batch, height / stride, width / stride, num_outputs].
    """
    padding = {'padding': 'VALID'} if use_explicit_padding else {}

    def expand(net: tf.Tensor, width: int, **layer: Any) -> tf.Tensor:
        if use_explicit_padding:
            net = fixed_padding(net, kernel_size, rate)
        return slim.conv2d(net, width, kernel_size, stride=stride, rate=rate, **padding, **layer)

    return expanded_conv(
        input_tensor,
        num_outputs,
        kernel_size=(1, 1),
        stride=stride,
        depthwise_location=None,
        expansion_fn=expand,
        **kwargs,
    )


@slim.add_arg_scope
def squeeze_excite(
    input_tensor,
    divisible_by=8,
    squeeze_factor=3,
    inner_activation_fn=tf.nn.relu,
    gating_fn=tf.sigmoid,
    squeeze_input_tensor=None,
    pool=None,
):
    """Scales each channel by a gate computed from the pooled image (arXiv:1709.01507).

    Args:
      input_tensor: float32 [batch, height, width, channels], what is scaled.
      divisible_by, squeeze_factor: the middle layer has channels / squeeze_factor, rounded.
      inner_activation_fn: activation of the middle layer.
      gating_fn: activation of the gate, to 0..1.
      squeeze_input_tensor: what the gate is computed from; None is `input_tensor`.
      pool: None pools the whole image. A number pools windows of that side at stride 1, and the
        gates are stretched bilinearly over the image.

    Returns:
      float32, the shape of `input_tensor`.
    """
    with tf.variable_scope('squeeze_excite'):
        squeezed = input_tensor if squeeze_input_tensor is None else squeeze_input_tensor
        if pool is None:
            squeezed = tf.reduce_mean(squeezed, axis=[1, 2], keepdims=True)
        else:
            squeezed = tf.nn.avg_pool2d(squeezed, [1, pool, pool, 1], [1, 1, 1, 1], 'VALID')
        num_channels = input_tensor.shape.as_list()[3]
        net = slim.conv2d(
            squeezed,
            make_divisible(num_channels / squeeze_factor, divisible_by),
            kernel_size=[1, 1],
            normalizer_fn=None,
            activation_fn=inner_activation_fn,
        )
        gate = slim.conv2d(
            net, num_channels, kernel_size=[1, 1], normalizer_fn=None, activation_fn=gating_fn
        )
        if pool is not None:
            image_size = tf.shape(input_tensor)[1:3]
            gate = tf.image.resize_bilinear(gate, image_size, align_corners=True)
        return input_tensor * gate
