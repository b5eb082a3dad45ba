"""The blocks of the MobileNets as Keras layers, and the interpreter that joins them to a model.

Images and activations are float32 [batch, height, width, channels]. Layer names are a contract with
saved models: `Conv2d_0_0/batch_norm`, `expanded_conv_3/depthwise/relu6`, `top/Predictions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tf_keras

from mobilenet.configs import archs
from nets import striding
from nets.mobilenet import architectures
from slim import errors

layers = tf_keras.layers

make_divisible = architectures.make_divisible

_GROUPS = 8  # of group norm, as the slim networks have it
_POOL_SIZE = (7, 7)  # the last layer's size for 224 pixels
_OUTPUT_STRIDES = (None, 1, 2, 4, 8, 16, 32)


@tf_keras.utils.register_keras_serializable('mobilenet')
class FixedPadding(tf_keras.layers.Layer):
    """Zero-pads height and width for a VALID convolution, the same whatever the input size.

    Of the (k - 1) * rate pixels the smaller half goes before and the larger half after.
    """

    def __init__(
        self, kernel_size: int | tuple[int, int], name: str | None = None, rate: int = 1, **kwargs
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.kernel_size = _pair(kernel_size)
        self.rate = rate

    def call(self, inputs):
        import tensorflow as tf

        pads = [[0, 0]]
        for size in self.kernel_size:
            total = (size - 1) * self.rate
            pads.append([total // 2, total - total // 2])
        return tf.pad(inputs, [*pads, [0, 0]])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'kernel_size': self.kernel_size, 'rate': self.rate}


@tf_keras.utils.register_keras_serializable('mobilenet')
class Activation(tf_keras.layers.Activation):
    """Keras' layer for the activations of `archs.get_activation_function`.

    Saved by the name in that table: Keras has a `hard_sigmoid` of its own, another function.
    """

    def __init__(self, activation: str, **kwargs: Any) -> None:
        functions = archs.get_activation_function()
        super().__init__(_named('activation_name', activation, functions), **kwargs)
        self.activation_name = activation

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'activation': self.activation_name}


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


def reduced_kernel_size_for_small_input(input_tensor, kernel_size: tuple[int, int]):
    """`kernel_size`, no side larger than that of `input_tensor`, where it is known."""
    sides = input_tensor.shape[1:3]
    return tuple(
        size if side is None else min(side, size)
        for side, size in zip(sides, kernel_size, strict=True)
    )


def width_multiplier_op(filters: int, width_multiplier: float, min_depth: int = 8) -> int:
    """V1's rule for a layer's width: truncated, at least `min_depth`."""
    return max(int(filters * width_multiplier), min_depth)


def width_multiplier_op_divisible(
    filters: int, width_multiplier: float, divisible_by: int = 8, min_depth: int = 8
) -> int:
    """V2's and V3's rule: a multiple of `divisible_by`, at least `min_depth`."""
    return make_divisible(filters * width_multiplier, divisible_by, min_depth)


def expand_input_by_factor(num_inputs: int, expansion_size: float, divisible_by: int = 8) -> int:
    """Channels of a block between expand and project."""
    return make_divisible(num_inputs * expansion_size, divisible_by)


def get_initializer(stddev: float):
    """Truncated normal; Glorot's uniform for `stddev` below 0."""
    if stddev < 0:
        return tf_keras.initializers.GlorotUniform()
    return tf_keras.initializers.TruncatedNormal(stddev=stddev)


def _named(kind: str, name: str, choices: Mapping[str, Any]) -> Any:
    if name not in choices:
        raise errors.unknown_name(kind, name, choices)
    return choices[name]


def _activate(net, activation_name: str, prefix: str):
    return Activation(activation_name, name=f'{prefix}/{activation_name}')(net)


def _normalize(net, normalization_name: str, params: Mapping[str, Any] | None, prefix: str):
    layer = _named('normalization_name', normalization_name, archs.get_normalization_layer())
    arguments = dict(params or {})
    if normalization_name != 'batch_norm':
        arguments.pop('momentum', None)  # Only batch norm keeps averages.
    if normalization_name == 'group_norm':
        arguments.setdefault('groups', _GROUPS)
        if net.shape[-1] % arguments['groups']:
            raise errors.UsageError(
                f'{prefix} has {net.shape[-1]} channels, which group norm cannot divide into '
                f'{arguments["groups"]} groups; choose another width_multiplier.'
            )
    return layer(name=f'{prefix}/{normalization_name}', **arguments)(net)


