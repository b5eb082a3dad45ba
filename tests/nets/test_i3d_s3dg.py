"""I3D and S3D-G as libraries: layers over time, gating, sizes, data formats, bad input."""

from __future__ import annotations

from typing import Any

import golden_values
import network_facts
import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets import i3d, i3d_utils, nets_factory, s3dg
from slim import errors

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]

END_POINTS = [
    *('Conv2d_1a_7x7', 'MaxPool_2a_3x3', 'Conv2d_2b_1x1', 'Conv2d_2c_3x3', 'MaxPool_3a_3x3'),
    *('Mixed_3b', 'Mixed_3c', 'MaxPool_4a_3x3'),
    *('Mixed_4b', 'Mixed_4c', 'Mixed_4d', 'Mixed_4e', 'Mixed_4f', 'MaxPool_5a_2x2'),
    *('Mixed_5b', 'Mixed_5c'),
]
NARROW = {'depth_multiplier': 0.1, 'min_depth': 4}


def _videos(*shape: int | None) -> tf.Tensor:
    return tf.placeholder(tf.float32, shape or (2, 8, 32, 32, 3))


def _variables() -> dict[str, list[int]]:
    """Shapes of the variables by name below `InceptionV1/`."""
    return {
        variable.op.name.removeprefix('InceptionV1/'): variable.shape.as_list()
        for variable in tf.global_variables()
    }


def _count(op_type: str) -> int:
    return sum(op.type == op_type for op in tf.get_default_graph().get_operations())


# Layers


@pytest.mark.parametrize('final_endpoint', ['Conv2d_1a_7x7', 'Conv2d_2c_3x3', 'Mixed_4b'])
@pytest.mark.parametrize('base', [i3d.i3d_base, s3dg.s3dg_base])
def test_final_endpoint_ends_the_base(base, final_endpoint):
    arguments = {} if base is i3d.i3d_base else {'gating_startat': None}
    net, end_points = base(_videos(), final_endpoint=final_endpoint, **arguments)
    assert list(end_points) == END_POINTS[: END_POINTS.index(final_endpoint) + 1]
    assert net is end_points[final_endpoint]
    assert net.op.name.startswith(f'InceptionV1/{final_endpoint}')
    assert {name.split('/')[0] for name in _variables()} == {
        name for name in end_points if not name.startswith('MaxPool')
    }


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [
        ((2, 10, 112, 224, 3), [2, 2, 4, 7, 1024]),
        ((None, None, None, None, 3), [None, None, None, None, 1024]),
        ((1, 1, 1, 1, 3), [1, 1, 1, 1, 1024]),
    ],
)
def test_sides_are_divided_and_rounded_up(shape, expected):
    net, _ = i3d.i3d_base(_videos(*shape))
    assert net.shape.as_list() == expected


def _frames_of_kernels() -> dict[str, int]:
    """Greatest number of frames of a kernel by layer."""
    frames: dict[str, int] = {}
    for name, shape in _variables().items():
        if len(shape) == 5:
            layer = name.split('/')[0]
            frames[layer] = max(frames.get(layer, 0), shape[0])
    return frames


@pytest.mark.parametrize(
    ('start', 'first', 'over_time'),
    [
        ('Conv2d_2c_3x3', 1, ['Conv2d_2c_3x3', 'Mixed_3b', 'Mixed_3c', 'Mixed_4b']),
        ('Mixed_3c', 5, ['Mixed_3c', 'Mixed_4b']),
        (None, 7, []),
    ],
)
def test_layers_convolve_over_time_from_the_start_on(start, first, over_time):
    s3dg.s3dg_base(
        _videos(),
        first_temporal_kernel_size=first,
        temporal_conv_startat=start,
        gating_startat=None,
        final_endpoint='Mixed_4b',
        **NARROW,
    )
    expected = {name: 1 for name in END_POINTS[:9] if not name.startswith('MaxPool')}
    expected.update(dict.fromkeys(over_time, 3), Conv2d_1a_7x7=first)
    assert _frames_of_kernels() == expected


