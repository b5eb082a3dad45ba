"""The cells of NASNet-A (arXiv:1707.07012, figure 4) and what they are made of.

A cell has two inputs, the outputs of the two cells before it. It combines pairs of its states, the
inputs first, into new states, and joins the states that are left over. Activations are float32
[batch, height, width, channels], or [batch, channels, height, width] for the data format NCHW; the
data format comes from an arg scope over the functions here and over slim's layers.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

import tensorflow.compat.v1 as tf

import slim
from slim import errors

arg_scope = slim.arg_scope

DATA_FORMAT_NCHW = 'NCHW'
DATA_FORMAT_NHWC = 'NHWC'
INVALID = 'null'
# Bound of what a cell adds up where activations are bounded: that of ReLU6, either sign.
CLIP_BY_VALUE_CAP = 6

_CHANNEL_AXIS = {DATA_FORMAT_NHWC: 3, DATA_FORMAT_NCHW: 1}
_SEPARABLE = re.compile(r'separable_(\d)x\1_(\d)')  # separable_5x5_2: two layers, each 5x5
_POOLING = re.compile(r'(avg|max)_pool_(\d)x\2')
_IDENTITY = 'none'


def calc_reduction_layers(num_cells, num_reduction_layers):
    """The numbers of the cells that a reduction comes before: evenly spread over `num_cells`."""
    return [
        int(number / (num_reduction_layers + 1) * num_cells)
        for number in range(1, num_reduction_layers + 1)
    ]


@slim.add_arg_scope
def get_channel_index(data_format=INVALID):
    """The axis of the channels: 3 for NHWC, 1 for NCHW; UsageError for others."""
    if data_format not in _CHANNEL_AXIS:
        raise errors.unknown_name('data format', data_format, _CHANNEL_AXIS)
    return _CHANNEL_AXIS[data_format]


@slim.add_arg_scope
def get_channel_dim(shape, data_format=INVALID):
    """The number of channels in a shape of four dimensions."""
    if len(shape) != 4:
        raise errors.UsageError(f'The shape {shape} should have four dimensions.')
    return int(shape[get_channel_index(data_format=data_format)])


@slim.add_arg_scope
def global_avg_pool(x, data_format=INVALID):
    """The average over height and width: float32 [batch, channels]."""
    return tf.reduce_mean(x, _image_axes(get_channel_index(data_format=data_format)))


def _image_axes(channel_axis):
    return [2, 3] if channel_axis == 1 else [1, 2]


def image_size(net):
    """Height and width, as far as they are known."""
    shape = net.shape.as_list()
    return [shape[axis] for axis in _image_axes(get_channel_index())]


def _projection(net, num_outputs, conv_scope, bn_scope, stride=1):
    """A linear 1x1 convolution with batch norm."""
    net = slim.conv2d(net, num_outputs, [1, 1], stride=stride, scope=conv_scope)
    return slim.batch_norm(net, scope=bn_scope)


@slim.add_arg_scope
def factorized_reduction(net, output_filters, stride, data_format=INVALID):
    """Shrinks the image without leaving out the pixels between the strides.

    Half of the channels come from the pixels of the grid, half from the pixels one down and to the
    right of them. An odd number has its larger half in the second path.

    Args:
      net: the activations.
      output_filters: channels of the result.
      stride: 1 keeps the size: one 1x1 convolution.
      data_format: NHWC or NCHW.

    Returns:
      float32, height and width divided by the stride, rounded up.
    """
    channel_axis = get_channel_index(data_format=data_format)
    axes = _image_axes(channel_axis)
    with slim.arg_scope([slim.conv2d, slim.batch_norm], data_format=data_format):
        if stride == 1:
            return _projection(net, output_filters, 'path_conv', 'path_bn')
        strides = [stride if axis in axes else 1 for axis in range(4)]
        pads = [[0, 1] if axis in axes else [0, 0] for axis in range(4)]
        window = [slice(1 if axis in axes else 0, None) for axis in range(4)]
        shifted = tf.pad(net, pads)[window]
        half = output_filters // 2
        paths = []
        for number, path, width in ((1, net, half), (2, shifted, output_filters - half)):
            path = tf.nn.avg_pool2d(path, [1, 1, 1, 1], strides, 'VALID', data_format=data_format)
            paths.append(slim.conv2d(path, width, [1, 1], scope=f'path{number}_conv'))
        net = tf.concat(paths, axis=channel_axis)
        return slim.batch_norm(net, scope='final_path_bn')


@slim.add_arg_scope
def drop_path(net, keep_prob, is_training=True):
    """Zeroes whole examples of a batch, each with probability 1 - keep_prob.

    The others are divided by keep_prob, so that the expectation stays. Not training, or where
    keep_prob is 1, the values are those of `net`.
    """
    if not is_training:
        return net
    draws = tf.random_uniform([tf.shape(net)[0], 1, 1, 1])
    return net * tf.cast(tf.floor(keep_prob + draws) / keep_prob, net.dtype)


def global_step():
    """The graph's global step, created under its usual name, whatever the scope, if need be."""
    root = tf.VariableScope(reuse=tf.AUTO_REUSE, use_resource=tf.resource_variables_enabled())
    with tf.variable_scope(root, auxiliary_name_scope=False):
        return tf.train.get_or_create_global_step()


