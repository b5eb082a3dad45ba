"""MobileNetV2 as a library: tables, widths, strides, end points, sizes, scopes, bad input."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets.mobilenet import conv_blocks, mobilenet, mobilenet_v2
from slim import errors

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]


def _images(*shape: int | None) -> tf.Tensor:
    return tf.placeholder(tf.float32, shape or (2, 32, 32, 3))


def _conv_widths() -> set[int]:
    operations = tf.get_default_graph().get_operations()
    return {op.outputs[0].shape.as_list()[-1] for op in operations if op.type == 'Conv2D'}


def _count(op_type: str) -> int:
    return sum(op.type == op_type for op in tf.get_default_graph().get_operations())


# Tables


def test_table_has_the_layers_of_the_paper():
    rows = [
        (layer.params['num_outputs'], layer.params['stride'])
        for layer in mobilenet_v2.V2_DEF['spec']
    ]
    assert len(rows) == 19
    assert [row for row in rows if row[1] == 2] == [(32, 2), (24, 2), (32, 2), (64, 2), (160, 2)]
    assert rows[-1] == (1280, 1)


def test_a_copied_table_may_be_edited():
    conv_defs = copy.deepcopy(mobilenet_v2.V2_DEF)
    conv_defs['spec'][-1].params['num_outputs'] = 512
    conv_defs['defaults'][(conv_blocks.expanded_conv,)]['residual'] = False
    net, _ = mobilenet_v2.mobilenet(_images(), conv_defs=conv_defs, base_only=True)
    assert net.shape.as_list() == [2, 1, 1, 512]
    assert not any(op.name.endswith('/add') for op in tf.get_default_graph().get_operations())
    assert mobilenet_v2.V2_DEF['spec'][-1].params['num_outputs'] == 1280
    assert mobilenet_v2.V2_DEF['defaults'][(conv_blocks.expanded_conv,)]['residual']


def test_overrides_lie_inside_of_the_defaults():
    overrides = {(conv_blocks.expanded_conv,): {'split_expansion': 2}}
    conv_defs = {**mobilenet_v2.V2_DEF, 'overrides': overrides}
    _, end_points = mobilenet_v2.mobilenet(_images(), conv_defs=conv_defs)
    assert _count('Conv2D') == 36 + 16  # each of the 16 expand layers became two
    assert 'layer_3/expand_part_1_output' in end_points


def test_a_layer_may_bring_its_own_width_rule():
    def keep(params, multiplier):
        del params, multiplier

    conv_defs = copy.deepcopy(mobilenet_v2.V2_DEF)
    conv_defs['spec'] = [
        mobilenet.op(slim.conv2d, num_outputs=32, kernel_size=[3, 3], multiplier_func=keep),
        mobilenet.op(slim.conv2d, num_outputs=32, kernel_size=[1, 1]),
    ]
    _, end_points = mobilenet.mobilenet_base(_images(), conv_defs, multiplier=0.5)
    assert end_points['layer_1'].shape.as_list()[-1] == 32
    assert end_points['layer_2'].shape.as_list()[-1] == 16


# Widths


def test_widths_are_divisible_and_no_less_than_the_minimum():
    mobilenet_v2.mobilenet(_images(), min_depth=32, divisible_by=16)
    assert _conv_widths() == {32, 64, 96, 160, 192, 320, 384, 576, 960, 1280, 1001}


def test_minimum_width_may_come_from_an_arg_scope():
    with slim.arg_scope((mobilenet.depth_multiplier,), min_depth=32):
        mobilenet_v2.mobilenet(_images(), depth_multiplier=0.1)
    assert _conv_widths() == {32, 192, 128, 1001}


def test_finegrained_classification_keeps_the_last_layer():
    mobilenet_v2.mobilenet(_images(), depth_multiplier=0.01, finegrain_classification_mode=True)
    assert _conv_widths() == {8, 48, 1280, 1001}


def test_finegrained_classification_does_not_hold_back_a_wide_network():
    net, _ = mobilenet_v2.mobilenet_base(
        _images(), depth_multiplier=1.4, finegrain_classification_mode=True
    )
    assert net.shape.as_list()[-1] == 1792


# Strides


@pytest.mark.parametrize(
    ('limit', 'expected'),
    [
        (None, [(2, 1), (1, 1), (2, 1), (2, 1), (2, 1), (1, 1)]),
        (4, [(2, 1), (1, 1), (2, 1), (1, 1), (1, 2), (1, 4)]),
        (1, [(1, 1), (1, 2), (1, 2), (1, 4), (1, 8), (1, 16)]),
    ],
)
def test_strides_beyond_the_limit_become_dilation_one_layer_later(limit, expected):
    striding = mobilenet.Striding(limit)
    assert [striding.next_layer(stride) for stride in (2, 1, 2, 2, 2, 1)] == expected


def test_dilation_reaches_the_depthwise_layers_and_not_the_pointwise_ones():
    _, end_points = mobilenet_v2.mobilenet_base(_images(1, 64, 64, 3), output_stride=8)
    assert end_points['layer_19'].shape.as_list() == [1, 8, 8, 1280]
    blocks = (
        {  # what the op that convolves sees: dilation is done by moving space to the batch
            op.name.split('/')[1]: tf.get_static_value(op.inputs[1]).tolist()
            for op in tf.get_default_graph().get_operations()
            if op.type == 'SpaceToBatchND'
        }
        or {
            op.name.split('/')[1]: op.get_attr('dilations')[1:3]
            for op in tf.get_default_graph().get_operations()
            if op.type == 'DepthwiseConv2dNative' and op.get_attr('dilations') != [1, 1, 1, 1]
        }
    )
    # Block 6 would go to stride 16 and 13 to stride 32; each dilates the blocks after it.
    assert blocks == {
        **{f'expanded_conv_{number}': [2, 2] for number in range(7, 14)},
        **{f'expanded_conv_{number}': [4, 4] for number in range(14, 17)},
    }
    assert all(
        op.get_attr('dilations') == [1, 1, 1, 1]
        for op in tf.get_default_graph().get_operations()
        if op.type == 'Conv2D'
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ('output_stride', 'explicit', 'side'), [(1, False, 64), (16, True, 4), (64, True, 2)]
)
def test_output_stride_bounds_the_shrinking(output_stride, explicit, side):
    net, _ = mobilenet_v2.mobilenet_base(
        _images(1, 64, 64, 3),
        depth_multiplier=0.1,
        output_stride=output_stride,
        use_explicit_padding=explicit,
    )
    assert net.shape.as_list()[1:3] == [side, side]


def test_explicit_padding_takes_blocks_that_name_their_kernel_as_well():
    conv_defs = copy.deepcopy(mobilenet_v2.V2_DEF)
    for layer in conv_defs['spec'][1:-1]:
        layer.params['kernel_size'] = (5, 5)
    _, end_points = mobilenet_v2.mobilenet_base(
        _images(1, 65, 65, 3), conv_defs=conv_defs, use_explicit_padding=True
    )
    sides = [end_points[f'layer_{number}'].shape.as_list()[1] for number in (1, 2, 3, 5, 8, 15)]
    assert sides == [33, 33, 17, 9, 5, 3]


# Results


@pytest.mark.parametrize('num_classes', [0, None])
def test_without_classes_the_pooled_features_are_returned(num_classes):
    net, end_points = mobilenet_v2.mobilenet(_images(), num_classes=num_classes)
    assert net is end_points['global_pool']
    assert net.shape.as_list() == [2, 1, 1, 1280]
    assert not {'Logits', 'Predictions'} & set(end_points)


def test_final_endpoint_ends_the_base():
    net, end_points = mobilenet_v2.mobilenet_base(_images(), final_endpoint='layer_4')
    assert net is end_points['layer_4']
    assert list(end_points) == [
        *('layer_1', 'layer_2', 'layer_3', 'layer_4'),
        *('layer_2/depthwise_output', 'layer_2/output'),
        *('layer_3/expansion_output', 'layer_3/depthwise_output', 'layer_3/output'),
        *('layer_4/expansion_output', 'layer_4/depthwise_output', 'layer_4/output'),
    ]


def test_reuse_shares_every_variable_and_names_its_own_end_points():
    short = {'depth_multiplier': 0.35, 'final_endpoint': 'layer_3', 'num_classes': 5}
    mobilenet_v2.mobilenet(_images(), **short)
    variables = len(tf.global_variables())
    with tf.name_scope('clone_1'):
        logits, end_points = mobilenet_v2.mobilenet(_images(), reuse=True, **short)
    assert len(tf.global_variables()) == variables
    assert logits.op.name.startswith('clone_1/MobilenetV2')
    assert end_points['layer_3/output'].op.name.startswith('clone_1/MobilenetV2')


def test_images_of_any_size_give_the_logits_of_a_known_size():
    known, unknown = _images(2, 40, 56, 3), _images(None, None, None, 3)
    arguments = {'depth_multiplier': 0.35, 'num_classes': 5}
    logits, _ = mobilenet_v2.mobilenet(known, **arguments)
    same_logits, end_points = mobilenet_v2.mobilenet(unknown, reuse=True, **arguments)
    reduced, _ = mobilenet_v2.mobilenet(
        known, reuse=True, use_reduce_mean_for_pooling=True, **arguments
    )
    assert same_logits.shape.as_list() == [None, 5]
    assert end_points['global_pool'].shape.as_list() == [None, 1, 1, 448]
    images = np.random.RandomState(0).uniform(-1, 1, [2, 40, 56, 3]).astype(np.float32)
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        values = session.run([logits, same_logits, reduced], {known: images, unknown: images})
    assert np.abs(values[0]).max() > 0
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(values[2], values[0], rtol=1e-4, atol=1e-7)


def test_activation_fn_replaces_relu6_in_this_network_only():
    mobilenet_v2.mobilenet_base(_images(), activation_fn=tf.nn.elu, final_endpoint='layer_3')
    assert (_count('Elu'), _count('Relu6')) == (4, 0)
    mobilenet_v2.mobilenet_base(_images(), scope='Other', final_endpoint='layer_3')
    assert _count('Relu6') == 4


def test_group_norm_takes_the_number_of_groups():
    mobilenet_v2.mobilenet_base_group_norm(_images(), groups=4, final_endpoint='layer_1')
    moments = [op for op in tf.get_default_graph().get_operations() if op.type == 'Mean']
    assert moments[0].outputs[0].shape.as_list() == [2, 1, 1, 4, 1]
    assert (slim.group_norm,) not in mobilenet_v2.V2_DEF_GROUP_NORM['defaults']


# Scopes


def _dropout_scales() -> list[float]:
    """1 / keep_prob of every dropout that drops."""
    return [
        float(tf.get_static_value(op.inputs[1]))
        for op in tf.get_default_graph().get_operations()
        if op.type == 'Mul' and '/Dropout/dropout' in op.name and op.inputs[1].op.type == 'Const'
    ]


def _batch_norm_arguments(**kwargs):
    scope = mobilenet.training_scope(**kwargs)
    return scope[slim.arg_scope_func_key(slim.batch_norm)]


def test_training_scope_says_is_training_unless_it_is_none():
    assert _batch_norm_arguments()['is_training'] is True
    assert _batch_norm_arguments(is_training=False)['is_training'] is False
    assert 'is_training' not in _batch_norm_arguments(is_training=None)
    assert _batch_norm_arguments(bn_decay=0.9)['decay'] == 0.9


def test_training_scope_sets_dropout_for_the_network():
    with slim.arg_scope(mobilenet_v2.training_scope(dropout_keep_prob=0.5)):
        mobilenet_v2.mobilenet(_images(), final_endpoint='layer_1')
    assert _dropout_scales() == [2.0]


@pytest.mark.parametrize('is_training', [False, True])
def test_is_training_rules_dropout_and_batch_norm(is_training):
    mobilenet_v2.mobilenet(_images(), is_training=is_training, final_endpoint='layer_1')
    assert len(_dropout_scales()) == is_training
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * is_training


def test_a_negative_stddev_asks_for_xavier():
    with slim.arg_scope(mobilenet_v2.training_scope(stddev=-1.0)):
        mobilenet_v2.mobilenet_base(_images(), final_endpoint='layer_1')
    weights = 'MobilenetV2/Conv/weights/Initializer'
    names = {op.name for op in tf.get_default_graph().get_operations()}
    assert f'{weights}/random_uniform' in names


def test_safe_arg_scope_drops_none():
    with mobilenet.safe_arg_scope([slim.dropout], keep_prob=None, is_training=False):
        scope = slim.current_arg_scope()
        assert scope[slim.arg_scope_func_key(slim.dropout)] == {'is_training': False}
    with mobilenet.safe_arg_scope([slim.dropout], keep_prob=None) as scope:
        assert scope is None
        assert slim.arg_scope_func_key(slim.dropout) not in slim.current_arg_scope()


def test_apply_activation():
    x = tf.ones([2])
    assert mobilenet.apply_activation(x) is x
    assert mobilenet.apply_activation(x, 'act', tf.nn.relu).op.name == 'act'


# Bad input


@pytest.mark.parametrize(
    ('shape', 'arguments', 'message'),
    [
        ((2, 32, 32, 3), {'final_endpoint': 'layer_20'}, "Did you mean 'layer_2"),
        ((2, 32, 32, 3), {'final_endpoint': 'layer_4/output'}, "Did you mean 'layer_4"),
        ((2, 32, 32, 3), {'output_stride': 0}, 'output stride is 0; it must be None, 1 or an even'),
        ((2, 32, 32, 3), {'output_stride': 3}, 'output stride is 3'),
        ((2, 32, 32, 3), {'output_stride': -2}, 'output stride is -2'),
        ((2, 32, 32, 3), {'depth_multiplier': 0}, 'multiplier is 0; it must be above 0'),
        (
            (2, 32, 32, 3),
            {'depth_multiplier': 0, 'finegrain_classification_mode': True},
            'multiplier is 0',
        ),
        ((2, 32, 32, 3), {'depth_multiplier': -1.0}, 'multiplier is -1.0'),
        ((2, 32, 32, 3), {'multiplier': 0.5}, 'give depth_multiplier'),
        ((2, 32, 32, 3), {'num_classes': -1}, 'num_classes is -1'),
        ((32, 32, 3), {}, r'shape \(32, 32, 3\); expected \[batch, height, width, channels\]'),
        (None, {}, 'expected .batch, height, width, channels'),
    ],
)
def test_bad_input_is_refused_before_any_variable(shape, arguments, message):
    with pytest.raises(errors.UsageError, match=message):
        mobilenet_v2.mobilenet(tf.placeholder(tf.float32, shape), **arguments)
    assert not tf.global_variables()


def test_another_pooling_needs_a_known_size():
    with pytest.raises(errors.UsageError, match='known image size'):
        mobilenet.global_pool(_images(1, None, 4, 8), pool_op=tf.nn.max_pool2d)
    pooled = mobilenet.global_pool(_images(1, 4, 4, 8), pool_op=tf.nn.max_pool2d)
    assert pooled.shape.as_list() == [1, 1, 1, 8]
