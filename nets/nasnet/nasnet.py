"""NASNet-A: a network of cells whose inside was found by search on CIFAR-10.

Zoph, Vasudevan, Shlens, Le, CVPR 2018, arXiv:1707.07012. Counted without the auxiliary head, which
is there in training only; variables with batch norm's statistics:

    network          cells   images   variables   multiply-adds
    nasnet_large      6 @ 4032    331    88,953,851    23,783 million
    nasnet_mobile     4 @ 1056    224     5,327,773       564 million
    nasnet_cifar      6 @ 768      32     3,383,786       544 million

    with slim.arg_scope(nasnet.nasnet_large_arg_scope()):
        logits, end_points = nasnet.build_nasnet_large(images, num_classes=1001)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import slim
from nets import checks, full_precision, training_form
from nets.nasnet import nasnet_utils
from nets.nasnet.hparams import HParams
from nets.network import Network
from slim import errors

arg_scope = slim.arg_scope

SHARED_SETTINGS = {
    'filter_scaling_rate': 2.0,  # factor on the width of the cells at each reduction
    'num_reduction_layers': 2,
    'use_aux_head': 1,  # in training
    'data_format': 'NHWC',  # of the layers; the images are NHWC always
    'use_bounded_activation': False,  # see NasNetABaseCell
}


def cifar_config():
    """The settings of NASNet-A (6 @ 768), section 4.1 of the paper."""
    return HParams(
        **SHARED_SETTINGS,
        stem_multiplier=3.0,
        num_cells=18,
        num_conv_filters=32,
        skip_reduction_layer_input=0,
        drop_path_keep_prob=0.6,
        dense_dropout_keep_prob=1.0,
        total_training_steps=937500,  # 600 epochs of 50,000 images, 32 at a time
    )


def mobile_imagenet_config():
    """The settings of NASNet-A (4 @ 1056), section 4.2 of the paper."""
    return HParams(
        **SHARED_SETTINGS,
        stem_multiplier=1.0,
        num_cells=12,
        num_conv_filters=44,
        skip_reduction_layer_input=0,
        drop_path_keep_prob=1.0,
        dense_dropout_keep_prob=0.5,
        total_training_steps=250000,
    )


def large_imagenet_config():
    """The settings of NASNet-A (6 @ 4032), section 4.2 of the paper."""
    return HParams(
        **SHARED_SETTINGS,
        stem_multiplier=3.0,
        num_cells=18,
        num_conv_filters=168,
        skip_reduction_layer_input=1,
        drop_path_keep_prob=0.7,
        dense_dropout_keep_prob=0.5,
        total_training_steps=250000,
    )


class Cell(NamedTuple):
    """One row of a network: a cell and what it is called with."""

    name: str  # of its end point and, in lower case, of its scope
    build: nasnet_utils.NasNetABaseCell
    filter_scaling: float
    stride: int = 1
    previous: int = -2  # its second input, counted from the end of the outputs so far


class Stem(NamedTuple):
    """What comes before the cells."""

    build: Callable[..., list[Any]]  # (images, hparams, current_step) -> outputs for the cells
    # Pixels. Below, a reduction would meet a single pixel, and the cell after it, seeing no change
    # of size, would have other variables.
    min_size: int
    min_size_with_aux_head: int  # which pools windows of 5x5


def _cifar_stem(images, hparams, current_step):
    del current_step
    net = slim.conv2d(
        images,
        int(hparams.num_conv_filters * hparams.stem_multiplier),
        [3, 3],
        scope='l1_stem_3x3',
    )
    return [None, slim.batch_norm(net, scope='l1_stem_bn')]


CIFAR_STEM = Stem(_cifar_stem, min_size=3, min_size_with_aux_head=9)


def imagenet_stem(cell):
    """A strided convolution, then two cells of stride 2: images become 1/8 of their size."""

    def build(images, hparams, current_step):
        net = slim.conv2d(
            images,
            int(32 * hparams.stem_multiplier),
            [3, 3],
            stride=2,
            padding='VALID',
            scope='conv0',
        )
        outputs = [None, slim.batch_norm(net, scope='conv0_bn')]
        for number in range(2):
            scaling = hparams.filter_scaling_rate ** (number - 2)
            row = Cell(f'Cell_stem_{number}', cell, scaling, stride=2)
            outputs.append(_build_cell(row, outputs, current_step))
        return outputs

    return Stem(build, min_size=19, min_size_with_aux_head=67)


def _build_cell(cell, outputs, current_step):
    return cell.build(
        outputs[-1],
        scope=cell.name.lower(),
        filter_scaling=cell.filter_scaling,
        stride=cell.stride,
        prev_layer=outputs[cell.previous],
        cell_num=len(outputs) - 2,
        current_step=current_step,
    )


def reduction_indices(hparams):
    """The numbers of the cells that shrink the image, or that a reduction cell comes before."""
    return nasnet_utils.calc_reduction_layers(hparams.num_cells, hparams.num_reduction_layers)


def _cells(normal_cell, reduction_cell, hparams):
    """The rows of a NASNet."""
    reductions = reduction_indices(hparams)
    scaling = 1.0
    cells = []
    for number in range(hparams.num_cells):
        previous = -2
        if number in reductions:
            scaling *= hparams.filter_scaling_rate
            name = f'Reduction_Cell_{reductions.index(number)}'
            cells.append(Cell(name, reduction_cell, scaling, stride=2))
            if hparams.skip_reduction_layer_input:
                previous = -3  # what the reduction cell had; its first input is skipped
        cells.append(Cell(f'Cell_{number}', normal_cell, scaling, previous=previous))
    return cells


def _aux_head(net, num_classes, activation_fn, number):
    """The auxiliary classifier of Inception: float32 [batch, num_classes]."""
    with tf.variable_scope(f'aux_{number}'):
        net = activation_fn(net)
        with tf.variable_scope('aux_logits'):
            net = slim.avg_pool2d(net, [5, 5], stride=3, padding='VALID')
            net = slim.conv2d(net, 128, [1, 1], scope='proj')
            net = activation_fn(slim.batch_norm(net, scope='aux_bn0'))
            net = slim.conv2d(net, 768, nasnet_utils.image_size(net), padding='VALID')
            net = activation_fn(slim.batch_norm(net, scope='aux_bn1'))
            net = full_precision.in_float32(net)
            return slim.fully_connected(slim.flatten(net), num_classes)


def _layers(images, stem, cells, hparams, num_classes, aux_cell, current_step):
    """Builds the network piece by piece: yields every end point, in order, when it is built."""
    activation_fn = tf.nn.relu6 if hparams.use_bounded_activation else tf.nn.relu
    outputs = stem.build(images, hparams, current_step)
    yield 'Stem', outputs[-1]
    for cell in cells:
        net = _build_cell(cell, outputs, current_step)
        outputs.append(net)
        yield cell.name, net
        if cell.name == aux_cell:
            number = aux_cell.removeprefix('Cell_')
            yield 'AuxLogits', _aux_head(net, num_classes, activation_fn, number)
    with tf.variable_scope('final_layer'):
        net = nasnet_utils.global_avg_pool(activation_fn(outputs[-1]))
        yield 'global_pool', net
        if num_classes:
            net = slim.dropout(net, keep_prob=hparams.dense_dropout_keep_prob, scope='dropout')
            logits = slim.fully_connected(full_precision.in_float32(net), num_classes)
            yield 'Logits', logits
            yield 'Predictions', tf.nn.softmax(logits, name='predictions')


def _aux_cell(hparams, final_endpoint, names):
    """The end point that the auxiliary head is on, the last before the second reduction; None
    without that, or if the network ends before."""
    reductions = reduction_indices(hparams)
    if not hparams.use_aux_head or len(reductions) < 2:
        return None
    name = f'Cell_{reductions[1] - 1}'
    ends_before = final_endpoint and names.index(final_endpoint) <= names.index(name)
    return None if ends_before else name


def build_network(
    images,
    stem,
    cells,
    hparams,
    num_classes,
    is_training,
    final_endpoint=None,
    current_step=None,
):
    """Builds a network from its rows.

    Args:
      stem: `CIFAR_STEM` or `imagenet_stem(cell)`.
      cells: rows of `Cell`.
      hparams: the settings.
      images, num_classes, is_training, final_endpoint, current_step: see `build_nasnet_large`.

    Returns:
      (net, end_points), see `build_nasnet_large`.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    names = ['Stem', *(cell.name for cell in cells), 'global_pool', 'Logits', 'Predictions']
    checks.check_final_endpoint(final_endpoint, names)
    checks.check_num_classes(num_classes)
    aux_cell = None
    if is_training and num_classes:
        aux_cell = _aux_cell(hparams, final_endpoint, names)
    checks.check_images(images, min_size=stem.min_size_with_aux_head if aux_cell else stem.min_size)
    if None in images.shape.as_list()[1:3]:
        raise errors.UsageError(
            f'The images have shape {images.shape}; a NASNet needs to know height and width.'
        )
    if nasnet_utils.get_channel_index(data_format=hparams.data_format) == 1:
        images = tf.transpose(images, [0, 3, 1, 2])

    end_points = {}
    with (
        training_form.form_scope(
            is_training, slim.batch_norm, slim.dropout, nasnet_utils.drop_path
        ),
        slim.arg_scope(_FORMATTED_LAYERS, data_format=hparams.data_format),
        # Closed, an unfinished generator leaves the variable scope that it is in.
        contextlib.closing(
            _layers(images, stem, cells, hparams, num_classes, aux_cell, current_step)
        ) as layers,
    ):
        for name, net in layers:
            end_points[name] = net
            if name == final_endpoint:
                return net, end_points
    return end_points.get('Logits', net), end_points


