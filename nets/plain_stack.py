"""Tables of layers, one after the other: what AlexNet, OverFeat, VGG, LeNet and CIFAR's net share.

`run_layers` interprets a table. `build_imagenet_stack` adds what the networks for ImageNet have in
common: fully connected layers as convolutions, so that a larger image gives a map of logits.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision, training_form
from slim import errors

trunc_normal = functools.partial(tf.truncated_normal_initializer, 0.0)  # of a standard deviation


class Layer(NamedTuple):
    """A row: `function(net, *args, scope=scope, **kwargs)`."""

    scope: str
    function: Callable[..., tf.Tensor]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def layer(scope: str, function: Callable[..., tf.Tensor], *args: Any, **kwargs: Any) -> Layer:
    return Layer(scope, function, args, kwargs)


def run_layers(net: tf.Tensor, layers: Iterable[Layer]) -> dict[str, tf.Tensor]:
    """Every layer's output by its scope, in order; the last one is the result."""
    outputs = {}
    for row in layers:
        net = row.function(net, *row.args, scope=row.scope, **row.kwargs)
        outputs[row.scope] = net
    return outputs


def check_flattened(images: tf.Tensor, min_size: int) -> None:
    """`checks.check_images`, and UsageError unless height and width are known.

    A fully connected layer has a weight for every pixel.
    """
    checks.check_images(images, min_size=min_size)
    if None in images.shape.as_list()[1:3]:
        raise errors.UsageError(
            f'The images have shape {images.shape}; this network needs to know height and width.'
        )


@dataclasses.dataclass(frozen=True)
class ImagenetStack:
    """Convolutions that shrink the image 32 times, then fc6 over all that is left, fc7 and fc8."""

    name: str
    layers: tuple[Layer, ...]
    fc6: tuple[int, int]  # channels, and the kernel's side: the last pool at the published size
    min_size: Mapping[str, int]  # pixels, for each padding of fc6
    fc_arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of fc6 to fc8
    fc8_arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_STRIDE = 32  # pixels between neighbours in the map of logits


def build_imagenet_stack(
    stack: ImagenetStack,
    inputs: tf.Tensor,
    num_classes: int | None,
    is_training: bool,
    dropout_keep_prob: float,
    spatial_squeeze: bool,
    scope: Any,
    global_pool: bool,
    fc_conv_padding: str = 'VALID',
    reuse: bool | None = None,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds a network of this kind; arguments and result as of `vgg.vgg_16`."""
    if fc_conv_padding not in stack.min_size:
        raise errors.unknown_name('fc_conv_padding', fc_conv_padding, stack.min_size)
    checks.check_num_classes(num_classes)
    min_size = stack.min_size[fc_conv_padding]
    checks.check_images(inputs, min_size=min_size)
    if num_classes and spatial_squeeze and not global_pool:
        checks.check_one_place(*inputs.shape[1:3].as_list(), min_size + _STRIDE - 1)

    with tf.variable_scope(scope, stack.name, [inputs], reuse=reuse) as variable_scope:
        collection = f'{variable_scope.original_name_scope}_end_points'
        dropout = functools.partial(slim.dropout, keep_prob=dropout_keep_prob)
        with slim.arg_scope([slim.conv2d, slim.max_pool2d], outputs_collections=collection):
            *_, net = run_layers(inputs, stack.layers).values()
            with (
                slim.arg_scope([slim.conv2d], **stack.fc_arguments),
                training_form.form_scope(is_training, slim.dropout),
            ):
                channels, side = stack.fc6
                net = slim.conv2d(net, channels, [side, side], padding=fc_conv_padding, scope='fc6')
                net = dropout(net, scope='dropout6')
                net = slim.conv2d(net, 4096, [1, 1], scope='fc7')
                end_points = slim.utils.convert_collection_to_dict(collection)
                if global_pool:
                    net = tf.reduce_mean(net, [1, 2], keepdims=True, name='global_pool')
                    end_points['global_pool'] = net
                if not num_classes:
                    return net, end_points
                net = dropout(net, scope='dropout7')
                net = slim.conv2d(
                    full_precision.in_float32(net),
                    num_classes,
                    [1, 1],
                    activation_fn=None,
                    normalizer_fn=None,
                    scope='fc8',
                    **stack.fc8_arguments,
                )
        if spatial_squeeze:
            net = tf.squeeze(net, [1, 2], name='fc8/squeezed')
        end_points[f'{variable_scope.name}/fc8'] = net
    return net, end_points


def imagenet_arg_scope(weight_decay: float, bias: float = 0.0) -> dict[str, Any]:
    """The arg scope of an ImageNet stack; `bias` is what the biases start from."""
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            activation_fn=tf.nn.relu,
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_initializer=tf.constant_initializer(bias),
        ),
        slim.arg_scope([slim.conv2d], padding='SAME') as scope,
    ):
        return scope
