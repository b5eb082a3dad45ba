"""The interpreter of the MobileNets V2 and V3: builds a network from its table of layers.

A network is a dictionary, `conv_defs`:

    spec       a list of `op(function, **params)`, one per layer, applied one after another
    defaults   {(function, ...): {argument: value}}: arg scopes around all layers
    overrides  optional, the same form, inside of `defaults`

`mobilenet_base` adds what the table does not say: width, output stride, padding, end points.
Papers: arXiv:1801.04381 (V2), arXiv:1905.02244 (V3).
"""

from __future__ import annotations

import contextlib
import functools
import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision, training_form
from nets.mobilenet import conv_blocks
from nets.striding import Striding
from slim import errors


@slim.add_arg_scope
def apply_activation(x, name=None, activation_fn=None):
    """`activation_fn(x, name=name)`; None returns `x` as it is."""
    return activation_fn(x, name=name) if activation_fn else x


@slim.add_arg_scope
def depth_multiplier(output_params, multiplier, divisible_by=8, min_depth=8, **unused_kwargs):
    """Scales `num_outputs` in `output_params`, in place, by `multiplier`.

    The result is a multiple of `divisible_by`, at least `min_depth`. Layers without `num_outputs`
    stay as they are.
    """
    if 'num_outputs' in output_params:
        output_params['num_outputs'] = conv_blocks.make_divisible(
            output_params['num_outputs'] * multiplier, divisible_by, min_depth
        )


class Op(NamedTuple):
    """One layer of a table; `params` stays a mutable dictionary, which users edit."""

    op: Callable[..., tf.Tensor]  # (net, **params) -> net
    params: dict[str, Any]
    multiplier_func: Callable[..., Any]  # (params, multiplier), scales params in place


def op(opfunc, multiplier_func=depth_multiplier, **params):
    """A layer of a table: `opfunc(net, **params)`, its width scaled by `multiplier_func`."""
    return Op(opfunc, params, multiplier_func)


class NoOpScope:
    """A context manager that does nothing."""

    def __enter__(self):
        return None

    def __exit__(self, exc_type, exc_value, traceback):
        return False


def wrapped_partial(func, *args, **kwargs):
    """`functools.partial` that keeps the function's name, docstring and `default_image_size`."""
    return functools.update_wrapper(functools.partial(func, *args, **kwargs), func)


def safe_arg_scope(funcs, **kwargs):
    """`slim.arg_scope(funcs, ...)` with the arguments that are not None; none left, no scope."""
    given = conv_blocks.given_arguments(**kwargs)
    return slim.arg_scope(funcs, **given) if given else NoOpScope()


@contextlib.contextmanager
def _arg_scopes(defaults: Mapping[tuple[Any, ...], Mapping[str, Any]]) -> Iterator[None]:
    """All arg scopes of a `defaults` or `overrides` table, later rows inside of earlier ones."""
    with contextlib.ExitStack() as stack:
        for functions, arguments in defaults.items():
            stack.enter_context(slim.arg_scope(functions, **arguments))
        yield


def _check_base_arguments(inputs, conv_defs, multiplier, final_endpoint, output_stride):
    checks.check_images(inputs)
    checks.check_depth_multiplier(multiplier)
    if output_stride not in (None, 1) and (output_stride <= 0 or output_stride % 2):
        raise errors.UsageError(
            f'The output stride is {output_stride}; it must be None, 1 or an even number.'
        )
    names = [f'layer_{number}' for number in range(1, len(conv_defs['spec']) + 1)]
    checks.check_final_endpoint(final_endpoint, names)


# Layers that pad inside, right before their spatial convolution, although they say a kernel size.
_BLOCKS = (
    conv_blocks.expanded_conv,
    conv_blocks.fused_conv,
    conv_blocks.split_separable_conv2d,
)


def _output_ops(graph: tf.Graph, start: int, layer_scopes: Mapping[str, str]):
    """(end point, tensor) of every op that is new since the graph had `start` ops, stands directly
    in a layer's scope and has a name ending with `output`."""
    for operation in graph.get_operations()[start:]:
        scope, name = posixpath.split(operation.name)
        if scope in layer_scopes and name.endswith('output'):
            yield f'{layer_scopes[scope]}/{name}', operation.outputs[0]