_FORMATTED_LAYERS = (
    slim.avg_pool2d,
    slim.max_pool2d,
    slim.conv2d,
    slim.separable_conv2d,
    slim.batch_norm,
    nasnet_utils.factorized_reduction,
    nasnet_utils.global_avg_pool,
    nasnet_utils.get_channel_index,
    nasnet_utils.get_channel_dim,
)


def cell_arguments(hparams, is_training, total_num_cells):
    """The arguments that all cells of a network share."""
    return {
        'num_conv_filters': hparams.num_conv_filters,
        'drop_path_keep_prob': hparams.drop_path_keep_prob if is_training else 1.0,
        'total_num_cells': total_num_cells,
        'total_training_steps': hparams.total_training_steps,
        'use_bounded_activation': hparams.use_bounded_activation,
    }


def _build_nasnet(images, num_classes, is_training, final_endpoint, config, current_step, imagenet):
    num_stem_cells = 2 if imagenet else 0
    total_num_cells = config.num_cells + config.num_reduction_layers + num_stem_cells
    arguments = cell_arguments(config, is_training, total_num_cells)
    normal_cell = nasnet_utils.NasNetANormalCell(**arguments)
    reduction_cell = nasnet_utils.NasNetAReductionCell(**arguments)
    return build_network(
        images,
        imagenet_stem(reduction_cell) if imagenet else CIFAR_STEM,
        _cells(normal_cell, reduction_cell, config),
        config,
        num_classes,
        is_training,
        final_endpoint,
        current_step,
    )