class CellTable(NamedTuple):
    """What a cell computes, as NasNetABaseCell takes it.

    The states are numbered: 0 is the cell's input, 1 the previous cell's, 2 and up are the sums of
    the pairs of operations, in their order.
    """

    operations: list[str]  # two for each sum
    used_hiddenstates: list[int]  # for each state: 1 if the cell's output leaves it out
    hiddenstate_indices: list[int]  # for each operation: the state that it is applied to


def cell_table(*pairs, output: Collection[int]) -> CellTable:
    """The table of rows `(operation, state, operation, state)`; `output`: the states to join."""
    return CellTable(
        operations=[operation for pair in pairs for operation in pair[::2]],
        used_hiddenstates=[int(state not in output) for state in range(2 + len(pairs))],
        hiddenstate_indices=[state for pair in pairs for state in pair[1::2]],
    )


# Figure 4 of the paper. The published cells also join states that a sum has used: sic.
_NORMAL_CELL = cell_table(
    ('separable_5x5_2', 0, 'separable_3x3_2', 1),
    ('separable_5x5_2', 1, 'separable_3x3_2', 1),
    ('avg_pool_3x3', 0, 'none', 1),
    ('avg_pool_3x3', 1, 'avg_pool_3x3', 1),
    ('separable_3x3_2', 0, 'none', 0),
    output=(1, 2, 3, 4, 5, 6),
)
_REDUCTION_CELL = cell_table(
    ('separable_5x5_2', 0, 'separable_7x7_2', 1),
    ('max_pool_3x3', 0, 'separable_7x7_2', 1),
    ('avg_pool_3x3', 0, 'separable_5x5_2', 1),
    ('none', 3, 'avg_pool_3x3', 2),
    ('separable_3x3_2', 2, 'max_pool_3x3', 0),
    output=(3, 4, 5, 6),
)