@pytest.mark.parametrize(
    ('start', 'gated'),
    [
        ('Conv2d_2c_3x3', ['Conv2d_2c_3x3', 'Mixed_3b', 'Mixed_3c', 'Mixed_4b']),
        ('Mixed_3c', ['Mixed_3c', 'Mixed_4b']),
        (None, []),
    ],
)
def test_layers_are_gated_from_the_start_on(start, gated):
    s3dg.s3dg_base(_videos(), gating_startat=start, final_endpoint='Mixed_4b', **NARROW)
    gates = [name.split('/')[0] for name in _variables() if 'self_gating' in name]
    assert {name: gates.count(name) for name in gates} == {
        name: 4 if name.startswith('Mixed') else 1 for name in gated
    }


def test_widths_are_multiplied_truncated_and_no_less_than_the_minimum():
    s3dg.s3dg_base(
        _videos(),
        final_endpoint='Mixed_3b',
        depth_multiplier=0.3,
        min_depth=10,
        gating_startat=None,
    )
    widths = [
        shape[-1]
        for name, shape in _variables().items()
        if len(shape) == 5 and 'temporal' not in name
    ]
    # 64, 64, 192 and the block's 64; 96, 128; 16, 32; 32 times 0.3
    assert widths == [19, 19, 57, 19, 28, 38, 10, 10, 10]


def test_separable_layers_have_their_time_last_and_without_norm():
    with slim.arg_scope(i3d.i3d_arg_scope(separable_conv3d=True)):
        i3d.i3d_base(_videos(), final_endpoint='Conv2d_2c_3x3')
    assert [name for name in _variables() if 'moving' not in name] == [
        'Conv2d_1a_7x7/weights',
        'Conv2d_1a_7x7/BatchNorm/beta',
        'Conv2d_1a_7x7/temporal/weights',
        'Conv2d_1a_7x7/temporal/biases',
        'Conv2d_2b_1x1/weights',
        'Conv2d_2b_1x1/BatchNorm/beta',
        'Conv2d_2c_3x3/weights',
        'Conv2d_2c_3x3/BatchNorm/beta',
        'Conv2d_2c_3x3/temporal/weights',
        'Conv2d_2c_3x3/temporal/biases',
    ]
    assert _variables()['Conv2d_1a_7x7/temporal/weights'] == [7, 1, 1, 64, 64]
    assert _count('Relu') == 5


@pytest.mark.parametrize(('stride', 'expected'), [(1, 1), (2, 2), ([2, 1, 1], (2, 1, 1))])
def test_convolution_over_time_starts_as_the_identity(stride, expected):
    videos = tf.placeholder(tf.float32, [1, 4, 6, 5, 2])
    separable = i3d_utils.conv3d_spatiotemporal(
        videos, 3, [3, 3, 3], stride=stride, separable=True, scope='conv'
    )
    strides = np.broadcast_to(expected, [3])
    with tf.variable_scope('', reuse=True):
        spatial = i3d_utils.conv3d_spatiotemporal(
            videos, 3, [1, 3, 3], stride=[1, *strides[1:]], separable=True, scope='conv'
        )
    # Padding is even around 4 frames, so that a stride of 2 keeps frames 1 and 3.
    frames = slice(None) if strides[0] == 1 else slice(1, None, 2)
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        values = np.random.RandomState(0).normal(size=videos.shape.as_list())
        got, kept = session.run([separable, spatial], {videos: values})
    assert np.abs(kept).max() > 0.1
    np.testing.assert_allclose(got, kept[:, frames], rtol=1e-5, atol=1e-6)


def test_center_initializer():
    with sessions.plain_session() as session:
        weights = session.run(i3d_utils.center_initializer()([5, 1, 1, 3, 3]))
    np.testing.assert_array_equal(weights[2, 0, 0], np.eye(3))
    assert weights.sum() == 3


@pytest.mark.parametrize(
    ('shape', 'dtype'),
    [
        ([3, 1, 1, 4, 4], tf.float16),
        ([1, 1, 4, 4], tf.float32),
        ([2, 1, 1, 4, 4], tf.float32),
        ([3, 3, 1, 4, 4], tf.float32),
        ([3, 1, 1, 4, 5], tf.float32),
    ],
)
def test_center_initializer_refuses_what_has_no_centre(shape, dtype):
    with pytest.raises(errors.UsageError, match='center_initializer'):
        i3d_utils.center_initializer()(shape, dtype)


