"""The Inception networks as a library: end points, sizes, widths, formats, blocks, bad input."""

from __future__ import annotations

import json
import pathlib

import network_facts
import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets import (
    inception,
    inception_resnet_v2,
    inception_utils,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
)
from slim import errors

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]

BASES = {
    'inception_v1': inception.inception_v1_base,
    'inception_v2': inception.inception_v2_base,
    'inception_v3': inception.inception_v3_base,
    'inception_v4': inception.inception_v4_base,
    'inception_resnet_v2': inception.inception_resnet_v2_base,
}
NARROW = {'depth_multiplier': 0.1, 'min_depth': 4}


def _images(*shape: int | None) -> tf.Tensor:
    return tf.placeholder(tf.float32, shape)


def _random(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)


def _run(tensors, feed):
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(tensors, feed)


def _end_points(name: str, until: str) -> list[str]:
    """The network's end points up to `until`, from its contract."""
    names = [row[0] for row in network_facts.load_contract(name)['train']['end_points']]
    return names[: names.index(until) + 1]


def _widths() -> list[int]:
    """Channels of every convolution, in order."""
    return [
        variable.shape.as_list()[-1]
        for variable in tf.trainable_variables()
        if variable.op.name.endswith('weights') and 'depthwise' not in variable.op.name
    ]


def test_the_aggregate_module_has_every_public_name():
    api = json.loads((pathlib.Path(__file__).parents[1] / 'data' / 'api_nets.json').read_text())
    modules = [inception_resnet_v2, inception_v1, inception_v2, inception_v3, inception_v4]
    names = {}
    for module in modules:
        facts = api[f'{module.__name__.replace(".", "/")}.py']
        for name in [*facts['functions'], *facts.get('constants', {})]:
            names[name] = getattr(module, name)
    del names['trunc_normal']
    public = {name: value for name, value in vars(inception).items() if name[0] != '_'}
    assert public == names


# End points


@pytest.mark.parametrize('name', BASES)
def test_final_endpoint_ends_the_base(name):
    net, end_points = BASES[name](_images(1, 75, 75, 3), final_endpoint='Mixed_5b')
    assert list(end_points) == _end_points(name, 'Mixed_5b')
    assert net is end_points['Mixed_5b']
    scope = {'inception_resnet_v2': 'InceptionResnetV2'}.get(name, f'InceptionV{name[-1]}')
    assert net.op.name == f'{scope}/Mixed_5b/concat'


@pytest.mark.parametrize('base', [inception.inception_v1_base, inception.inception_v2_base])
def test_without_the_root_block_the_network_starts_at_mixed_3b(base):
    net, end_points = base(
        _images(2, 28, 28, 192), final_endpoint='Mixed_3c', include_root_block=False
    )
    assert list(end_points) == ['Mixed_3b', 'Mixed_3c']
    assert net.shape.as_list()[:3] == [2, 28, 28]
    with pytest.raises(errors.UsageError, match="Unknown final_endpoint 'MaxPool_3a_3x3'"):
        base(_images(2, 28, 28, 192), final_endpoint='MaxPool_3a_3x3', include_root_block=False)