@slim.add_arg_scope
def mobilenet_base(
    inputs,
    conv_defs,
    multiplier=1.0,
    final_endpoint=None,
    output_stride=None,
    use_explicit_padding=False,
    scope=None,
    is_training=False,
):
    """Builds the layers of a table, without pooling and classifier.

    Args:
      inputs: float32 [batch, height, width, channels]; batch, height and width may be unknown.
      conv_defs: the table, see the module's docstring.
      multiplier: factor on the width of every layer, above 0.
      final_endpoint: the last layer to build, 'layer_1' ...; None builds all.
      output_stride: input size / output size at most; beyond it layers are dilated instead of
        strided. None, 1 or an even number; None leaves the strides as they are.
      use_explicit_padding: pad independently of the image size, so that a fully convolutional use
        gives the same values at the same places.
      scope: variable scope, or None for `Mobilenet`.
      is_training: of batch norm; None leaves it to the caller's arg scopes.

    Returns:
      (net, end_points): the last layer and a dictionary: `layer_N` for each layer, then
      `layer_N/NAME` for each op of the layer whose name ends with `output`.

    Raises:
      UsageError: an argument outside of what is said above; nothing was built then.
    """
    _check_base_arguments(inputs, conv_defs, multiplier, final_endpoint, output_stride)
    overrides = dict(conv_defs.get('overrides', {}))
    if use_explicit_padding:
        overrides[(slim.conv2d, slim.separable_conv2d)] = {'padding': 'VALID'}

    first_op = len(inputs.graph.get_operations())
    with (
        conv_blocks.block_scope(scope, 'Mobilenet'),
        training_form.form_scope(is_training, slim.batch_norm),
        _arg_scopes(conv_defs.get('defaults', {})),
        _arg_scopes(overrides),
    ):
        training_form.name_overruled(is_training)
        end_points = {}
        layer_scopes = {}
        striding = Striding(output_stride)
        net = inputs
        for number, layer in enumerate(conv_defs['spec'], start=1):
            params = dict(layer.params)
            layer.multiplier_func(params, multiplier)
            params['stride'], rate = striding.next_layer(params.get('stride', 1))
            kernel_size = params.get('kernel_size')
            convolves = 'num_outputs' in params  # A pooling layer is not dilated.
            if rate > 1 and convolves and (kernel_size is None or tuple(kernel_size) != (1, 1)):
                params['rate'] = rate
            if use_explicit_padding:
                if kernel_size is not None and layer.op not in _BLOCKS:
                    net = conv_blocks.fixed_padding(net, kernel_size, rate)
                elif convolves:
                    params['use_explicit_padding'] = True
            net = layer.op(net, **params)
            end_points[f'layer_{number}'] = net
            layer_scopes[posixpath.dirname(net.op.name)] = f'layer_{number}'
            if final_endpoint == f'layer_{number}':
                break
    end_points.update(_output_ops(net.graph, first_op, layer_scopes))
    return net, end_points


@slim.add_arg_scope
def mobilenet(
    inputs,
    num_classes=1001,
    prediction_fn=slim.softmax,
    reuse=None,
    scope='Mobilenet',
    base_only=False,
    use_reduce_mean_for_pooling=False,
    **mobilenet_args,
):
    """Builds a whole network: the layers of a table, global pooling, dropout, classifier.

    Inference mode is created by default; `training_scope` around makes it training.

    Args:
      inputs: float32 [batch, height, width, channels]; batch, height and width may be unknown.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      prediction_fn: function of (logits, name); None leaves `Predictions` away.
      reuse: whether to use existing variables (see `tf.variable_scope`).
      scope: variable scope.
      base_only: return what `mobilenet_base` returns.
      use_reduce_mean_for_pooling: see `global_pool`.
      **mobilenet_args: of `mobilenet_base`; `conv_defs` is required.

    Returns:
      (net, end_points): the logits, float32 [batch, num_classes]; or the pooled features, float32
      [batch, 1, 1, channels], without classes; or the last layer for `base_only`. Beside the end
      points of the base: `global_pool`, `Logits`, `Predictions`.

    Raises:
      UsageError: see `mobilenet_base`, or a negative `num_classes`; no variable was created then.
    """
    checks.check_images(inputs)
    checks.check_num_classes(num_classes)
    is_training = mobilenet_args.get('is_training', False)
    with tf.variable_scope(scope, 'Mobilenet', reuse=reuse) as variable_scope:
        net = tf.identity(inputs, name='input')
        net, end_points = mobilenet_base(net, scope=variable_scope, **mobilenet_args)
        if base_only:
            return net, end_points
        net = tf.identity(net, name='embedding')  # float32 [batch, height / 32, width / 32, depth]
        with tf.variable_scope('Logits'):
            net = global_pool(net, use_reduce_mean_for_pooling)
            end_points['global_pool'] = net
            if not num_classes:
                return net, end_points
            with training_form.form_scope(is_training, slim.dropout):
                net = slim.dropout(net, scope='Dropout')
            logits = slim.conv2d(
                full_precision.in_float32(net),
                num_classes,
                [1, 1],
                activation_fn=None,
                normalizer_fn=None,
                biases_initializer=tf.zeros_initializer(),
                scope='Conv2d_1c_1x1',
            )
            logits = tf.squeeze(logits, [1, 2])
            logits = tf.identity(logits, name='output')
        end_points['Logits'] = logits
        if prediction_fn:
            end_points['Predictions'] = prediction_fn(logits, 'Predictions')
    return logits, end_points