class NasNetABaseCell:
    """Builds a cell from its table: `cell(net, scope='cell_0', prev_layer=earlier_net)`.

    Args:
      num_conv_filters: width of every state of a cell whose `filter_scaling` is 1.
      operations, used_hiddenstates, hiddenstate_indices: see `CellTable`.
      drop_path_keep_prob: share of the paths that the last cell keeps at the end of the training;
        1.0 for no drop path.
      total_num_cells: cells of the whole network.
      total_training_steps: steps until `drop_path_keep_prob` is reached.
      use_bounded_activation: ReLU6 in place of ReLU, also before pools and after sums, and what is
        added up clipped to +-CLIP_BY_VALUE_CAP: every value has a known range, for quantization.

    Raises:
      UsageError: an operation that does not exist.
    """

    def __init__(
        self,
        num_conv_filters,
        operations,
        used_hiddenstates,
        hiddenstate_indices,
        drop_path_keep_prob,
        total_num_cells,
        total_training_steps,
        use_bounded_activation=False,
    ):
        for operation in operations:
            known = (_SEPARABLE.fullmatch(operation), _POOLING.fullmatch(operation))
            if operation != _IDENTITY and not any(known):
                examples = ['separable_3x3_2', 'avg_pool_3x3', 'max_pool_3x3', _IDENTITY]
                raise errors.unknown_name('operation', operation, examples)
        steps = list(zip(operations, hiddenstate_indices, strict=True))
        self._pairs = list(zip(steps[::2], steps[1::2], strict=True))
        self._used_hiddenstates = used_hiddenstates
        self._num_conv_filters = num_conv_filters
        self._drop_path_keep_prob = drop_path_keep_prob
        self._total_num_cells = total_num_cells
        self._total_training_steps = total_training_steps
        self._bounded = use_bounded_activation
        self._activation = tf.nn.relu6 if use_bounded_activation else tf.nn.relu

    def __call__(
        self,
        net,
        scope=None,
        filter_scaling=1,
        stride=1,
        prev_layer=None,
        cell_num=-1,
        current_step=None,
    ):
        """Builds one cell.

        Args:
          net: output of the cell before.
          scope: variable scope.
          filter_scaling: factor on the width of the cell.
          stride: of the operations on the cell's two inputs.
          prev_layer: output of the cell before that, of the size of `net` or twice it; None for
            `net` once more.
          cell_num: place of the cell in the network, from 0; later cells drop more paths.
          current_step: step of the training, for drop path; None for the graph's global step.

        Returns:
          float32: height and width divided by the stride, and `num_conv_filters * filter_scaling`
          channels for each state that the output joins.
        """
        num_filters = int(self._num_conv_filters * filter_scaling)
        with tf.variable_scope(scope, 'cell'):
            keep_prob = self._keep_prob(cell_num, current_step)
            previous = self._match_previous(prev_layer, net, num_filters)
            net = _projection(self._activation(net), num_filters, '1x1', 'beginning_bn')
            states = [net, previous]
            for number, pair in enumerate(self._pairs):
                with tf.variable_scope(f'comb_iter_{number}'):
                    paths = []
                    for side, (operation, state) in zip(('left', 'right'), pair, strict=True):
                        with tf.variable_scope(side):
                            path = self._apply(
                                operation, states[state], num_filters, stride if state < 2 else 1
                            )
                            if operation != _IDENTITY and keep_prob is not None:
                                path = drop_path(path, keep_prob)
                            paths.append(path)
                    with tf.variable_scope('combine'):
                        states.append(self._bound(paths[0] + paths[1]))
            with tf.variable_scope('cell_output'):
                return self._join(states)

    def _bound(self, net):
        return tf.nn.relu6(net) if self._bounded else net

    def _clip(self, net):
        if not self._bounded:
            return net
        return tf.clip_by_value(net, -CLIP_BY_VALUE_CAP, CLIP_BY_VALUE_CAP)

    def _keep_prob(self, cell_num, current_step):
        """float32 scalar: share of the paths to keep, less with depth and time; None for all."""
        if self._drop_path_keep_prob >= 1.0:
            return None
        depth = (cell_num + 1) / self._total_num_cells
        step = tf.cast(global_step() if current_step is None else current_step, tf.float32)
        progress = tf.minimum(1.0, step / self._total_training_steps)
        return 1.0 - progress * depth * (1.0 - self._drop_path_keep_prob)

    def _match_previous(self, previous, net, num_filters):
        """The second input, in the size of the first and in the width of the cell."""
        if previous is None:
            return net
        if image_size(previous) != image_size(net):
            return factorized_reduction(self._activation(previous), num_filters, stride=2)
        if get_channel_dim(previous.shape) != num_filters:
            return _projection(self._activation(previous), num_filters, 'prev_1x1', 'prev_bn')
        return previous

    def _apply(self, operation, net, num_filters, stride):
        """One operation, in the width of the cell."""
        separable, pooling = _SEPARABLE.fullmatch(operation), _POOLING.fullmatch(operation)
        if separable:
            return self._separable(net, num_filters, stride, *map(int, separable.groups()))
        other_width = get_channel_dim(net.shape) != num_filters
        if pooling:
            kind, side = pooling.groups()
            pool = {'avg': slim.avg_pool2d, 'max': slim.max_pool2d}[kind]
            net = pool(self._bound(net), [int(side)] * 2, stride=stride, padding='SAME')
            if other_width:
                net = self._clip(_projection(net, num_filters, '1x1', 'bn_1'))
            return net
        if other_width or stride > 1:
            net = _projection(self._activation(net), num_filters, '1x1', 'bn_1', stride)
            return self._clip(net)
        return self._bound(net)

    def _separable(self, net, num_filters, stride, side, num_layers):
        for number in range(1, num_layers + 1):
            net = slim.separable_conv2d(
                self._activation(net),
                num_filters,
                [side, side],
                depth_multiplier=1,
                stride=stride if number == 1 else 1,
                scope=f'separable_{side}x{side}_{number}',
            )
            net = slim.batch_norm(net, scope=f'bn_sep_{side}x{side}_{number}')
        return self._clip(net)

    def _join(self, states):
        """The states of the output, in the size and width of the last one, side by side."""
        size, width = image_size(states[-1]), get_channel_dim(states[-1].shape)
        joined = []
        for number, (net, used) in enumerate(zip(states, self._used_hiddenstates, strict=True)):
            if used:
                continue
            shrinks = image_size(net) != size
            if shrinks or get_channel_dim(net.shape) != width:
                with tf.variable_scope(f'reduction_{number}'):
                    net = factorized_reduction(net, width, stride=2 if shrinks else 1)
            joined.append(net)
        return tf.concat(joined, axis=get_channel_index())


class NasNetANormalCell(NasNetABaseCell):
    """The cell of NASNet-A that keeps the size; for arguments see `NasNetABaseCell`."""

    def __init__(
        self,
        num_conv_filters,
        drop_path_keep_prob,
        total_num_cells,
        total_training_steps,
        use_bounded_activation=False,
    ):
        super().__init__(
            num_conv_filters,
            *_NORMAL_CELL,
            drop_path_keep_prob,
            total_num_cells,
            total_training_steps,
            use_bounded_activation,
        )


class NasNetAReductionCell(NasNetABaseCell):
    """The cell of NASNet-A that halves the size; for arguments see `NasNetABaseCell`."""

    def __init__(
        self,
        num_conv_filters,
        drop_path_keep_prob,
        total_num_cells,
        total_training_steps,
        use_bounded_activation=False,
    ):
        super().__init__(
            num_conv_filters,
            *_REDUCTION_CELL,
            drop_path_keep_prob,
            total_num_cells,
            total_training_steps,
            use_bounded_activation,
        )
