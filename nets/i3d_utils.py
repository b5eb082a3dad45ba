"""Inception-v1 with a time axis: the table, the interpreter and the layers of I3D and S3D-G.

Sources: I3D, Carreira, Zisserman, CVPR 2017, arXiv:1705.07750; S3D-G, Xie, Sun, Huang, Tu, Murphy,
ECCV 2018, arXiv:1712.04851. Videos and activations are float32 [batch, frames, height, width,
channels], data format NDHWC, or with the channels after the batch, NCDHW.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision, training_form
from slim import errors

add_arg_scope = slim.add_arg_scope
layers = slim.layers
trunc_normal = functools.partial(tf.truncated_normal_initializer, 0.0)  # of a standard deviation

DATA_FORMATS = ('NDHWC', 'NCDHW')


def center_initializer():
    """An initializer with which a convolution over time changes nothing, to begin with.

    Returns:
      An initializer of weights float32 [frames, 1, 1, channels, channels], an odd number of frames:
      the identity at the middle frame, 0 elsewhere. It raises UsageError for another shape or type.
    """

    def initializer(shape, dtype=tf.float32, partition_info=None):
        del partition_info
        shape = tf.TensorShape(shape).as_list()
        if dtype != tf.float32:
            raise errors.UsageError(f'center_initializer makes float32 weights, not {dtype}.')
        if len(shape) != 5 or shape[0] % 2 == 0 or shape[1:3] != [1, 1] or shape[3] != shape[4]:
            raise errors.UsageError(
                f'center_initializer got the shape {shape}; it needs [odd, 1, 1, n, n].'
            )
        before_and_after = [shape[0] // 2] * 2
        identity = tf.eye(shape[3], batch_shape=[1, 1, 1], dtype=dtype)
        return tf.pad(identity, [before_and_after, *([[0, 0]] * 4)])

    return initializer


@add_arg_scope
def conv3d_spatiotemporal(
    inputs,
    num_outputs,
    kernel_size,
    stride=1,
    padding='SAME',
    activation_fn=None,
    normalizer_fn=None,
    normalizer_params=None,
    weights_regularizer=None,
    separable=False,
    data_format='NDHWC',
    scope='',
):
    """A 3D convolution, or one over space followed by one over time.

    Args:
      inputs: a video or its activations, of rank 5.
      num_outputs: channels of the result.
      kernel_size: frames, height, width.
      stride: one number or three.
      padding, activation_fn, normalizer_fn, normalizer_params, weights_regularizer, data_format:
        of `slim.conv3d`. The convolution over time has biases and no normalizer.
      separable: two convolutions, if the kernel has more than one frame; the second one's variables
        are under `SCOPE/temporal` and start as the identity.
      scope: variable scope.

    Returns:
      float32, of rank 5 with `num_outputs` channels.
    """
    conv3d = functools.partial(
        layers.conv3d,
        num_outputs=num_outputs,
        padding=padding,
        activation_fn=activation_fn,
        weights_regularizer=weights_regularizer,
        data_format=data_format,
    )
    normalizer = {'normalizer_fn': normalizer_fn, 'normalizer_params': normalizer_params}
    frames, height, width = kernel_size
    if not separable or frames == 1:
        return conv3d(inputs, kernel_size=kernel_size, stride=stride, scope=scope, **normalizer)
    strides = [stride] * 3 if isinstance(stride, int) else list(stride)
    net = conv3d(
        inputs,
        kernel_size=[1, height, width],
        stride=[1, *strides[1:]],
        scope=scope,
        **normalizer,
    )
    return conv3d(
        net,
        kernel_size=[frames, 1, 1],
        stride=[strides[0], 1, 1],
        normalizer_fn=None,
        weights_initializer=center_initializer(),
        scope=f'{scope}/temporal',
    )


@add_arg_scope
def inception_block_v1_3d(
    inputs,
    num_outputs_0_0a,
    num_outputs_1_0a,
    num_outputs_1_0b,
    num_outputs_2_0a,
    num_outputs_2_0b,
    num_outputs_3_0b,
    temporal_kernel_size=3,
    self_gating_fn=None,
    data_format='NDHWC',
    scope='',
):
    """An Inception-v1 block: four branches side by side, concatenated.

    Strides, padding and norm are those of the arg scope around it, as in `inception_v1_3d_base`.

    Args:
      inputs: activations, of rank 5.
      num_outputs_B_0x: channels of layer `0x` of branch B. Branches: 1x1; 1x1 and 3x3; 1x1 and 3x3;
        pool and 1x1.
      temporal_kernel_size: frames that the kernels of the 3x3 layers span.
      self_gating_fn: function of (net, scope=), applied to what each branch ends with, or None.
      data_format: NDHWC or NCDHW.
      scope: variable scope.

    Returns:
      float32, of rank 5 with the channels of all branches.
    """
    spatiotemporal = [temporal_kernel_size, 3, 3]
    # Each branch: (layer, its name, channels, kernel), none for a pool.
    branches = (
        ((layers.conv3d, 'Conv2d_0a_1x1', num_outputs_0_0a, [1, 1, 1]),),
        (
            (layers.conv3d, 'Conv2d_0a_1x1', num_outputs_1_0a, [1, 1, 1]),
            (conv3d_spatiotemporal, 'Conv2d_0b_3x3', num_outputs_1_0b, spatiotemporal),
        ),
        (
            (layers.conv3d, 'Conv2d_0a_1x1', num_outputs_2_0a, [1, 1, 1]),
            (conv3d_spatiotemporal, 'Conv2d_0b_3x3', num_outputs_2_0b, spatiotemporal),
        ),
        (
            (layers.max_pool3d, 'MaxPool_0a_3x3', [3, 3, 3]),
            (layers.conv3d, 'Conv2d_0b_1x1', num_outputs_3_0b, [1, 1, 1]),
        ),
    )
    outputs = []
    with tf.variable_scope(scope):
        for number, branch in enumerate(branches):
            with tf.variable_scope(f'Branch_{number}'):
                net = inputs
                for layer, name, *arguments in branch:
                    net = layer(net, *arguments, scope=name)
                if self_gating_fn is not None:
                    net = self_gating_fn(net, scope=name)
                outputs.append(net)
        return tf.concat(outputs, data_format.index('C'))


def reduced_kernel_size_3d(input_tensor, kernel_size):
    """`kernel_size`, but no side larger than the input's where that is known.

    Args:
      input_tensor: of rank 5, channels last.
      kernel_size: frames, height, width.

    Returns:
      A list of three.
    """
    frames_height_width = input_tensor.shape.as_list()[1:4]
    return [
        size if side is None else min(side, size)
        for side, size in zip(frames_height_width, kernel_size, strict=True)
    ]


class _Conv(NamedTuple):
    width: int  # channels
    kernel_size: int  # pixels; the frames follow from the arguments of the network
    stride: tuple[int, ...] = (1, 1, 1)


class _Pool(NamedTuple):
    kernel_size: tuple[int, ...]  # frames, height, width
    stride: tuple[int, ...]


class _Block(NamedTuple):
    widths: tuple[int, ...]  # channels, in the order of `inception_block_v1_3d`'s arguments


# GoogLeNet (arXiv:1409.4842, Table 1), with the strides over time of I3D's Figure 3.
_LAYERS = {
    'Conv2d_1a_7x7': _Conv(64, 7, (2, 2, 2)),
    'MaxPool_2a_3x3': _Pool((1, 3, 3), (1, 2, 2)),
    'Conv2d_2b_1x1': _Conv(64, 1),
    'Conv2d_2c_3x3': _Conv(192, 3),
    'MaxPool_3a_3x3': _Pool((1, 3, 3), (1, 2, 2)),
    'Mixed_3b': _Block((64, 96, 128, 16, 32, 32)),
    'Mixed_3c': _Block((128, 128, 192, 32, 96, 64)),
    'MaxPool_4a_3x3': _Pool((3, 3, 3), (2, 2, 2)),
    'Mixed_4b': _Block((192, 96, 208, 16, 48, 64)),
    'Mixed_4c': _Block((160, 112, 224, 24, 64, 64)),
    'Mixed_4d': _Block((128, 128, 256, 24, 64, 64)),
    'Mixed_4e': _Block((112, 144, 288, 32, 64, 64)),
    'Mixed_4f': _Block((256, 160, 320, 32, 128, 128)),
    'MaxPool_5a_2x2': _Pool((2, 2, 2), (2, 2, 2)),
    'Mixed_5b': _Block((256, 160, 320, 32, 128, 128)),
    'Mixed_5c': _Block((384, 192, 384, 48, 128, 128)),
}
_STEM = 'Conv2d_1a_7x7'
_START_POINTS = [name for name in _LAYERS if name == 'Conv2d_2c_3x3' or name.startswith('Mixed')]


def _names_from(start: str | None, argument: str) -> list[str]:
    """The layers from `start` on that may convolve over time and be gated; none for None."""
    if start is None:
        return []
    if start not in _START_POINTS:
        raise errors.unknown_name(argument, start, _START_POINTS)
    return _START_POINTS[_START_POINTS.index(start) :]


def _check_video(inputs: tf.Tensor, final_endpoint: str, data_format: str) -> None:
    if data_format not in DATA_FORMATS:
        raise errors.unknown_name('data_format', data_format, DATA_FORMATS)
    checks.check_images(inputs, rank=5)
    if final_endpoint not in _LAYERS:
        raise errors.unknown_name('final_endpoint', final_endpoint, _LAYERS)


def inception_v1_3d_base(
    inputs: tf.Tensor,
    final_endpoint: str,
    scope: Any,
    first_temporal_kernel_size: int,
    temporal_conv_startat: str | None = 'Conv2d_2c_3x3',
    gating_startat: str | None = None,
    self_gating_fn: Callable[..., tf.Tensor] | None = None,
    depth: Callable[[int], int] = int,
    data_format: str = 'NDHWC',
    stem_arguments: Mapping[str, Any] | None = None,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Interprets the table up to `final_endpoint`; arguments and result as of `s3dg.s3dg_base`.

    Args beside those:
      self_gating_fn: function of (net, scope=) for the layers from `gating_startat` on.
      depth: width of a layer from its width in the table.
      stem_arguments: further arguments of the first convolution.
    """
    _check_video(inputs, final_endpoint, data_format)
    if first_temporal_kernel_size not in (1, 3, 5, 7):
        raise errors.UsageError(
            f'first_temporal_kernel_size is {first_temporal_kernel_size}; give 1, 3, 5 or 7.'
        )
    gated = _names_from(gating_startat, 'gating_startat')
    frames = dict.fromkeys(_names_from(temporal_conv_startat, 'temporal_conv_startat'), 3)
    frames[_STEM] = first_temporal_kernel_size
    arguments = {_STEM: stem_arguments or {}}

    end_points = {}
    net = inputs
    with (
        tf.variable_scope(scope, 'InceptionV1', [inputs]),
        slim.arg_scope([slim.conv3d], weights_initializer=trunc_normal(0.01)),
        slim.arg_scope(
            [slim.conv3d, slim.max_pool3d, conv3d_spatiotemporal],
            stride=1,
            padding='SAME',
            data_format=data_format,
        ),
        # Norms have the names of 2D for the two orders.
        slim.arg_scope([slim.batch_norm], data_format=data_format.replace('D', '')),
    ):
        for name, layer in _LAYERS.items():
            gating_fn = self_gating_fn if name in gated else None
            temporal = frames.get(name, 1)
            if isinstance(layer, _Pool):
                net = slim.max_pool3d(net, layer.kernel_size, stride=layer.stride, scope=name)
            elif isinstance(layer, _Block):
                net = inception_block_v1_3d(
                    net,
                    *map(depth, layer.widths),
                    temporal_kernel_size=temporal,
                    self_gating_fn=gating_fn,
                    data_format=data_format,
                    scope=name,
                )
            elif layer.kernel_size == 1:
                net = slim.conv3d(net, depth(layer.width), [1, 1, 1], scope=name)
            else:
                net = conv3d_spatiotemporal(
                    net,
                    depth(layer.width),
                    [temporal, layer.kernel_size, layer.kernel_size],
                    stride=layer.stride,
                    scope=name,
                    **arguments.get(name, {}),
                )
                if gating_fn is not None:
                    net = gating_fn(net, scope=name)
            end_points[name] = net
            if name == final_endpoint:
                break
    return net, end_points