def global_pool(input_tensor, use_reduce_mean_for_pooling=False, pool_op=tf.nn.avg_pool2d):
    """Pools height and width to 1 x 1.

    Args:
      input_tensor: float32 [batch, height, width, channels].
      use_reduce_mean_for_pooling: average by a reduction, whatever `pool_op` says; some converters
        and devices handle it better than a pooling window as large as the image.
      pool_op: pooling function with a window; TensorFlow needs to know the window's size, so an
        image of unknown size is averaged by a reduction, to the same values.

    Returns:
      float32 [batch, 1, 1, channels].

    Raises:
      UsageError: another `pool_op` than the average, and an image of unknown size.
    """
    height, width = input_tensor.shape.as_list()[1:3]
    unknown_size = height is None or width is None
    if unknown_size and not use_reduce_mean_for_pooling and pool_op is not tf.nn.avg_pool2d:
        raise errors.UsageError(
            f"pool_op needs a known image size, not {input_tensor.shape}; set the images' shape."
        )
    if use_reduce_mean_for_pooling or unknown_size:
        return tf.reduce_mean(input_tensor, [1, 2], keepdims=True, name='ReduceMean')
    return pool_op(input_tensor, ksize=[1, height, width, 1], strides=[1, 1, 1, 1], padding='VALID')


def training_scope(
    is_training=True, weight_decay=4e-05, stddev=0.09, dropout_keep_prob=0.8, bn_decay=0.997
):
    """The arg scope of a MobileNet: `with slim.arg_scope(training_scope(...)): mobilenet(...)`.

    Args:
      is_training: of the networks, their batch norm and dropout. None leaves all of it to the arg
        scopes around: `slim.arg_scope([slim.batch_norm], is_training=...)`.
      weight_decay: L2 coefficient of the convolutions, except the depthwise ones: they have few
        weights, and decaying them costs accuracy (arXiv:1704.04861, section 3).
      stddev: of the truncated normal that weights start from; below 0 for Xavier's instead.
      dropout_keep_prob: share of the pooled features that is kept.
      bn_decay: decay of batch norm's moving averages, None for slim's own.

    Returns:
      An arg scope.
    """
    if stddev < 0:
        weights_initializer = slim.initializers.xavier_initializer()
    else:
        weights_initializer = tf.truncated_normal_initializer(stddev=stddev)
    convolutions = [slim.conv2d, slim.fully_connected, slim.separable_conv2d]
    with (
        slim.arg_scope(
            convolutions, weights_initializer=weights_initializer, normalizer_fn=slim.batch_norm
        ),
        # None as well, which is not what the networks default to.
        slim.arg_scope([mobilenet_base, mobilenet], is_training=is_training),
        safe_arg_scope([slim.batch_norm], is_training=is_training, decay=bn_decay),
        safe_arg_scope([slim.dropout], is_training=is_training, keep_prob=dropout_keep_prob),
        slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(weight_decay)),
        slim.arg_scope([slim.separable_conv2d], weights_regularizer=None),
    ):
        return slim.current_arg_scope()