@pytest.mark.parametrize('data_format', i3d_utils.DATA_FORMATS)
def test_self_gating_weighs_channels_by_all_averages(data_format):
    shape = [2, 3, 4, 5, 6]  # every side of its own
    channel_axis = data_format.index('C')
    net = tf.placeholder(tf.float32, shape)
    gated = s3dg.self_gating(net, 'layer', data_format)
    (weights,) = tf.global_variables()
    assert weights.op.name == 'layer/self_gating/transformer_W/weights'
    random = np.random.RandomState(0)
    matrix = random.normal(size=[shape[channel_axis]] * 2)
    values = random.normal(size=shape)
    with sessions.plain_session() as session:
        initial = weights.initializer.inputs[1]
        session.run(weights.initializer, {initial: matrix[None, None, None]})
        got = session.run(gated, {net: values})
    channels_last = np.moveaxis(values, channel_axis, -1)
    gates = 1 / (1 + np.exp(-channels_last.mean((1, 2, 3)) @ matrix))
    expected = channels_last * gates[:, None, None, None]
    np.testing.assert_allclose(np.moveaxis(got, channel_axis, -1), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [
        ([1, 8, 7, 9, 3], [2, 7, 7]),
        ([1, 1, 4, 5, 3], [1, 4, 5]),
        ([None, None, None, 5, 3], [2, 7, 5]),
    ],
)
def test_reduced_kernel_size_fits_what_is_known(shape, expected):
    assert i3d_utils.reduced_kernel_size_3d(_videos(*shape), [2, 7, 7]) == expected


# Whole networks


def test_number_of_frames_is_on_the_function():
    for name in ('i3d', 's3dg'):
        frames = network_facts.load_contract(name)['num_frames']
        assert nets_factory.get_network_fn(name, num_classes=10).default_num_frames == frames


def test_data_formats_and_unknown_sizes_give_the_same_numbers():
    shape = [2, 9, 40, 24, 3]
    known = _videos(*shape)
    unknown = tf.placeholder_with_default(known, [None, None, None, None, 3])
    channels_first = tf.transpose(known, [0, 4, 1, 2, 3])
    arguments = {'final_endpoint': 'Mixed_4b', **NARROW}
    with (
        slim.arg_scope(s3dg.s3dg_arg_scope()),
        slim.arg_scope([slim.batch_norm], is_training=False),
    ):
        net, _ = s3dg.s3dg_base(known, **arguments)
        variables = len(tf.global_variables())
        with tf.variable_scope('', reuse=True):
            of_unknown, _ = s3dg.s3dg_base(unknown, **arguments)
        logits, end_points = s3dg.s3dg(
            channels_first,
            num_classes=5,
            is_training=False,
            reuse=tf.AUTO_REUSE,
            data_format='NCDHW',
            **arguments,
        )
    assert len(tf.global_variables()) == variables + 2  # the classifier's
    assert end_points['Mixed_4b'].shape.as_list() == [2, 49, 3, 3, 2]
    assert logits.shape.as_list() == [2, 5]
    same = [net, of_unknown, tf.transpose(end_points['Mixed_4b'], [0, 2, 3, 4, 1])]
    values = np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
    with sessions.plain_session() as session:
        golden_values.initialize(session, tf.global_variables(), gain=1.0)
        # One after the other: side by side in one run, TF 2.15.0 computed all of them wrongly once.
        expected, *others = [session.run(one, {known: values}) for one in same]
    assert expected.max() > 0.1
    for got in others:
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * expected.max())


def test_logits_are_averaged_over_time():
    """With None for the classes the pooled features of each pair of frames are there to check."""
    videos = _videos(1, 8, 16, 16, 3)
    arguments = {'final_endpoint': 'Mixed_3b', 'is_training': False, **NARROW}
    features, end_points = s3dg.s3dg(videos, num_classes=None, **arguments)
    assert features.shape.as_list() == [1, 3, 1, 1, 26]
    assert list(end_points) == END_POINTS[:6]
    logits, _ = s3dg.s3dg(videos, num_classes=5, reuse=tf.AUTO_REUSE, **arguments)
    values = np.random.RandomState(0).uniform(-1, 1, videos.shape.as_list())
    with sessions.plain_session() as session:
        weights = golden_values.initialize(session, tf.global_variables(), gain=1.0)
        mixed, pooled, got = session.run(
            [end_points['Mixed_3b'], features, logits], {videos: values}
        )
    pairs = (mixed[:, :-1] + mixed[:, 1:]) / 2
    np.testing.assert_allclose(pooled, pairs.mean((2, 3), keepdims=True), rtol=1e-4, atol=1e-6)
    classifier = 'InceptionV1/Logits/Conv2d_0c_1x1'
    kernel = weights[f'{classifier}/weights'][0, 0, 0]
    expected = pooled[:, :, 0, 0].mean(1) @ kernel + weights[f'{classifier}/biases']
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_larger_frames_give_a_map_of_logits():
    videos = _videos(1, 8, 256, 224, 3)
    with pytest.raises(errors.UsageError, match='256 x 224 pixels; above 224 x 224'):
        i3d.i3d(videos)
    assert not tf.global_variables()
    logits, _ = i3d.i3d(videos, num_classes=5, spatial_squeeze=False)
    assert logits.shape.as_list() == [1, 2, 1, 5]