def _pixels_per_place(final_endpoint: str) -> int:
    """Pixels between neighbours in the activations of an end point."""
    stride = 1
    for name, layer in _LAYERS.items():
        if not isinstance(layer, _Block):
            stride *= layer.stride[1]
        if name == final_endpoint:
            break
    return stride


def inception_v1_3d(
    inputs: tf.Tensor,
    base: Callable[..., tuple[tf.Tensor, dict[str, tf.Tensor]]],
    num_classes: int | None,
    dropout_keep_prob: float,
    is_training: bool,
    prediction_fn: Callable[..., tf.Tensor] | None,
    spatial_squeeze: bool,
    reuse: bool | None,
    scope: Any,
    final_endpoint: str = 'Mixed_5c',
    data_format: str = 'NDHWC',
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """A base with pool, dropout and classifier; arguments and result as of `s3dg.s3dg`.

    `base` is a function of (inputs, final_endpoint=, scope=).
    """
    _check_video(inputs, final_endpoint, data_format)
    checks.check_num_classes(num_classes)
    if num_classes and spatial_squeeze:
        sides = inputs.shape.as_list()
        height, width = (sides[data_format.index(letter)] for letter in 'HW')
        checks.check_one_place(height, width, 7 * _pixels_per_place(final_endpoint))

    with (
        tf.variable_scope(scope, 'InceptionV1', [inputs], reuse=reuse) as variable_scope,
        training_form.form_scope(is_training, slim.batch_norm, slim.dropout),
    ):
        net, end_points = base(inputs, final_endpoint=final_endpoint, scope=variable_scope)
        with tf.variable_scope('Logits'):
            if data_format == 'NCDHW':
                net = tf.transpose(net, [0, 2, 3, 4, 1])
            kernel_size = reduced_kernel_size_3d(net, [2, 7, 7])
            net = slim.avg_pool3d(net, kernel_size, stride=1, scope='AvgPool_0a_7x7')
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope='Dropout_0b')
            logits = slim.conv3d(
                full_precision.in_float32(net),
                num_classes,
                [1, 1, 1],
                activation_fn=None,
                normalizer_fn=None,
                scope='Conv2d_0c_1x1',
            )
            logits = tf.reduce_mean(logits, axis=1)  # over time
            if spatial_squeeze:
                logits = tf.squeeze(logits, [1, 2], name='SpatialSqueeze')
            end_points['Logits'] = logits
            if prediction_fn:
                end_points['Predictions'] = prediction_fn(logits, scope='Predictions')
    return logits, end_points