def _padded(net, explicitly: bool, kernel: int | tuple[int, int], name: str, rate: int):
    """(input, padding) of a convolution: padded by a layer of its own where that is wanted."""
    if not explicitly or _pair(kernel) == (1, 1):
        return net, 'same'
    return FixedPadding(kernel, name, rate)(net), 'valid'


def _convolve(net, filters: int, name: str, weight_decay: float, stddev: float, **arguments: Any):
    return layers.Conv2D(
        filters,
        name=name,
        kernel_initializer=get_initializer(stddev),
        kernel_regularizer=tf_keras.regularizers.l2(weight_decay),
        **arguments,
    )(net)


def global_pooling_block(inputs, block_id: int = 0):
    """Averages height and width to 1 x 1."""
    net = layers.GlobalAveragePooling2D(name=f'GlobalPool_{block_id}')(inputs)
    return layers.Reshape((1, 1, net.shape[-1]), name=f'Reshape_{block_id}')(net)


def conv2d_block(
    inputs,
    filters: int,
    width_multiplier: float,
    min_depth: int,
    weight_decay: float,
    stddev: float,
    activation_name: str = 'relu6',
    use_biase: bool = False,
    normalization: bool = True,
    normalization_name: str = 'batch_norm',
    normalization_params: Mapping[str, Any] | None = None,
    use_explicit_padding: bool = False,
    kernel: int | tuple[int, int] = (3, 3),
    strides: int | tuple[int, int] = (1, 1),
    divisable: bool = False,
    block_id: int = 0,
    conv_block_id: int = 0,
    dilation_rate: int = 1,
):
    """A convolution, its norm and its activation: `Conv2d_{block_id}_{conv_block_id}`.

    Args:
      inputs: float32 [batch, height, width, channels].
      filters, width_multiplier, min_depth: the width, rounded to 8 where `divisable`, else
        truncated.
      weight_decay, stddev: of the kernel.
      use_biase, normalization, normalization_name, normalization_params: biases, and the norm.
      use_explicit_padding: pad independently of the image size (see `FixedPadding`).
      kernel, strides, dilation_rate: of the convolution; strides or dilation_rate must be 1.
      block_id, conv_block_id: place among all blocks, and among those of this kind.
    """
    prefix = f'Conv2d_{block_id}_{conv_block_id}'
    width = width_multiplier_op_divisible if divisable else width_multiplier_op
    net, padding = _padded(inputs, use_explicit_padding, kernel, f'{prefix}/FP', dilation_rate)
    net = _convolve(
        net,
        width(filters, width_multiplier, min_depth=min_depth),
        prefix,
        weight_decay,
        stddev,
        kernel_size=kernel,
        strides=strides,
        dilation_rate=dilation_rate,
        padding=padding,
        use_bias=use_biase,
    )
    if normalization:
        net = _normalize(net, normalization_name, normalization_params, prefix)
    return _activate(net, activation_name, prefix)


def _depthwise(net, name: str, stddev: float, decay: float | None, **arguments: Any):
    regularizer = None if decay is None else tf_keras.regularizers.l2(decay)
    return layers.DepthwiseConv2D(
        name=name,
        depthwise_initializer=get_initializer(stddev),
        depthwise_regularizer=regularizer,
        use_bias=False,
        **arguments,
    )(net)


def depthwise_conv2d_block(
    inputs,
    filters: int,
    width_multiplier: float,
    min_depth: int,
    weight_decay: float,
    stddev: float,
    activation_name: str = 'relu6',
    normalization_name: str = 'batch_norm',
    normalization_params: Mapping[str, Any] | None = None,
    dilation_rate: int = 1,
    regularize_depthwise: bool = False,
    use_explicit_padding: bool = False,
    kernel: int | tuple[int, int] = (3, 3),
    strides: int | tuple[int, int] = (1, 1),
    block_id: int = 1,
):
    """V1's block: a depthwise, then a 1 x 1 convolution, each with its norm and activation.

    Arguments are those of `conv2d_block`; `Conv2d_{block_id}/depthwise` and `/pointwise`.
    """
    prefix = f'Conv2d_{block_id}'
    net, padding = _padded(inputs, use_explicit_padding, kernel, f'{prefix}/FP', dilation_rate)
    net = _depthwise(
        net,
        f'{prefix}/depthwise',
        stddev,
        weight_decay if regularize_depthwise else None,
        kernel_size=kernel,
        strides=strides,
        dilation_rate=dilation_rate,
        padding=padding,
    )
    net = _normalize(net, normalization_name, normalization_params, f'{prefix}/depthwise')
    net = _activate(net, activation_name, f'{prefix}/depthwise')
    net = _convolve(
        net,
        width_multiplier_op(filters, width_multiplier, min_depth),
        f'{prefix}/pointwise',
        weight_decay,
        stddev,
        kernel_size=(1, 1),
        use_bias=False,
    )
    net = _normalize(net, normalization_name, normalization_params, f'{prefix}/pointwise')
    return _activate(net, activation_name, f'{prefix}/pointwise')