def test_an_early_end_point_has_smaller_frames_to_squeeze():
    arguments = {'final_endpoint': 'Mixed_3b', 'num_classes': 5, **NARROW}
    channels_first = _videos(1, 3, 8, 57, 56)
    with pytest.raises(errors.UsageError, match='57 x 56 pixels; above 56 x 56'):
        s3dg.s3dg(channels_first, data_format='NCDHW', **arguments)
    logits, end_points = s3dg.s3dg(_videos(1, 8, 56, 56, 3), prediction_fn=None, **arguments)
    assert logits.shape.as_list() == [1, 5]
    assert list(end_points) == [*END_POINTS[:6], 'Logits']


@pytest.mark.parametrize('is_training', [False, True])
def test_is_training_rules_dropout_and_batch_norm(is_training):
    videos = _videos(2, 8, 28, 28, 3)
    with slim.arg_scope(s3dg.s3dg_arg_scope()):
        s3dg.s3dg(videos, is_training=is_training, final_endpoint='Conv2d_2c_3x3', **NARROW)
    operations = tf.get_default_graph().get_operations()
    assert any('/Dropout_0b/dropout/' in op.name for op in operations) == is_training
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * 3 * is_training
    assert len(tf.get_collection('moving_vars')) == 2 * 3


def test_arg_scope_can_ask_for_renormalization():
    with slim.arg_scope(i3d.i3d_arg_scope(use_renorm=True)):
        i3d.i3d_base(_videos(), final_endpoint='Conv2d_1a_7x7')
    assert 'Conv2d_1a_7x7/BatchNorm/renorm_mean' in _variables()


# Bad input


@pytest.mark.parametrize(
    ('network', 'shape', 'arguments', 'message'),
    [
        (i3d.i3d, (2, 32, 32, 3), {}, r'expected \[batch, frames, height'),
        (i3d.i3d, (2, 8, 32, 32, 3), {'num_classes': -1}, 'num_classes is -1'),
        (i3d.i3d_base, (2, 8, 32, 32, 3), {'final_endpoint': 'Mixed_3d'}, "Did you mean 'Mixed_"),
        (i3d.i3d_base, (2, 8, 32, 32, 3), {'final_endpoint': None}, 'Unknown final_endpoint None'),
        (s3dg.s3dg, (2, 32, 32, 3), {}, r'expected \[batch, frames, height'),
        (s3dg.s3dg, (2, 8, 32, 32, 3), {'final_endpoint': 'Logits'}, 'Unknown final_endpoint'),
        (s3dg.s3dg, (2, 8, 32, 32, 3), {'depth_multiplier': 0}, 'multiplier is 0'),
        (s3dg.s3dg, (2, 8, 32, 32, 3), {'data_format': 'NHWC'}, "'NHWC'. Did you mean 'NDHWC'"),
        (
            s3dg.s3dg,
            (2, 8, 32, 32, 3),
            {'first_temporal_kernel_size': 4},
            'first_temporal_kernel_size is 4; give 1, 3, 5 or 7',
        ),
        (
            s3dg.s3dg,
            (2, 8, 32, 32, 3),
            {'temporal_conv_startat': 'Conv2d_2b_1x1'},
            'Unknown temporal_conv_startat .* mean .*Conv2d_2c_3x3',
        ),
        (
            s3dg.s3dg,
            (2, 8, 32, 32, 3),
            {'gating_startat': 'Mixed_6a'},
            "Unknown gating_startat 'Mixed_6a'",
        ),
    ],
)
def test_bad_input_is_refused_before_any_variable(
    network: Any, shape: tuple[int, ...], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.UsageError, match=message):
        network(tf.placeholder(tf.float32, shape), **arguments)
    assert not tf.global_variables()
