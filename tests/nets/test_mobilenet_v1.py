"""MobileNetV1 as a library: tables, widths, strides, end points, sizes, scopes, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets import mobilenet_v1
from nets.mobilenet_v1 import Conv, DepthSepConv
from slim import errors

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]

_LAYERS = [
    'Conv2d_0',
    *(f'Conv2d_{n}_{part}' for n in range(1, 14) for part in ('depthwise', 'pointwise')),
]
_SHORT = [Conv([3, 3], 2, 16), DepthSepConv([5, 5], 2, 24)]


def _images(*shape: int | None) -> tf.Tensor:
    return tf.placeholder(tf.float32, shape or (2, 32, 32, 3))


def _weights() -> dict[str, list[int]]:
    return {
        variable.op.name: variable.shape.as_list()
        for variable in tf.trainable_variables()
        if variable.op.name.endswith('weights')
    }


def test_table_has_the_layers_of_the_paper():
    table = mobilenet_v1.MOBILENETV1_CONV_DEFS
    assert table[0] == Conv(kernel=[3, 3], stride=2, depth=32)
    assert all(isinstance(row, DepthSepConv) and row.kernel == [3, 3] for row in table[1:])
    assert [row.depth for row in table[1:]] == [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    assert [n for n, row in enumerate(table) if row.stride == 2] == [0, 2, 4, 6, 12]


def test_a_table_of_ones_own_is_built_to_its_end():
    net, end_points = mobilenet_v1.mobilenet_v1(_images(), num_classes=None, conv_defs=_SHORT)
    assert list(end_points) == [*_LAYERS[:3], 'AvgPool_1a']
    assert net.shape.as_list() == [2, 1, 1, 24]
    assert _weights() == {
        'MobilenetV1/Conv2d_0/weights': [3, 3, 3, 16],
        'MobilenetV1/Conv2d_1_depthwise/depthwise_weights': [5, 5, 16, 1],
        'MobilenetV1/Conv2d_1_pointwise/weights': [1, 1, 16, 24],
    }


@pytest.mark.parametrize(
    ('depth_multiplier', 'min_depth', 'widths'),
    [(0.3, 8, (9, 19, 38, 307)), (0.1, 8, (8, 8, 12, 102)), (0.1, 16, (16, 16, 16, 102))],
)
def test_widths_are_truncated_and_no_less_than_the_minimum(depth_multiplier, min_depth, widths):
    _, end_points = mobilenet_v1.mobilenet_v1_base(
        _images(), min_depth=min_depth, depth_multiplier=depth_multiplier
    )
    got = {tensor.shape.as_list()[-1] for tensor in end_points.values()}
    assert set(widths) <= got
    assert min(got) == min(widths)


@pytest.mark.parametrize('last', ['Conv2d_0', 'Conv2d_4_depthwise', 'Conv2d_4_pointwise'])
def test_final_endpoint_ends_the_base(last):
    net, end_points = mobilenet_v1.mobilenet_v1_base(_images(), final_endpoint=last)
    assert net is end_points[last]
    assert list(end_points) == _LAYERS[: _LAYERS.index(last) + 1]
    assert net.op.name.startswith(f'MobilenetV1/{last}/')


@pytest.mark.parametrize('explicit', [False, True])
@pytest.mark.parametrize(
    ('output_stride', 'sides'),
    [(None, (32, 16, 8, 4, 2)), (32, (32, 16, 8, 4, 2)), (16, (32, 16, 8, 4)), (8, (32, 16, 8))],
)
def test_output_stride_bounds_the_shrinking(output_stride, sides, explicit):
    _, end_points = mobilenet_v1.mobilenet_v1_base(
        _images(1, 64, 64, 3),
        depth_multiplier=0.1,
        output_stride=output_stride,
        use_explicit_padding=explicit,
    )
    assert list(end_points) == _LAYERS
    got = [tensor.shape.as_list()[1] for tensor in end_points.values()]
    assert tuple(dict.fromkeys(got)) == sides


@pytest.mark.parametrize('num_classes', [0, None])
def test_without_classes_the_pooled_features_are_returned(num_classes):
    net, end_points = mobilenet_v1.mobilenet_v1(_images(), num_classes)
    assert net is end_points['AvgPool_1a']
    assert net.op.name.startswith('MobilenetV1/Logits/AvgPool_1a')
    assert net.shape.as_list() == [2, 1, 1, 1024]
    assert not {'Logits', 'Predictions'} & set(end_points)


def test_logits_may_stay_images_and_predictions_may_be_left_away():
    logits, end_points = mobilenet_v1.mobilenet_v1(
        _images(1, 299, 267, 3),
        num_classes=5,
        conv_defs=mobilenet_v1.MOBILENETV1_CONV_DEFS,
        depth_multiplier=0.1,
        spatial_squeeze=False,
        prediction_fn=None,
    )
    assert logits.shape.as_list() == [1, 2, 2, 5]  # 10 x 9 in windows of 7 x 7 at stride 2
    assert 'Predictions' not in end_points


def test_images_of_unknown_size_are_pooled_as_those_of_a_known_one():
    arguments = {'num_classes': 5, 'is_training': False, 'conv_defs': _SHORT}
    known, unknown = _images(2, 28, 28, 3), _images(None, None, None, 3)
    outputs = [
        mobilenet_v1.mobilenet_v1(images, reuse=tf.AUTO_REUSE, global_pool=pool, **arguments)[0]
        for images in (known, unknown)
        for pool in (False, True)
    ]
    assert [output.shape.as_list() for output in outputs] == [[2, 5]] * 2 + [[None, 5]] * 2
    images = np.random.RandomState(0).uniform(-1, 1, [2, 28, 28, 3]).astype(np.float32)
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        values = session.run(outputs, {known: images, unknown: images})
    assert np.ptp(values[0]) > 0
    for value in values[1:]:
        np.testing.assert_allclose(value, values[0], rtol=1e-4, atol=1e-6)


def test_reuse_shares_every_variable():
    arguments = {'num_classes': 5, 'conv_defs': _SHORT}
    mobilenet_v1.mobilenet_v1(_images(4, 32, 32, 3), **arguments)
    variables = len(tf.global_variables())
    logits, _ = mobilenet_v1.mobilenet_v1(_images(), is_training=False, reuse=True, **arguments)
    assert logits.shape.as_list() == [2, 5]
    assert len(tf.global_variables()) == variables


# Scopes


def test_the_base_has_the_known_number_of_parameters():
    """With plain batch norm (a centre and no scale): the figure that the classic suite knew."""
    with slim.arg_scope([slim.conv2d, slim.separable_conv2d], normalizer_fn=slim.batch_norm):
        mobilenet_v1.mobilenet_v1_base(_images())
    sizes = [variable.shape.num_elements() for variable in slim.get_model_variables()]
    assert sum(sizes) == 3217920


def _batch_norm_arguments(**kwargs):
    scope = mobilenet_v1.mobilenet_v1_arg_scope(**kwargs)
    return scope[slim.arg_scope_func_key(slim.batch_norm)]


def test_arg_scope_says_is_training_unless_it_is_none():
    assert _batch_norm_arguments()['is_training'] is True
    assert _batch_norm_arguments(is_training=False)['is_training'] is False
    assert 'is_training' not in _batch_norm_arguments(is_training=None)
    assert _batch_norm_arguments(batch_norm_decay=0.9)['decay'] == 0.9
    assert _batch_norm_arguments(batch_norm_epsilon=0.1)['epsilon'] == 0.1
    assert _batch_norm_arguments(batch_norm_updates_collections=None)['updates_collections'] is None


@pytest.mark.parametrize(
    ('regularize', 'layers'),
    [(False, ['Conv2d_0', 'Conv2d_1_pointwise']), (True, _LAYERS[:3])],
)
def test_depthwise_weights_decay_only_where_asked(regularize, layers):
    scope = mobilenet_v1.mobilenet_v1_arg_scope(regularize_depthwise=regularize)
    with slim.arg_scope(scope):
        mobilenet_v1.mobilenet_v1_base(_images(), final_endpoint='Conv2d_1_pointwise')
    losses = tf.losses.get_regularization_losses()
    assert [loss.op.name.split('/')[1] for loss in losses] == layers


def test_another_norm_may_take_the_place_of_batch_norm():
    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(normalizer_fn=slim.layer_norm)):
        mobilenet_v1.mobilenet_v1_base(_images(), conv_defs=_SHORT, final_endpoint=None)
    names = {variable.op.name.split('/')[2] for variable in tf.global_variables()}
    assert names == {'weights', 'depthwise_weights', 'LayerNorm'}


@pytest.mark.parametrize('is_training', [False, True])
def test_is_training_rules_dropout_and_batch_norm(is_training):
    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=None)):
        mobilenet_v1.mobilenet_v1(
            _images(), 5, dropout_keep_prob=0.5, is_training=is_training, conv_defs=_SHORT
        )
    operations = tf.get_default_graph().get_operations()
    assert any('Dropout_1b/dropout' in op.name for op in operations) == is_training
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 6 * is_training


# Bad input


@pytest.mark.parametrize(
    ('shape', 'arguments', 'message'),
    [
        ((2, 32, 32, 3), {'depth_multiplier': 0.0}, 'multiplier is 0.0; it must be above 0'),
        ((2, 32, 32, 3), {'depth_multiplier': -0.1}, 'multiplier is -0.1'),
        ((2, 32, 32, 3), {'num_classes': -1}, 'num_classes is -1'),
        ((2, 32, 32, 3), {'conv_defs': [(3, 2, 1)]}, 'rows are Conv or DepthSepConv'),
        ((32, 32, 3), {}, r'shape \(32, 32, 3\); expected \[batch, height, width, channels\]'),
        ((2, 0, 32, 3), {}, '0 x 32 pixels'),
    ],
)
def test_bad_input_is_refused_before_any_variable(shape, arguments, message):
    with pytest.raises(errors.UsageError, match=message):
        mobilenet_v1.mobilenet_v1(_images(*shape), **arguments)
    assert not tf.global_variables()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'final_endpoint': 'Conv2d_13_pointwize'}, "Did you mean 'Conv2d_13_pointwise'"),
        ({'final_endpoint': 'Conv2d_2_pointwise', 'conv_defs': _SHORT}, 'Conv2d_1_pointwise'),
        ({'output_stride': 12}, 'output stride is 12; allowed are None, 8, 16, 32'),
    ],
)
def test_bad_arguments_of_the_base_are_refused_before_any_variable(arguments, message):
    with pytest.raises(errors.UsageError, match=message):
        mobilenet_v1.mobilenet_v1_base(_images(), **arguments)
    assert not tf.global_variables()