@pytest.mark.parametrize(
    ('network', 'arguments', 'last', 'pooled', 'channels'),
    [
        (inception.inception_v1, {'global_pool': True}, 'Mixed_5c', 'global_pool', 1024),
        (inception.inception_v2, {}, 'Mixed_5c', 'AvgPool_1a', 1024),
        (inception.inception_v3, {}, 'Mixed_7c', 'AvgPool_1a', 2048),
        (inception.inception_v4, {}, 'Mixed_7d', 'global_pool', 1536),
        pytest.param(
            *(inception.inception_resnet_v2, {}, 'Conv2d_7b_1x1', 'global_pool', 1536),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_without_classes_the_pooled_features_are_returned(
    network, arguments, last, pooled, channels
):
    """At half the published size, in the numbers of all five."""
    size = network.default_image_size // 2 + 1
    num_classes = None if network is inception.inception_v3 else 0
    net, end_points = network(_images(2, size, size, 3), num_classes, **arguments)
    side = 4 if size == 113 else 3
    assert end_points[last].shape.as_list() == [2, side, side, channels]
    assert list(end_points) == [*_end_points(network.__name__, last), pooled]
    assert net is end_points[pooled]
    assert net.shape.as_list() == [2, 1, 1, channels]
    assert '/Logits/' in net.op.name


@pytest.mark.parametrize('name', BASES)
def test_reuse_finds_existing_variables_only(name):
    with pytest.raises(ValueError, match='does not exist'):
        getattr(inception, name)(_images(1, 224, 224, 3), reuse=True)


def test_training_and_evaluation_share_their_variables():
    with slim.arg_scope(inception.inception_v2_arg_scope()):
        inception.inception_v2(_images(2, 32, 32, 3), 5, **NARROW)
        variables = len(tf.global_variables())
        updates = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        logits, _ = inception.inception_v2(
            _images(1, 32, 32, 3), 5, is_training=False, reuse=True, **NARROW
        )
    assert logits.shape.as_list() == [1, 5]
    assert len(tf.global_variables()) == variables
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == updates == 2 * 68


@pytest.mark.parametrize(
    ('module', 'arguments'),
    [
        (inception_v1, {'global_pool': True}),
        (inception_v2, {'global_pool': True}),
        (inception_v3, {'global_pool': True, 'create_aux_logits': False}),
        (inception_v4, {'create_aux_logits': False}),
        (inception_resnet_v2, {'create_aux_logits': False}),
    ],
)
def test_dropout_keeps_the_share_it_is_told(monkeypatch, module, arguments):
    name = module.__name__.removeprefix('nets.')
    monkeypatch.setattr(module, f'{name}_base', lambda inputs, **_: (inputs, {}))
    for is_training in (True, False):
        getattr(module, name)(
            _images(1, 9, 9, 4),
            5,
            is_training=is_training,
            dropout_keep_prob=0.25,
            scope=f'training_{is_training}',
            **arguments,
        )
    factors = [
        (op.name.split('/')[0], float(tf.get_static_value(op.inputs[1])))
        for op in tf.get_default_graph().get_operations()
        if op.type == 'Mul' and '/Dropout' in op.name and op.inputs[1].op.type == 'Const'
    ]
    assert factors == [('training_True', 4.0)]


@pytest.mark.parametrize(
    ('module', 'end_point'),
    [
        (inception_v3, 'Mixed_6e'),
        (inception_v4, 'Mixed_6h'),
        (inception_resnet_v2, 'PreAuxLogits'),
    ],
)
def test_auxiliary_head_reads_the_last_of_the_17x17_maps(monkeypatch, module, end_point):
    name = module.__name__.removeprefix('nets.')
    maps = {key: _images(1, 17, 17, 4) for key in _end_points(name, end_point)}
    net = _images(1, 8, 8, 4)
    monkeypatch.setattr(module, f'{name}_base', lambda *_, **__: (net, dict(maps)))
    getattr(module, name)(_images(1, 299, 299, 3), 5)
    read = [
        op.inputs[0]
        for op in tf.get_default_graph().get_operations()
        if op.type == 'AvgPool' and '/AuxLogits/' in op.name
    ]
    assert len(read) == 1
    assert read[0] is maps[end_point]


# Sizes


@pytest.mark.slow
@pytest.mark.parametrize(
    ('network', 'arguments', 'size'),
    [
        (inception.inception_v1, {}, (224, 200)),
        (inception.inception_v2, {**NARROW, 'global_pool': True}, (80, 300)),
        (inception.inception_v3, {**NARROW, 'create_aux_logits': False}, (299, 320)),
    ],
)
def test_images_of_any_size_give_the_logits_of_a_known_size(network, arguments, size):
    known, unknown = _images(1, *size, 3), _images(None, None, None, 3)
    logits, end_points = network(known, 5, is_training=False, **arguments)
    same_logits, _ = network(unknown, 5, is_training=False, reuse=True, **arguments)
    assert same_logits.shape.as_list() == [None, 5]
    assert 'AuxLogits' not in end_points
    images = _random(1, *size, 3)
    values = _run([logits, same_logits], {known: images, unknown: images})
    assert np.ptp(values[0]) > 0
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4, atol=1e-7)


def test_without_the_auxiliary_head_inception_v4_takes_any_size():
    logits, end_points = inception.inception_v4(
        _images(None, None, None, 3), 5, create_aux_logits=False
    )
    assert logits.shape.as_list() == [None, 5]
    assert end_points['Mixed_7d'].shape.as_list() == [None, None, None, 1536]
    assert 'AuxLogits' not in end_points


def test_pooling_a_map_of_unknown_size():
    known, unknown = _images(2, 3, 5, 4), _images(2, None, 5, 4)
    pooled = [inception_utils.pool_map(net, 'Pool') for net in (known, unknown)]
    assert [net.op.type for net in pooled] == ['AvgPool', 'Mean']
    values = _random(2, 3, 5, 4)
    expected = values.mean(axis=(1, 2), keepdims=True)
    for got in _run(pooled, {known: values, unknown: values}):
        np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ('shape', 'kernel'),
    [((17, 17), '5x5'), ((12, 12), '3x3'), ((5, 17), '1x5'), ((None, 17), '5x5')],
)
def test_auxiliary_kernel_of_inception_v3_follows_the_image(shape, kernel):
    logits = inception_v3._auxiliary_logits(_images(2, *shape, 8), 5, lambda depth: 4, True)
    names = [variable.op.name for variable in tf.trainable_variables()]
    assert f'AuxLogits/Conv2d_2a_{kernel}/weights' in names
    assert logits.shape.as_list() == [2, 5]


def test_logits_may_keep_height_and_width():
    logits, end_points = inception.inception_v2(
        _images(1, 300, 224, 3), 5, spatial_squeeze=False, **NARROW
    )
    assert logits.shape.as_list() == [1, 2, 1, 5]
    assert end_points['Predictions'].shape.as_list() == [1, 2, 1, 5]


def test_prediction_fn_makes_the_predictions():
    def prediction_fn(logits, scope):
        return tf.nn.sigmoid(logits, name=scope)

    logits, end_points = inception.inception_v2(
        _images(1, 32, 32, 3), 5, prediction_fn=prediction_fn, **NARROW
    )
    assert end_points['Predictions'].op.name == 'InceptionV2/Predictions'
    assert end_points['Predictions'].op.inputs[0] is logits


# Widths


@pytest.mark.parametrize(
    ('base', 'final_endpoint'),
    [(inception.inception_v2_base, 'Mixed_4a'), (inception.inception_v3_base, 'Mixed_5b')],
)
def test_widths_are_truncated_and_no_less_than_the_minimum(base, final_endpoint):
    images = _images(1, 75, 75, 3)
    base(images, final_endpoint, scope='full')
    full = _widths()
    base(images, final_endpoint, scope='narrow', depth_multiplier=0.35, min_depth=30)
    assert _widths()[len(full) :] == [max(int(width * 0.35), 30) for width in full]


# Data format of Inception V2


def _v2_end_points(images: tf.Tensor, **arguments):
    scope = inception.inception_v2_arg_scope()
    with slim.arg_scope(scope), slim.arg_scope([slim.batch_norm], is_training=False):
        return inception.inception_v2_base(
            images, final_endpoint='Mixed_4a', use_separable_conv=False, **arguments
        )[1]


def test_channels_first_is_the_same_network_transposed():
    last = _v2_end_points(_images(2, 64, 96, 3))
    variables = [(variable.op.name, variable.shape) for variable in tf.global_variables()]
    with tf.Graph().as_default() as graph:
        first = _v2_end_points(_images(2, 3, 64, 96), data_format='NCHW')
        assert [(v.op.name, v.shape) for v in tf.global_variables()] == variables
    assert list(first) == list(last)
    for name, net in first.items():
        batch, channels, height, width = net.shape.as_list()
        assert [batch, height, width, channels] == last[name].shape.as_list(), name
    formats = {'Conv2D', 'MaxPool', 'AvgPool', 'FusedBatchNormV3'}
    assert {
        (op.type, op.get_attr('data_format')) for op in graph.get_operations() if op.type in formats
    } == {(op_type, b'NCHW') for op_type in formats}


def test_first_layer_is_separable_unless_told_otherwise():
    inception.inception_v2_base(_images(1, 32, 32, 3), 'Conv2d_1a_7x7', scope='a')
    inception.inception_v2_base(
        _images(1, 32, 32, 3), 'Conv2d_1a_7x7', scope='b', depth_multiplier=0.25
    )
    inception.inception_v2_base(
        _images(1, 32, 32, 3), 'Conv2d_1a_7x7', scope='c', use_separable_conv=False
    )
    shapes = {variable.op.name: variable.shape.as_list() for variable in slim.get_variables()}
    assert shapes['a/Conv2d_1a_7x7/depthwise_weights'] == [7, 7, 3, 8]
    assert shapes['b/Conv2d_1a_7x7/depthwise_weights'] == [7, 7, 3, 5]  # 16 / 3, rounded down
    assert shapes['c/Conv2d_1a_7x7/weights'] == [7, 7, 3, 64]


# Blocks


@pytest.mark.parametrize(
    ('block', 'scope', 'shape'),
    [
        (inception.block_inception_a, 'BlockInceptionA', [1, 9, 9, 384]),
        (inception.block_reduction_a, 'BlockReductionA', [1, 4, 4, 648]),
        (inception.block_inception_b, 'BlockInceptionB', [1, 9, 9, 1024]),
        (inception.block_reduction_b, 'BlockReductionB', [1, 4, 4, 520]),
        (inception.block_inception_c, 'BlockInceptionC', [1, 9, 9, 1536]),
    ],
)
def test_blocks_of_inception_v4(block, scope, shape):
    images = _images(1, 9, 9, 8)
    net = block(images)
    assert (net.op.name, net.shape.as_list()) == (f'{scope}/concat', shape)
    assert block(images, scope='mine').op.name == 'mine/concat'
    variables = len(tf.global_variables())
    block(images, scope='mine', reuse=True)
    assert len(tf.global_variables()) == variables


@pytest.mark.parametrize('block', [inception.block35, inception.block17, inception.block8])
def test_residual_blocks_add_a_scaled_part(block):
    images = _images(1, 5, 5, 6)
    net = block(images, scale=0.0)
    assert net.op.name == f'{block.__name__.capitalize()}/Relu'
    reuse = {'scope': block.__name__.capitalize(), 'reuse': True}
    linear = [block(images, scale, None, **reuse) for scale in (0.5, 1.0)]
    bounded = block(images, 1e9, tf.nn.relu6, **reuse)
    assert len(tf.global_variables()) == 2 * len(_widths())  # weights and biases, once
    values = _random(1, 5, 5, 6)
    rectified, half, whole, clipped = _run([net, *linear, bounded], {images: values})
    np.testing.assert_array_equal(rectified, np.maximum(values, 0))
    np.testing.assert_allclose(2 * (half - values), whole - values, rtol=1e-4, atol=1e-5)
    assert np.abs(whole - values).max() > 0.01
    # What is added is clipped to -6..6 before the sum is.
    expected = np.clip(values + 6 * np.sign(whole - values), 0, 6)
    np.testing.assert_allclose(clipped, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('arguments', 'sides'),
    [
        ({}, [75, 73, 73, 36, 36, 34, 16, 16, 7]),
        ({'align_feature_maps': True}, [76, 76, 76, 38, 38, 38, 19, 19, 10]),
        ({'output_stride': 8}, [75, 73, 73, 36, 36, 34, 16, 16, 14]),
        ({'output_stride': 8, 'align_feature_maps': True}, [76, 76, 76, 38, 38, 38, 19, 19, 19]),
    ],
)
def test_maps_of_inception_resnet(monkeypatch, arguments, sides):
    monkeypatch.setattr(slim, 'repeat', lambda net, *_, **__: net)
    _, end_points = inception.inception_resnet_v2_base(
        _images(1, 151, 151, 3), 'PreAuxLogits', **arguments
    )
    assert [net.shape.as_list()[1] for net in end_points.values()] == [*sides, sides[-1]]


@pytest.fixture
def single_blocks(monkeypatch):
    """One block of Inception-ResNet where the network repeats it 10, 20 or 9 times."""
    repeat = slim.repeat
    monkeypatch.setattr(slim, 'repeat', lambda net, _, *args, **kw: repeat(net, 1, *args, **kw))


def test_output_stride_8_dilates_the_blocks_behind_mixed_6a(single_blocks):
    net, _ = inception.inception_resnet_v2_base(
        _images(1, 43, 43, 3), 'PreAuxLogits', output_stride=8
    )
    assert net.op.name == 'InceptionResnetV2/Repeat_1/block17_1/Relu'
    dilated = {
        op.name.split('/')[1]
        for op in tf.get_default_graph().get_operations()
        if op.type == 'SpaceToBatchND'
        or (op.type == 'Conv2D' and op.get_attr('dilations') != [1, 1, 1, 1])
    }
    assert dilated == {'Repeat_1'}


def test_sums_of_inception_resnet(single_blocks):
    """Their scales, and that `activation_fn` is theirs alone; the very last has none."""
    inception.inception_resnet_v2(_images(1, 75, 75, 3), 0, activation_fn=tf.nn.elu)
    operations = tf.get_default_graph().get_operations()
    blocks = ['block35_1', 'block17_1', 'block8_1']
    assert [op.name.split('/')[-2] for op in operations if op.type == 'Elu'] == blocks
    scales = {
        op.name.split('/')[-2]: float(tf.get_static_value(op.inputs[1]))
        for op in operations
        if op.type == 'Mul' and 'Initializer' not in op.name
    }
    assert list(scales) == [*blocks, 'Block8']
    np.testing.assert_allclose(list(scales.values()), [0.17, 0.1, 0.2, 1.0])


# Arg scopes

SCOPES = {
    'inception_v3': (inception.inception_v3_base, inception.inception_v3_arg_scope),
    'inception_resnet_v2': (
        inception.inception_resnet_v2_base,
        inception.inception_resnet_v2_arg_scope,
    ),
}


@pytest.mark.parametrize('name', SCOPES)
def test_arg_scope_sets_the_batch_norm(name):
    base, arg_scope = SCOPES[name]
    with slim.arg_scope(arg_scope()):
        base(_images(1, 75, 75, 3), 'Conv2d_2a_3x3')
    assert not [v for v in tf.global_variables() if v.op.name.endswith('gamma')]
    scope = arg_scope(
        batch_norm_scale=True,
        batch_norm_epsilon=0.5,
        batch_norm_updates_collections='mine',
        activation_fn=tf.nn.elu,
    )
    with slim.arg_scope(scope):
        net, _ = base(_images(1, 75, 75, 3), 'Conv2d_2a_3x3', scope='scaled')
    gammas = [v for v in tf.global_variables() if v.op.name.endswith('gamma')]
    assert [v.op.name.split('/')[:2] for v in gammas] == [
        ['scaled', 'Conv2d_1a_3x3'],
        ['scaled', 'Conv2d_2a_3x3'],
    ]
    assert net.op.type == 'Elu'
    assert net.op.inputs[0].op.get_attr('epsilon') == 0.5
    assert len(tf.get_collection('mine')) == 4


def test_arg_scope_without_batch_norm_has_biases():
    with slim.arg_scope(inception.inception_v1_arg_scope(use_batch_norm=False)):
        inception.inception_v1_base(_images(1, 32, 32, 3), 'Conv2d_1a_7x7')
    assert [variable.op.name for variable in tf.global_variables()] == [
        'InceptionV1/Conv2d_1a_7x7/weights',
        'InceptionV1/Conv2d_1a_7x7/biases',
    ]


# Bad input

_V1, _V2, _V3 = inception.inception_v1, inception.inception_v2, inception.inception_v3
_V4, _RESNET = inception.inception_v4, inception.inception_resnet_v2
_NO_AUX = {'create_aux_logits': False}
_RESNET_BASE = inception.inception_resnet_v2_base


@pytest.mark.parametrize(
    ('network', 'size', 'arguments', 'message'),
    [
        (_V1, 96, {}, r'96 x 96 pixels; without global_pool=True .* needs 193 to 224 per side'),
        (_V1, 192, {'num_classes': 0}, 'without global_pool=True .* 193 or more'),
        (_V1, 192, {'spatial_squeeze': False}, '193 or more'),
        (_V1, 225, {}, '193 to 224'),
        (_V2, 257, {}, 'without global_pool=True this network needs 1 to 256'),
        (_V3, 106, {}, 'without create_aux_logits=False this network needs 107 to 346'),
        (_V3, 347, {'global_pool': True}, '107 to 346'),
        (_V3, 106, {'spatial_squeeze': False}, '107 or more'),
        (_V3, 74, _NO_AUX, 'without global_pool=True this network needs 75 to 362'),
        (_V3, 363, _NO_AUX, '75 to 362'),
        (_V3, 74, {'num_classes': None}, 'at least 75 x 75'),
        (_V4, 106, {}, 'without create_aux_logits=False this network needs 107 or more'),
        (_V4, 74, _NO_AUX, 'at least 75 x 75'),
        (_V4, None, {}, 'head needs a known size: give create_aux_logits=False'),
        (_RESNET, 106, {}, 'without create_aux_logits=False this network needs 107 or more'),
        (_RESNET, 74, _NO_AUX, 'at least 75 x 75'),
        (_RESNET, None, {}, 'head needs a known size: give create_aux_logits=False'),
        (BASES['inception_v3'], 42, {'final_endpoint': 'Mixed_6e'}, 'at least 43 x 43'),
        (_RESNET_BASE, 128, {'output_stride': 32}, 'output stride is 32; allowed are 8, 16'),
        (
            _RESNET_BASE,
            128,
            {'output_stride': 8},
            "not at Conv2d_7b_1x1: give final_endpoint='PreA",
        ),
        (
            _RESNET_BASE,
            128,
            {'output_stride': 8, 'final_endpoint': 'Mixed_7a'},
            'ends at PreAuxLogits or before, not at Mixed_7a',
        ),
        (BASES['inception_v2'], 64, {'data_format': 'NCWH'}, "Unknown data_format 'NCWH'.*'NCHW'"),
        (BASES['inception_v2'], 64, {'data_format': 'NCHW'}, 'give use_separable_conv=False'),
        (_V2, 224, {'depth_multiplier': 0.0}, 'multiplier is 0.0; it must be above 0'),
        (_V3, 299, {'depth_multiplier': -0.1}, 'multiplier is -0.1'),
        *(
            (getattr(inception, name), 200, {'num_classes': -1}, 'num_classes is -1')
            for name in BASES
        ),
        *(
            (base, 128, {'final_endpoint': 'Mixed_5bb'}, "Unknown final_endpoint.*'Mixed_5b'")
            for base in BASES.values()
        ),
    ],
)
def test_bad_input_is_refused_before_any_variable(network, size, arguments, message):
    with pytest.raises(errors.UsageError, match=message):
        network(_images(1, size, size, 3), **arguments)
    assert not tf.global_variables()


@pytest.mark.parametrize('name', [*BASES, *(f'{name}_base' for name in BASES)])
def test_images_have_four_dimensions(name):
    with pytest.raises(errors.UsageError, match=r'expected \[batch, height, width, channels\]'):
        getattr(inception, name)(_images(224, 224, 3))
    assert not tf.global_variables()


@pytest.mark.slow
@pytest.mark.parametrize(
    ('network', 'size', 'arguments'),
    [
        (_V1, (193, 224), {}),
        (_V3, (107, 346), NARROW),
        (_V3, (75, 362), {**NARROW, **_NO_AUX}),
    ],
)
def test_images_at_the_limits_fit(network, size, arguments):
    logits, _ = network(_images(1, *size, 3), 5, **arguments)
    assert logits.shape.as_list() == [1, 5]