def build_nasnet_cifar(images, num_classes, is_training=True, config=None, current_step=None):
    """Builds NASNet-A (6 @ 768) for images of 32 x 32 pixels.

    Arguments and result are those of `build_nasnet_large`; `config` is `cifar_config()` if None.
    """
    config = cifar_config() if config is None else config
    return _build_nasnet(
        images, num_classes, is_training, None, config, current_step, imagenet=False
    )


build_nasnet_cifar.default_image_size = 32


def build_nasnet_mobile(
    images, num_classes, is_training=True, final_endpoint=None, config=None, current_step=None
):
    """Builds NASNet-A (4 @ 1056).

    Arguments and result are those of `build_nasnet_large`; `config` is `mobile_imagenet_config()`
    if None.
    """
    config = mobile_imagenet_config() if config is None else config
    return _build_nasnet(
        images, num_classes, is_training, final_endpoint, config, current_step, imagenet=True
    )


build_nasnet_mobile.default_image_size = 224


def build_nasnet_large(
    images, num_classes, is_training=True, final_endpoint=None, config=None, current_step=None
):
    """Builds NASNet-A (6 @ 4032).

    Args:
      images: float32 [batch, height, width, channels], -1..1, also where `config.data_format` is
        NCHW; the batch may be unknown. At least 19 pixels per side (3 for CIFAR); 67 (9) with the
        auxiliary head.
      num_classes: width of the logits; 0 or None ends the network with the pooled features.
      is_training: whether dropout and drop path drop, batch norm uses and updates batch statistics,
        and the auxiliary head is built. None leaves dropout and batch norm to the caller's arg
        scopes, and builds neither drop path nor auxiliary head.
      final_endpoint: the last end point to build, or None.
      config: the settings, `large_imagenet_config()` if None.
      current_step: step of the training, which drop path follows; None for the graph's global step,
        which is then created if need be.

    Returns:
      (net, end_points): the logits, float32 [batch, num_classes], or the pooled features, float32
      [batch, channels], or the final end point; and a dictionary of `Stem`, `Cell_0` ...,
      `Reduction_Cell_0` ..., `AuxLogits`, `global_pool`, `Logits`, `Predictions` as built.

    Raises:
      UsageError: bad arguments; no variable was created then.
    """
    config = large_imagenet_config() if config is None else config
    return _build_nasnet(
        images, num_classes, is_training, final_endpoint, config, current_step, imagenet=True
    )