def se_block(
    inputs,
    weight_decay: float,
    stddev: float,
    prefix: str,
    squeeze_factor: int = 4,
    divisible_by: int = 8,
    inner_activation_name: str = 'relu',
    gating_activation_name: str = 'hard_sigmoid',
    squeeze_input_tensor=None,
):
    """Scales each channel by a gate computed from the pooled image (arXiv:1709.01507).

    Args:
      inputs: float32 [batch, height, width, channels], what is scaled.
      prefix: of the layers' names, before `/squeeze_excite`.
      squeeze_factor, divisible_by: the middle layer has channels / squeeze_factor, rounded.
      squeeze_input_tensor: what the gate is computed from; None is `inputs`.
    """
    prefix = f'{prefix.rstrip("/")}/squeeze_excite'
    channels = inputs.shape[-1]
    widths = {
        'squeeze': (make_divisible(channels / squeeze_factor, divisible_by), inner_activation_name),
        'excite': (channels, gating_activation_name),
    }
    net = inputs if squeeze_input_tensor is None else squeeze_input_tensor
    net = layers.GlobalAveragePooling2D(name=f'{prefix}/GlobalPool')(net)
    net = layers.Reshape((1, 1, net.shape[-1]), name=f'{prefix}/Reshape')(net)
    for step, (width, activation_name) in widths.items():
        name = f'{prefix}/{step}'
        net = _convolve(net, width, name, weight_decay, stddev, kernel_size=(1, 1))
        net = _activate(net, activation_name, name)
    return layers.Multiply(name=f'{prefix}/Mul')([inputs, net])


def inverted_res_block(
    inputs,
    filters: int,
    width_multiplier: float,
    min_depth: int,
    weight_decay: float,
    stddev: float,
    activation_name: str = 'relu6',
    depthwise_activation_name: str | None = None,
    normalization_name: str = 'batch_norm',
    normalization_params: Mapping[str, Any] | None = None,
    dilation_rate: int = 1,
    expansion_size: float = 6.0,
    regularize_depthwise: bool = False,
    use_explicit_padding: bool = False,
    depthwise: bool = True,
    residual: bool = True,
    squeeze_factor: int | None = None,
    kernel: int | tuple[int, int] = (3, 3),
    strides: int | tuple[int, int] = 1,
    block_id: int = 1,
):
    """V2's and V3's block: 1 x 1 expand, depthwise, 1 x 1 project, plus the input where it fits.

    The expand layer is left out where it would not widen.

    Args:
      expansion_size: factor on the input's channels.
      depthwise: False for one full convolution in place of expand and depthwise (EdgeTPU).
      residual: add the input where stride is 1 and the channels agree.
      squeeze_factor: of `se_block` before the projection, None for none.
      depthwise_activation_name: None for `activation_name`.
      kernel, strides, dilation_rate: of the depthwise or the full convolution.
      others: of `conv2d_block`; `expanded_conv_{block_id}`.
    """
    prefix = f'expanded_conv_{block_id}'
    decay: dict[str, Any] = {'weight_decay': weight_decay, 'stddev': stddev}
    norm = (normalization_name, normalization_params)
    spatial: dict[str, Any] = {
        'kernel_size': kernel,
        'strides': strides,
        'dilation_rate': dilation_rate,
    }
    pad = (use_explicit_padding, kernel, f'{prefix}/pad', dilation_rate)

    net = inputs
    num_inputs = inputs.shape[-1]
    # Without an expand layer nothing is rounded.
    expanded = expand_input_by_factor(num_inputs, expansion_size)
    if expansion_size > 1 and expanded > num_inputs:
        name = f'{prefix}/expand'
        shape: dict[str, Any] = {'kernel_size': (1, 1)}
        if not depthwise:
            net, padding = _padded(net, *pad)
            shape = {**spatial, 'padding': padding}
        net = _convolve(net, expanded, name, use_bias=False, **decay, **shape)
        net = _activate(_normalize(net, *norm, name), activation_name, name)
    if depthwise:
        name = f'{prefix}/depthwise'
        depthwise_decay = weight_decay if regularize_depthwise else None
        net, padding = _padded(net, *pad)
        net = _depthwise(net, name, stddev, depthwise_decay, padding=padding, **spatial)
        net = _normalize(net, *norm, name)
        net = _activate(net, depthwise_activation_name or activation_name, name)
    if squeeze_factor:
        net = se_block(net, prefix=prefix, squeeze_factor=squeeze_factor, **decay)

    name = f'{prefix}/project'
    width = width_multiplier_op_divisible(filters, width_multiplier, min_depth=min_depth)
    net = _convolve(net, width, name, kernel_size=(1, 1), use_bias=False, **decay)
    net = _normalize(net, *norm, name)
    if residual and _pair(strides) == (1, 1) and width == num_inputs:
        net = layers.Add(name=f'{prefix}/add')([net, inputs])
    return net


