"""Rounding, padding and the blocks of the MobileNets."""

from __future__ import annotations

import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets.mobilenet import conv_blocks

pytestmark = pytest.mark.usefixtures('graph')


def _images(channels: int = 16, size: int = 8) -> tf.Tensor:
    return tf.placeholder(tf.float32, [2, size, size, channels])


def _weights() -> dict[str, list[int]]:
    return {
        variable.op.name: variable.shape.as_list()
        for variable in tf.trainable_variables()
        if variable.op.name.endswith('weights')
    }


@pytest.mark.parametrize(
    ('value', 'divisor', 'min_value', 'expected'),
    [
        (32, 8, None, 32),
        (5.6, 8, None, 8),  # never below the divisor
        (17.6, 8, None, 16),  # 16 is within a tenth
        (11.2, 8, None, 16),  # 8 is not
        (12, 8, None, 16),  # halves go up
        (44.8, 8, None, 48),
        (5.6, 8, 32, 32),
        (33, 1, None, 33),
    ],
)
def test_make_divisible(value, divisor, min_value, expected):
    result = conv_blocks.make_divisible(value, divisor, min_value)
    assert (result, type(result)) == (expected, int)


@pytest.mark.parametrize(
    ('kernel_size', 'rate', 'before', 'after'),
    [([3, 3], 1, 1, 1), ([3, 3], 4, 4, 4), ([4, 4], 1, 1, 2), ([2, 2], 3, 1, 2), ([1, 1], 2, 0, 0)],
)
def test_fixed_padding_puts_the_larger_half_after(kernel_size, rate, before, after):
    padded = conv_blocks.fixed_padding(tf.ones([1, 5, 5, 1]), kernel_size, rate)
    with sessions.plain_session() as session:
        row = session.run(padded)[0, before, :, 0]
    np.testing.assert_array_equal(row, [0] * before + [1] * 5 + [0] * after)


def test_split_separable_conv2d_names_its_layers_after_the_scope():
    endpoints = {}
    with slim.arg_scope([slim.conv2d, slim.separable_conv2d], biases_initializer=None):
        net = conv_blocks.split_separable_conv2d(
            _images(), 24, scope='Conv2d_1', stride=2, endpoints=endpoints
        )
        assert net.shape.as_list() == [2, 4, 4, 24]
        assert list(endpoints) == ['Conv2d_1_depthwise', 'Conv2d_1_pointwise']
        conv_blocks.split_separable_conv2d(net, 8, use_explicit_padding=True)
    assert _weights() == {
        'Conv2d_1_depthwise/depthwise_weights': [3, 3, 16, 1],
        'Conv2d_1_pointwise/weights': [1, 1, 16, 24],
        'separable/depthwise/depthwise_weights': [3, 3, 24, 1],
        'separable/pointwise/weights': [1, 1, 24, 8],
    }


def test_split_conv_divides_channels_evenly_in_multiples():
    net = conv_blocks.split_conv(_images(40), 64, num_ways=3, scope='expand')
    assert net.shape.as_list() == [2, 8, 8, 64]
    assert _weights() == {
        'expand_part_0/weights': [1, 1, 16, 24],
        'expand_part_1/weights': [1, 1, 16, 24],
        'expand_part_2/weights': [1, 1, 8, 16],
    }


@pytest.mark.parametrize('num_ways', [1, 3])  # a third of 16 would be fewer than 8
def test_split_conv_stays_one_convolution_where_groups_would_be_narrow(num_ways):
    conv_blocks.split_conv(_images(16), 64, num_ways=num_ways, scope='expand')
    assert _weights() == {'expand/weights': [1, 1, 16, 64]}


def test_split_conv_refuses_widths_it_cannot_divide():
    with pytest.raises(ValueError, match='36 channels cannot be split into multiples of 8'):
        conv_blocks.split_conv(_images(32), 36, num_ways=2, scope='expand')


def test_expanded_conv_expands_filters_and_projects():
    endpoints = {}
    net = conv_blocks.expanded_conv(
        _images(16), 24, stride=2, kernel_size=[5, 5], endpoints=endpoints
    )
    assert (net.name, net.shape.as_list()) == ('expanded_conv/output:0', [2, 4, 4, 24])
    assert _weights() == {
        'expanded_conv/expand/weights': [1, 1, 16, 96],
        'expanded_conv/depthwise/depthwise_weights': [5, 5, 96, 1],
        'expanded_conv/project/weights': [1, 1, 96, 24],
    }
    assert {name: tensor.shape.as_list() for name, tensor in endpoints.items()} == {
        'expansion_output': [2, 8, 8, 96],
        'depthwise_output': [2, 4, 4, 96],
        'projection_output': [2, 4, 4, 24],
    }


