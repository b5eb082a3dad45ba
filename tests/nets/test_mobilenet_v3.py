"""MobileNetV3 and EdgeTPU as a library: activations, tables, widths, pooling, norms, bad input."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets.mobilenet import conv_blocks, mobilenet, mobilenet_v3
from slim import errors

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]


def _images(*shape: int | None) -> tf.Tensor:
    return tf.placeholder(tf.float32, shape or (2, 32, 32, 3))


def _op_names() -> list[str]:
    return [operation.name for operation in tf.get_default_graph().get_operations()]


def _column(conv_defs, name):
    return [layer.params.get(name) for layer in conv_defs['spec']]


# Activations


def test_hard_swish():
    with sessions.plain_session() as session:
        values = session.run(mobilenet_v3.hard_swish(tf.constant([-4.0, -1.5, 0.0, 1.0, 5.0])))
    np.testing.assert_allclose(values, [0, -0.375, 0, 2 / 3, 5], rtol=1e-6)


def test_gate_has_the_constant_of_the_published_checkpoints():
    """relu6(x + 3) * 0.16667 at x = 0, where 1 / 6 would give 0.5."""
    images = np.random.RandomState(0).uniform(-1, 1, [2, 4, 4, 48]).astype(np.float32)
    with slim.arg_scope([slim.conv2d], weights_initializer=tf.zeros_initializer()):
        net = mobilenet_v3.squeeze_excite(tf.constant(images))
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(session.run(net), images * 0.50001, rtol=1e-6)
    assert tf.trainable_variables()[0].shape.as_list() == [1, 1, 48, 16]  # a quarter, rounded


# Tables


def test_minimalistic_tables_differ_in_kernels_gates_and_activations_only():
    for full, minimalistic in [
        (mobilenet_v3.V3_LARGE, mobilenet_v3.V3_LARGE_MINIMALISTIC),
        (mobilenet_v3.V3_SMALL, mobilenet_v3.V3_SMALL_MINIMALISTIC),
    ]:
        for name in ('num_outputs', 'stride', 'normalizer_fn'):
            assert _column(full, name) == _column(minimalistic, name)
        assert (5, 5) in _column(full, 'kernel_size')
        assert (5, 5) not in _column(minimalistic, 'kernel_size')
        assert not any(_column(minimalistic, 'expansion_transform'))
        activations = _column(minimalistic, 'activation_fn') + _column(
            minimalistic, 'inner_activation_fn'
        )
        assert set(activations) == {tf.nn.relu, None}


def test_detection_tables_halve_their_last_layers_and_no_other_table():
    large, small = mobilenet_v3.V3_LARGE_DETECTION, mobilenet_v3.V3_SMALL_DETECTION
    assert _column(large, 'num_outputs')[12:] == [112, 80, 80, 80, 480, None, 1280]
    assert _column(small, 'num_outputs')[8:] == [48, 48, 48, 48, 288, None, 1024]
    assert _column(mobilenet_v3.V3_LARGE, 'num_outputs')[13:17] == [160, 160, 160, 960]


def test_a_copied_table_may_be_edited():
    conv_defs = copy.deepcopy(mobilenet_v3.V3_SMALL)
    conv_defs['spec'][-1].params['num_outputs'] = 512
    conv_defs['spec'][1] = mobilenet_v3.mbv3_op_se(ef=2, n=24, k=5, s=2, residual=False)
    conv_defs['defaults'][(slim.batch_norm,)]['scale'] = False
    net, end_points = mobilenet_v3.mobilenet_base(_images(), conv_defs=conv_defs)
    assert net.shape.as_list() == [2, 1, 1, 512]
    assert end_points['layer_2/expansion_output'].shape.as_list() == [2, 16, 16, 32]
    assert not any('gamma' in variable.op.name for variable in tf.global_variables())
    assert mobilenet_v3.V3_SMALL['defaults'][(slim.batch_norm,)]['scale']


def test_fused_blocks_do_the_work_of_the_depthwise_layer_while_expanding():
    _, end_points = mobilenet_v3.edge_tpu(_images(1, 64, 64, 3), base_only=True)
    weights = {
        variable.op.name.removeprefix('MobilenetEdgeTPU/'): variable.shape.as_list()
        for variable in tf.trainable_variables()
        if variable.op.name.endswith('weights')
    }
    assert 'expanded_conv/expand/weights' not in weights
    assert weights['expanded_conv_1/expand/weights'] == [3, 3, 16, 128]
    assert weights['expanded_conv_9/expand/weights'] == [1, 1, 48, 384]
    assert weights['expanded_conv_9/depthwise/depthwise_weights'] == [3, 3, 384, 1]
    assert end_points['layer_3/expansion_output'].shape.as_list() == [1, 16, 16, 128]


def test_edge_tpu_leaves_one_residual_out():
    mobilenet_v3.edge_tpu(_images(), base_only=True)
    adds = [name.split('/')[1] for name in _op_names() if name.endswith('/add')]
    blocks = (2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 19, 20)
    assert adds == [f'expanded_conv_{number}' for number in blocks]


# Widths


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'last_widths'),
    [
        ({}, (720, 960)),
        ({'finegrain_classification_mode': True}, (720, 1280)),
        ({'finegrain_classification_mode': True, 'depth_multiplier': 1.4}, (1344, 1280)),
    ],
)
def test_finegrained_classification_keeps_the_last_layer(arguments, last_widths):
    arguments = {'depth_multiplier': 0.75, **arguments}
    _, end_points = mobilenet_v3.mobilenet_base(_images(), **arguments)
    widths = [end_points[name].shape.as_list()[-1] for name in ('layer_17', 'layer_19')]
    assert tuple(widths) == last_widths
    layer = mobilenet_v3.V3_LARGE['spec'][-1]
    assert layer.multiplier_func is mobilenet.depth_multiplier


# Pooling


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [
        ((1, 9, 9, 4), [1, 1, 1, 4]),
        ((1, 3, 3, 4), [1, 1, 1, 4]),
        ((1, 9, 10, 4), [1, 3, 4, 4]),  # windows of 7 x 7, as the classic suite had it
        ((1, 3, 8, 4), [1, 1, 2, 4]),
        ((1, None, None, 4), [1, None, None, 4]),
    ],
)
def test_reduce_to_1x1(shape, expected):
    assert mobilenet_v3.reduce_to_1x1(_images(*shape), stride=1).shape.as_list() == expected


@pytest.mark.parametrize('reduce_mean', [False, True])
def test_last_pooling_is_a_reduction_only_where_asked(reduce_mean):
    mobilenet_v3.small(_images(), use_reduce_mean_for_pooling=reduce_mean)
    assert any('ReduceMean' in name for name in _op_names()) == reduce_mean


def test_images_of_unknown_size_give_the_logits_of_a_known_one():
    """At 224 pixels, where the window of 7 x 7 covers the last layer."""
    known, unknown = _images(1, 224, 224, 3), _images(None, None, None, 3)
    arguments = {'depth_multiplier': 0.1, 'num_classes': 5, 'reuse': tf.AUTO_REUSE}
    outputs = [mobilenet_v3.small(images, **arguments)[0] for images in (known, unknown)]
    image = np.random.RandomState(0).uniform(-1, 1, [1, 224, 224, 3]).astype(np.float32)
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        values = session.run(outputs, {known: image, unknown: image})
    assert np.ptp(values[0]) > 0
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('explicit', [False, True])
def test_pooling_is_neither_dilated_nor_padded(explicit):
    _, end_points = mobilenet_v3.small(
        _images(1, 64, 64, 3), output_stride=8, use_explicit_padding=explicit, num_classes=5
    )
    sides = [end_points[f'layer_{n}'].shape.as_list()[1] for n in (1, 2, 3, 13, 14, 15)]
    assert sides == [32, 16, 8, 8, 1, 1]


# Results and norms


def test_base_ends_before_the_classifier():
    net, end_points = mobilenet_v3.mobilenet_base(
        _images(None, None, None, 3), final_endpoint='layer_17'
    )
    assert net is end_points['layer_17']
    assert net.shape.as_list() == [None, None, None, 960]
    assert 'layer_18' not in end_points


@pytest.mark.parametrize('use_groupnorm', [False, True])
def test_one_norm_takes_the_place_of_the_other(use_groupnorm):
    with slim.arg_scope(mobilenet_v3.training_scope()):
        mobilenet_v3.small(_images(), use_groupnorm=use_groupnorm)
    names = [variable.op.name for variable in tf.global_variables()]
    assert any('GroupNorm' in name for name in names) == use_groupnorm
    assert any('BatchNorm' in name for name in names) != use_groupnorm


def test_group_norm_takes_the_number_of_groups():
    mobilenet_v3.large(_images(), use_groupnorm=True, groups=4, final_endpoint='layer_1')
    moments = [op for op in tf.get_default_graph().get_operations() if op.type == 'Mean']
    assert moments[0].outputs[0].shape.as_list() == [2, 1, 1, 4, 1]
    assert mobilenet_v3.DEFAULTS_GROUP_NORM[(slim.group_norm,)] == {'groups': 8}


def test_wrapped_functions_keep_their_name_and_may_be_overruled():
    assert mobilenet_v3.edge_tpu.__name__ == 'mobilenet'
    assert mobilenet_v3.edge_tpu_075.default_image_size == 224
    assert 'num_classes' in inspect.signature(mobilenet_v3.small).parameters
    logits, _ = mobilenet_v3.edge_tpu(_images(), scope='Mine', final_endpoint='layer_1')
    assert logits.op.name.startswith('Mine/')


def test_fused_block_stands_on_its_own():
    net = conv_blocks.fused_conv(_images(2, 9, 9, 8), 8, [3, 3], use_explicit_padding=True)
    assert (net.name, net.shape.as_list()) == ('expanded_conv/output:0', [2, 9, 9, 8])
    assert 'expanded_conv/add' in _op_names()


# Bad input


@pytest.mark.parametrize(
    ('shape', 'arguments', 'message'),
    [
        ((2, 32, 32, 3), {'final_endpoint': 'layer_20'}, "Did you mean 'layer_2"),
        ((2, 32, 32, 3), {'output_stride': 3}, 'output stride is 3'),
        ((2, 32, 32, 3), {'depth_multiplier': 0}, 'multiplier is 0; it must be above 0'),
        ((2, 32, 32, 3), {'multiplier': 0.5}, 'give depth_multiplier instead'),
        ((2, 32, 32, 3), {'num_classes': -1}, 'num_classes is -1'),
        ((32, 32, 3), {}, 'expected .batch, height, width, channels'),
        ((2, 32, 0, 3), {}, '32 x 0 pixels'),
    ],
)
def test_bad_input_is_refused_before_any_variable(shape, arguments, message):
    with pytest.raises(errors.UsageError, match=message):
        mobilenet_v3.mobilenet(_images(*shape), **arguments)
    assert not tf.global_variables()