def _check(config: archs.MobileNetConfig) -> None:
    """UsageError for values that no network can have."""
    least = {'num_classes': 0, 'min_depth': 1}
    for name, limit in least.items():
        value = getattr(config, name)
        if value is not None and value < limit:
            raise errors.UsageError(f'{name} is {value}; it must be at least {limit}.')
    if not config.width_multiplier > 0:
        raise errors.UsageError(
            f'The width multiplier is {config.width_multiplier}; it must be above 0.'
        )
    if config.output_stride not in _OUTPUT_STRIDES:
        raise errors.UsageError(
            f'The output stride is {config.output_stride}; allowed are '
            f'{", ".join(map(str, _OUTPUT_STRIDES))}.'
        )
    if not 0 < config.dropout_keep_prob <= 1:
        raise errors.UsageError(
            f'dropout_keep_prob is {config.dropout_keep_prob}; it must be above 0 and at most 1.'
        )
    shape = config.input_shape
    if len(shape) != 3 or not shape[2] or any(side is not None and side < 1 for side in shape):
        raise errors.UsageError(
            f'The input shape is {shape}; it must be (height, width, channels), for instance '
            '(224, 224, 3), with None for an unknown height or width.'
        )
    kinds = [kind.value for kind in archs.BlockType]
    for block in config.blocks:
        if block.block_type not in kinds:
            raise errors.unknown_name('block_type', block.block_type, kinds)


def width_op(config: archs.MobileNetConfig) -> Callable[..., int]:
    """The network's rule for the widths of its layers."""
    return width_multiplier_op_divisible if config.rounds_widths else width_multiplier_op


def placed_blocks(
    config: archs.MobileNetConfig,
) -> Iterator[tuple[int, archs.MobileNetBlockConfig, dict[str, Any]]]:
    """(index, block, what its place in the network gives it: width, strides, dilation)."""
    strides = striding.Striding(config.output_stride)
    for index, block in enumerate(config.blocks):
        stride, rate = strides.next_layer(block.stride)
        last = index == len(config.blocks) - 1
        unshrunk = last and config.finegrain_classification_mode and config.width_multiplier < 1
        yield (
            index,
            block,
            {
                'filters': block.filters,
                'width_multiplier': 1.0 if unshrunk else config.width_multiplier,
                'strides': (stride, stride),
                'dilation_rate': 1 if _pair(block.kernel) == (1, 1) else rate,
                'kernel': block.kernel,
                'activation_name': block.activation_name,
                'block_id': index,
            },
        )