build_nasnet_large.default_image_size = 331


def cells_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon):
    """An arg scope for networks of cells.

    Args:
      weight_decay: L2 coefficient of all weights.
      batch_norm_decay: decay of batch norm's moving averages.
      batch_norm_epsilon: what batch norm adds to the variance.
    """
    convolutions = [slim.conv2d, slim.separable_conv2d]
    with (
        slim.arg_scope(
            [slim.fully_connected, *convolutions],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            weights_initializer=slim.variance_scaling_initializer(mode='FAN_OUT'),
            activation_fn=None,
        ),
        slim.arg_scope([slim.fully_connected], scope='FC'),
        slim.arg_scope(convolutions, biases_initializer=None),
        slim.arg_scope(
            [slim.batch_norm],
            decay=batch_norm_decay,
            epsilon=batch_norm_epsilon,
            scale=True,
            fused=True,
        ) as scope,
    ):
        return scope


def nasnet_cifar_arg_scope(weight_decay=5e-4, batch_norm_decay=0.9, batch_norm_epsilon=1e-5):
    """The arg scope of `build_nasnet_cifar`; see `cells_arg_scope`."""
    return cells_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_mobile_arg_scope(weight_decay=4e-5, batch_norm_decay=0.9997, batch_norm_epsilon=1e-3):
    """The arg scope of `build_nasnet_mobile`; see `cells_arg_scope`."""
    return cells_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_large_arg_scope(weight_decay=5e-5, batch_norm_decay=0.9997, batch_norm_epsilon=1e-3):
    """The arg scope of `build_nasnet_large`; see `cells_arg_scope`."""
    return cells_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


NETWORKS = (
    Network('nasnet_cifar', build_nasnet_cifar, nasnet_cifar_arg_scope, 'batch_norm_decay'),
    Network('nasnet_mobile', build_nasnet_mobile, nasnet_mobile_arg_scope, 'batch_norm_decay'),
    Network('nasnet_large', build_nasnet_large, nasnet_large_arg_scope, 'batch_norm_decay'),
)