@pytest.mark.parametrize(
    ('location', 'depthwise_channels', 'order'),
    [
        ('expansion', 96, ['expand', 'depthwise', 'project']),
        ('input', 16, ['depthwise', 'expand', 'project']),
        ('output', 24, ['expand', 'project', 'depthwise']),
        (None, None, ['expand', 'project']),
    ],
)
def test_depthwise_location(location, depthwise_channels, order):
    conv_blocks.expanded_conv(_images(16), 24, depthwise_location=location)
    names = [name.split('/')[1] for name in _weights()]
    assert names == order
    shape = _weights().get('expanded_conv/depthwise/depthwise_weights')
    assert shape == (depthwise_channels and [3, 3, depthwise_channels, 1])
    relus = [op.name for op in tf.get_default_graph().get_operations() if op.type == 'Relu']
    assert ('expanded_conv/depthwise/Relu' in relus) == (location == 'expansion')
    assert 'expanded_conv/expand/Relu' in relus  # None leaves the arg scope's activation
    assert 'expanded_conv/project/Relu' not in relus  # the bottleneck is linear


@pytest.mark.parametrize(('depthwise', 'op_name'), [(None, 'Elu'), (tf.nn.tanh, 'Tanh')])
def test_inner_activation_reaches_the_depthwise_layer_unless_it_has_its_own(depthwise, op_name):
    conv_blocks.expanded_conv(
        _images(), 16, inner_activation_fn=tf.nn.elu, depthwise_activation_fn=depthwise
    )
    graph = tf.get_default_graph()
    assert graph.get_operation_by_name('expanded_conv/expand/Elu')
    assert graph.get_operation_by_name(f'expanded_conv/depthwise/{op_name}')
    assert 'expanded_conv/project/Elu' not in {op.name for op in graph.get_operations()}


@pytest.mark.parametrize(
    ('arguments', 'adds'),
    [
        ({'num_outputs': 16}, True),
        ({'num_outputs': 16, 'residual': False}, False),
        ({'num_outputs': 16, 'stride': 2}, False),
        ({'num_outputs': 24}, False),
    ],
)
def test_residual_is_added_where_it_fits(arguments, adds):
    conv_blocks.expanded_conv(_images(16), **arguments)
    names = {operation.name for operation in tf.get_default_graph().get_operations()}
    assert ('expanded_conv/add' in names) == adds


def test_callable_residual_and_expansion_transform_get_both_tensors():
    seen = {}

    def transform(expansion_tensor, input_tensor):
        seen['transform'] = [expansion_tensor.shape.as_list(), input_tensor.shape.as_list()]
        return expansion_tensor

    def residual(input_tensor, output_tensor):
        seen['residual'] = [input_tensor.shape.as_list(), output_tensor.shape.as_list()]
        return output_tensor

    conv_blocks.expanded_conv(
        _images(16), 24, stride=2, expansion_transform=transform, residual=residual
    )
    assert seen == {
        'transform': [[2, 4, 4, 96], [2, 8, 8, 16]],
        'residual': [[2, 8, 8, 16], [2, 4, 4, 24]],
    }


def test_explicit_padding_is_symmetric_where_same_padding_is_not():
    """3x3 at stride 2 on an even size: SAME pads after only, explicit padding before as well."""
    image = np.zeros([1, 4, 4, 8], np.float32)
    image[0, 2, 2] = 1.0  # in both windows of SAME padding, in the second of explicit padding
    outputs = []
    with slim.arg_scope(
        [slim.conv2d, slim.separable_conv2d],
        weights_initializer=tf.ones_initializer(),
        activation_fn=None,
    ):
        for explicit in (False, True):
            outputs.append(
                conv_blocks.expanded_conv(
                    tf.constant(image), 8, expansion_size=8, stride=2, use_explicit_padding=explicit
                )
            )
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        same, explicit = session.run(outputs)
    assert same.shape == explicit.shape == (1, 2, 2, 8)
    assert same[0, :, :, 0].tolist() == [[8, 8], [8, 8]]
    assert explicit[0, :, :, 0].tolist() == [[0, 0], [0, 8]]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'depthwise_location': 'expandion'}, "Did you mean 'expansion'"),
        ({'use_explicit_padding': True, 'padding': 'VALID'}, "does not go with 'VALID'"),
    ],
)
def test_expanded_conv_refuses_before_it_builds(arguments, message):
    with pytest.raises(ValueError, match=message):
        conv_blocks.expanded_conv(_images(), 16, **arguments)
    assert not tf.global_variables()


@pytest.mark.parametrize('pool', [None, 3])
def test_squeeze_excite_gates_each_channel(pool):
    images = np.random.RandomState(0).uniform(-1, 1, [2, 8, 8, 48]).astype(np.float32)
    with slim.arg_scope([slim.conv2d], weights_initializer=tf.zeros_initializer()):
        net = conv_blocks.squeeze_excite(tf.constant(images), squeeze_factor=4, pool=pool)
    assert _weights() == {
        'squeeze_excite/Conv/weights': [1, 1, 48, 16],  # 12, rounded
        'squeeze_excite/Conv_1/weights': [1, 1, 16, 48],
    }
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(session.run(net), images * 0.5, rtol=1e-6)  # sigmoid(0)


def test_squeeze_excite_may_look_at_another_tensor():
    conv_blocks.squeeze_excite(_images(16), squeeze_input_tensor=_images(32, size=4))
    assert _weights()['squeeze_excite/Conv/weights'] == [1, 1, 32, 8]