def mobilenet_base(inputs, config: archs.MobileNetConfig):
    """The blocks of a network, without pooling and classifier."""
    shared: dict[str, Any] = {
        'min_depth': config.min_depth,
        'weight_decay': config.weight_decay,
        'stddev': config.stddev,
        'normalization_name': config.normalization_name,
        'normalization_params': {
            'momentum': config.batch_norm_decay,
            'epsilon': config.batch_norm_epsilon,
            'center': True,
            'scale': True,
        },
        'use_explicit_padding': config.use_explicit_padding,
    }
    decayed: dict[str, Any] = {'regularize_depthwise': config.regularize_depthwise}
    net = inputs
    convolutions = 0
    for index, block, placed in placed_blocks(config):
        if block.block_type == archs.BlockType.GlobalPooling.value:
            net = global_pooling_block(net, block_id=index)
        elif block.block_type == archs.BlockType.Conv.value:
            net = conv2d_block(
                net,
                use_biase=block.use_biase,
                normalization=block.normalization,
                divisable=config.rounds_widths,
                conv_block_id=convolutions,
                **placed,
                **shared,
            )
            convolutions += 1
        elif block.block_type == archs.BlockType.DepSepConv.value:
            net = depthwise_conv2d_block(net, **placed, **shared, **decayed)
        else:
            net = inverted_res_block(
                net,
                expansion_size=block.expansion_size,
                squeeze_factor=block.squeeze_factor,
                depthwise=block.depthwise,
                residual=block.residual,
                **placed,
                **shared,
                **decayed,
            )
    return net


def mobilenet_head(inputs, config: archs.MobileNetConfig):
    """Pooling, dropout, classifier and softmax; without classes the pooled features.

    Returns:
      Probabilities [batch, classes], or [batch, height, width, classes] unless squeezed; or
      features [batch, 1, 1, channels].
    """
    if config.global_pool:
        net = layers.GlobalAveragePooling2D(name='top/GlobalPool')(inputs)
        net = layers.Reshape((1, 1, net.shape[-1]), name='top/Reshape')(net)
    else:
        window = reduced_kernel_size_for_small_input(inputs, _POOL_SIZE)
        # slim's stride, for maps of more than one window.
        net = layers.AveragePooling2D(window, strides=2, name='top/AvgPool')(inputs)
    if not config.num_classes:
        return net
    net = layers.Dropout(rate=1 - config.dropout_keep_prob, name='top/Dropout')(net)
    net = layers.Conv2D(config.num_classes, (1, 1), name='top/Conv2d_1x1_output')(net)
    if config.spatial_squeeze:
        if any(side not in (None, 1) for side in net.shape[1:3]):
            raise errors.UsageError(
                f'The logits are a map of {net.shape[1]} x {net.shape[2]}: give '
                'spatial_squeeze=False, or global_pool=True.'
            )
        net = layers.Reshape((config.num_classes,), name='top/SpatialSqueeze')(net)
    return Activation('softmax', name='top/Predictions')(net)


def mobilenet_model(config: archs.MobileNetConfig) -> tf_keras.Model:
    """The model of any configuration, with freshly initialised weights.

    Raises:
      UsageError: a value that no network can have, or a misspelt name.
    """
    _check(config)
    inputs = layers.Input(shape=tuple(config.input_shape), name='Input')
    outputs = mobilenet_head(mobilenet_base(inputs, config), config)
    return tf_keras.Model(inputs, outputs, name=config.name)


def logits_model(model: tf_keras.Model) -> tf_keras.Model:
    """The same layers and weights without the softmax at the end: logits for probabilities."""
    return tf_keras.Model(model.inputs, model.get_layer('top/Predictions').input, name=model.name)


def other_configuration(config: Any, wanted: str) -> errors.UsageError:
    """The error for a configuration that a network does not take."""
    if isinstance(config, type):
        return errors.UsageError(
            f'The configuration is the class {config.__name__} itself: give {config.__name__}()'
        )
    return errors.UsageError(
        f'The configuration is of {type(config).__name__}; this network takes {wanted}'
    )


def settled(
    config: Any, input_shape: Any, config_class: type[archs.MobileNetConfig]
) -> archs.MobileNetConfig:
    """The configuration that the arguments of a builder mean.

    Two forms are in use: `builder(config)`, and the older `builder(input_shape, config)`, both of
    them by position or by name. An `input_shape` stands over the configuration's.

    Raises:
      UsageError: a configuration of another network.
    """
    if isinstance(config, (tuple, list)) or isinstance(input_shape, archs.MobileNetConfig):
        config, input_shape = input_shape, config
    config = config_class() if config is None else config
    if not isinstance(config, config_class):
        raise other_configuration(config, f'a {config_class.__name__}')
    return config if input_shape is None else config.replace(input_shape=tuple(input_shape))
