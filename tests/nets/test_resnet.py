"""Both versions of ResNet as a library: blocks, strides, end points, sizes, scopes, bad input."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets import resnet_utils, resnet_v1, resnet_v2
from slim import errors

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _seeded(graph: tf.Graph) -> None:
    """Networks as narrow as these may die of an unlucky start."""
    tf.set_random_seed(0)


class Version(NamedTuple):
    module: ModuleType
    resnet: Any
    block: Any
    unit: str  # scope of a unit

    def blocks(self, num_units: int) -> list[resnet_utils.Block]:
        """Four narrow blocks with the strides of the published networks."""
        return [
            self.block(f'block{number}', base_depth=number, num_units=num_units, stride=stride)
            for number, stride in enumerate((2, 2, 2, 1), start=1)
        ]


V1 = Version(resnet_v1, resnet_v1.resnet_v1, resnet_v1.resnet_v1_block, 'bottleneck_v1')
V2 = Version(resnet_v2, resnet_v2.resnet_v2, resnet_v2.resnet_v2_block, 'bottleneck_v2')
both = pytest.mark.parametrize('version', [V1, V2], ids=['v1', 'v2'])


def _small(version, images, num_classes=10, num_units=1, **arguments):
    """A narrow network of four blocks; in inference form unless `is_training` says otherwise."""
    arguments = {'is_training': False, 'scope': 'small', **arguments}
    with slim.arg_scope(resnet_utils.resnet_arg_scope()):
        return version.resnet(images, version.blocks(num_units), num_classes, **arguments)


def _images(*shape: int | None) -> tf.Tensor:
    return tf.placeholder(tf.float32, shape or (2, 32, 32, 3))


def _noise(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).normal(size=shape).astype(np.float32)


def _run(tensors: Any, feed: Any = None, **assigned: np.ndarray) -> Any:
    """Values of `tensors` with fresh variables, some of them set: name with __ for / -> value."""
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            key = variable.op.name.replace('/', '__')
            if key in assigned:
                variable.load(np.broadcast_to(assigned[key], variable.shape.as_list()), session)
        return session.run(tensors, feed)


def _operations(op_type: str) -> list[tf.Operation]:
    return [op for op in tf.get_default_graph().get_operations() if op.type == op_type]


# Layers


def test_subsample_takes_every_nth_pixel():
    image = tf.constant(np.arange(15, dtype=np.float32).reshape([1, 3, 5, 1]))
    assert resnet_utils.subsample(image, 1) is image
    assert _run(resnet_utils.subsample(image, 2)).ravel().tolist() == [0, 2, 4, 10, 12, 14]


@pytest.mark.parametrize('size', [4, 5])
@pytest.mark.parametrize(('kernel_size', 'stride'), [(3, 2), (3, 3), (7, 2)])
def test_conv2d_same_is_the_dense_convolution_subsampled(size, kernel_size, stride):
    images = tf.constant(_noise(1, size, size, 2))
    strided = resnet_utils.conv2d_same(images, 3, kernel_size, stride, scope='conv')
    with tf.variable_scope('', reuse=True):
        dense = resnet_utils.conv2d_same(images, 3, kernel_size, 1, scope='conv')
        plain = slim.conv2d(images, 3, kernel_size, stride=stride, scope='conv')
    strided, expected, plain = _run([strided, resnet_utils.subsample(dense, stride), plain])
    np.testing.assert_allclose(strided, expected, atol=1e-5)
    # What it is there for: SAME padding agrees with it or not, by the size of the image.
    assert np.allclose(plain, expected, atol=1e-5) == ((size - 1) % stride == 0)


def test_conv2d_same_dilates():
    images = tf.constant(_noise(1, 9, 9, 2))
    dilated = resnet_utils.conv2d_same(images, 3, 3, stride=1, rate=2, scope='conv')
    with tf.variable_scope('', reuse=True):
        coarse = resnet_utils.conv2d_same(images[:, ::2, ::2], 3, 3, stride=1, scope='conv')
    dilated, coarse = _run([dilated, coarse])
    np.testing.assert_allclose(dilated[:, ::2, ::2], coarse, atol=1e-5)


# Units


def test_v1_adds_its_input_then_activates():
    net = tf.constant(_noise(1, 3, 3, 4))
    output = resnet_v1.bottleneck(net, depth=4, depth_bottleneck=2, stride=1)
    output, net = _run([output, net], bottleneck_v1__conv3__weights=0)
    np.testing.assert_array_equal(output, np.maximum(net, 0))


def test_v2_adds_its_input_as_it_is():
    net = tf.constant(_noise(1, 3, 3, 4))
    output = resnet_v2.bottleneck(net, depth=4, depth_bottleneck=2, stride=1)
    output, net = _run([output, net], bottleneck_v2__conv3__weights=0)
    np.testing.assert_array_equal(output, net)


def test_v2_projects_its_activated_input():
    net = tf.constant(_noise(1, 4, 4, 3))
    with slim.arg_scope([slim.batch_norm], is_training=False, epsilon=0.0):
        output = resnet_v2.bottleneck(net, depth=4, depth_bottleneck=2, stride=2)
    fixed = {'bottleneck_v2__conv3__weights': 0, 'bottleneck_v2__shortcut__weights': 1}
    output, net = _run([output, net], **fixed, bottleneck_v2__shortcut__biases=-1)
    expected = np.maximum(net, 0).sum(axis=3)[:, ::2, ::2] - 1
    np.testing.assert_allclose(output, np.stack([expected] * 4, axis=3), atol=1e-4)


def test_bounded_activations_of_v1():
    net = tf.constant(100 * _noise(1, 4, 4, 3))
    with slim.arg_scope([resnet_v1.bottleneck], use_bounded_activations=True):
        output = resnet_v1.bottleneck(net, depth=4, depth_bottleneck=2, stride=1)
    shortcut, output = _run(['bottleneck_v1/shortcut/Relu6:0', output])
    assert shortcut.max() == 6
    assert output.max() == 6
    residual = _run('bottleneck_v1/clip_by_value:0')
    assert (residual.min(), residual.max()) == (-6, 6)


# Blocks


@both
def test_a_block_strides_in_its_last_unit(version):
    block = version.block('block7', base_depth=5, num_units=3, stride=2)
    assert (block.scope, block.unit_fn) == ('block7', version.module.bottleneck)
    unit = {'depth': 20, 'depth_bottleneck': 5, 'stride': 1}
    assert block.args == [unit, unit, {**unit, 'stride': 2}]
    assert block == resnet_utils.Block('block7', version.module.bottleneck, block.args)


def test_units_of_ones_own():
    """A unit without a stride is not given one, and counts as stride 1."""
    seen = []

    def unit(net, rate, **arguments):
        seen.append((rate, arguments))
        return net

    blocks = [resnet_utils.Block('block', unit, [{'stride': 2}, {'width': 3}, {'stride': 3}])]
    resnet_utils.stack_blocks_dense(_images(), blocks, output_stride=2)
    assert seen == [(1, {'stride': 2}), (1, {'width': 3}), (1, {'stride': 1})]
    seen.clear()
    resnet_utils.stack_blocks_dense(_images(), [*blocks, blocks[0]], output_stride=1)
    assert [rate for rate, _ in seen] == [1, 2, 2, 6, 12, 12]


@both
def test_end_points_by_scope_in_order(version):
    _, end_points = _small(version, _images(), num_units=2)
    expected = ['small/conv1']
    for block in range(1, 5):
        for unit in (1, 2):
            prefix = f'small/block{block}/unit_{unit}/{version.unit}'
            layers = ['shortcut'] if unit == 1 else []
            expected += [f'{prefix}/{layer}' for layer in [*layers, 'conv1', 'conv2', 'conv3']]
            expected.append(prefix)
        expected.append(f'small/block{block}')
    expected += ['global_pool', 'small/logits', 'small/spatial_squeeze', 'predictions']
    assert list(end_points) == expected


@both
def test_an_input_as_wide_as_the_output_needs_no_projection(version):
    net = resnet_utils.stack_blocks_dense(
        _images(2, 8, 8, 4), [version.block('block1', base_depth=1, num_units=1, stride=2)]
    )
    assert net.shape.as_list() == [2, 4, 4, 4]
    assert len(_operations('Conv2D')) == 3


@both
@pytest.mark.parametrize(
    ('arguments', 'sides'),
    [
        ({'output_stride': 32}, [8, 4, 2, 2]),  # as without one
        ({'output_stride': 8}, [8, 8, 8, 8]),
        ({'output_stride': 4}, [16, 16, 16, 16]),
        ({'include_root_block': False}, [32, 16, 8, 8]),
        ({'include_root_block': False, 'output_stride': 2}, [32, 32, 32, 32]),
    ],
)
def test_sides_of_the_blocks(version, arguments, sides):
    net, end_points = _small(version, _images(1, 64, 64, 3), None, global_pool=False, **arguments)
    shapes = [end_points[f'small/block{number}'].shape.as_list() for number in range(1, 5)]
    assert shapes == [[1, side, side, 4 * (i + 1)] for i, side in enumerate(sides)]
    assert net.shape.as_list() == shapes[-1]
    assert ('small/conv1' in end_points) == arguments.get('include_root_block', True)


@both
@pytest.mark.slow
@pytest.mark.parametrize('output_stride', [4, 16])
def test_dense_outputs_are_the_strided_ones_and_more(version, output_stride):
    images = tf.constant(_noise(2, 65, 33, 3))
    arguments = {'num_units': 2, 'global_pool': False, 'spatial_squeeze': False}
    dense, _ = _small(version, images, output_stride=output_stride, **arguments)
    strided, _ = _small(version, images, reuse=True, **arguments)
    dense, strided = _run([dense, strided])
    factor = 32 // output_stride
    np.testing.assert_allclose(dense[:, ::factor, ::factor], strided, atol=1e-4)
    assert np.ptp(strided) > 1e-2
    assert dense.shape[1] == 64 // output_stride + 1


@pytest.mark.parametrize('output_stride', [1, 4, None])
def test_activations_before_the_stride_may_be_kept(output_stride):
    images = tf.constant(_noise(1, 30, 31, 3))
    with slim.arg_scope(resnet_utils.resnet_arg_scope()):
        outputs, stored = [], []
        for keep in (False, True):
            with (
                tf.variable_scope('', reuse=keep),
                slim.arg_scope([slim.batch_norm], is_training=False),
            ):
                net = resnet_utils.stack_blocks_dense(
                    images, V1.blocks(2), output_stride, keep, outputs_collections=f'keep_{keep}'
                )
            outputs.append(net)
            stored.append(slim.utils.convert_collection_to_dict(f'keep_{keep}'))
    assert list(stored[0]) == list(stored[1]) == ['block1', 'block2', 'block3', 'block4']
    outputs, (strided, kept) = _run([outputs, stored])
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)
    for number in (1, 2, 3):
        reached = output_stride is not None and 2 ** (number - 1) >= output_stride
        name, step = f'block{number}', 1 if reached else 2
        np.testing.assert_allclose(kept[name][:, ::step, ::step], strided[name], atol=1e-5)


def test_the_network_hands_the_kept_activations_out():
    _, end_points = _small(V1, _images(1, 64, 64, 3), store_non_strided_activations=True)
    sides = [end_points[f'small/block{number}'].shape.as_list()[1] for number in range(1, 5)]
    assert sides == [16, 8, 4, 2]


# Heads and sizes


@both
@pytest.mark.parametrize(
    ('num_classes', 'arguments', 'shape', 'op', 'added'),
    [
        (10, {}, [2, 10], 'SpatialSqueeze', 4),
        (10, {'spatial_squeeze': False}, [2, 1, 1, 10], 'logits/BiasAdd', 3),
        (
            10,
            {'spatial_squeeze': False, 'global_pool': False},
            [2, 2, 2, 10],
            'logits/BiasAdd',
            2,
        ),
        (None, {}, [2, 1, 1, 16], 'pool5', 1),
        (0, {}, [2, 1, 1, 16], 'pool5', 1),
    ],
)
def test_heads(version, num_classes, arguments, shape, op, added):
    net, end_points = _small(version, _images(2, 64, 64, 3), num_classes, **arguments)
    assert net.shape.as_list() == shape
    assert net.op.name == f'small/{op}'
    heads = ['global_pool', 'small/logits', 'small/spatial_squeeze', 'predictions']
    assert sum(name in end_points for name in heads) == added
    if num_classes:
        assert end_points['predictions'].shape.as_list() == shape


@both
def test_batch_and_size_may_be_unknown(version):
    images = _images(None, None, None, 3)
    pooled, _ = _small(version, images)
    dense, _ = _small(version, images, global_pool=False, spatial_squeeze=False, reuse=True)
    assert pooled.shape.as_list() == [None, 10]
    assert dense.shape.as_list() == [None, None, None, 10]
    pooled, dense = _run([pooled, dense], {images: _noise(2, 33, 65, 3)})
    assert (pooled.shape, dense.shape) == ((2, 10), (2, 2, 3, 10))


@both
def test_one_pixel_is_enough(version):
    logits, _ = _small(version, tf.constant(_noise(1, 1, 1, 3)))
    assert np.isfinite(_run(logits)).all()


@both
def test_networks_of_one_graph_may_share_their_variables(version):
    _, end_points = _small(version, _images(), is_training=True)
    names = [variable.op.name for variable in tf.global_variables()]
    _, shared = _small(version, _images(4, 64, 64, 3), reuse=True)
    assert [variable.op.name for variable in tf.global_variables()] == names
    assert list(shared) == list(end_points)
    assert shared['small/conv1'].shape.as_list() == [4, 32, 32, 64]
    assert end_points['small/conv1'].shape.as_list() == [2, 16, 16, 64]


@both
def test_is_training_of_none_leaves_batch_norm_to_the_caller(version):
    def training_norms():
        return sum(op.get_attr('is_training') for op in _operations('FusedBatchNormV3'))

    with slim.arg_scope([slim.batch_norm], is_training=False):
        _small(version, _images(), is_training=None)
        assert training_norms() == 0
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        _small(version, _images(), is_training=True, reuse=True)
        assert training_norms() == len(_operations('FusedBatchNormV3')) / 2


# Published networks


@pytest.mark.parametrize('num_layers', [50, 101, 152, 200])
@both
def test_published_networks_hand_on_all_arguments(version, num_layers, monkeypatch):
    name = version.resnet.__name__
    network = getattr(version.module, f'{name}_{num_layers}')
    monkeypatch.setattr(version.module, name, lambda **arguments: arguments)
    own = ('min_base_depth', 'depth_multiplier')
    parameters = list(inspect.signature(network).parameters)
    values = [f'value of {name}' for name in parameters]
    for argument in own:
        if argument in parameters:
            values[parameters.index(argument)] = 8
    handed_on = network(*values)
    blocks = handed_on.pop('blocks')
    assert sum(len(block.args) for block in blocks) * 3 + 2 == num_layers
    assert handed_on == {name: f'value of {name}' for name in parameters if name not in own}
    assert network(None)['scope'] == f'{name}_{num_layers}'


@pytest.mark.parametrize(
    ('arguments', 'widths'),
    [
        ({'depth_multiplier': 0.5}, [32, 64, 128, 256]),
        ({'depth_multiplier': 0.1, 'min_base_depth': 12}, [12, 12, 25, 51]),
    ],
)
def test_depth_multiplier(arguments, widths, monkeypatch):
    monkeypatch.setattr(resnet_v1, 'resnet_v1', lambda blocks, **_: blocks)
    blocks = resnet_v1.resnet_v1_50(_images(), **arguments)
    assert [block.args[0]['depth_bottleneck'] for block in blocks] == widths
    assert [block.args[-1]['depth'] for block in blocks] == [4 * width for width in widths]


# Arg scope


def _unit_in_scope(**arguments: Any) -> list[str]:
    """Names of the variables of a unit of v2."""
    with slim.arg_scope(resnet_utils.resnet_arg_scope(**arguments)):
        resnet_v2.bottleneck(_images(2, 4, 4, 4), depth=4, depth_bottleneck=2, stride=1)
    return [variable.op.name.partition('/')[2] for variable in tf.global_variables()]


def test_arg_scope_without_batch_norm_has_biases():
    names = _unit_in_scope(use_batch_norm=False)
    assert 'conv1/biases' in names
    assert not any('BatchNorm' in name for name in names)


def test_arg_scope_without_scale_has_no_gamma():
    assert not any('gamma' in name for name in _unit_in_scope(batch_norm_scale=False))


def test_arg_scope_sets_decay_epsilon_activation_and_penalty():
    _unit_in_scope(
        weight_decay=0.5, batch_norm_decay=0.9, batch_norm_epsilon=0.25, activation_fn=tf.nn.elu
    )
    norms = _operations('FusedBatchNormV3')
    assert {op.get_attr('epsilon') for op in norms} == {0.25}
    assert len(norms) == 3
    assert len(_operations('Elu')) == 2  # the first activation of a unit of v2 is always ReLU
    penalties = [op for op in _operations('Const') if op.name.endswith('l2_regularizer/scale')]
    assert [float(tf.get_static_value(op.outputs[0])) for op in penalties] == [0.5] * 3
    variance = next(
        v for v in tf.global_variables() if v.op.name.endswith('preact/moving_variance')
    )
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        session.run(
            tf.get_collection(tf.GraphKeys.UPDATE_OPS), {'Placeholder:0': np.zeros([2, 4, 4, 4])}
        )
        np.testing.assert_allclose(session.run(variance), 0.9, rtol=1e-6)  # from 1 towards 0


def test_arg_scope_may_update_in_the_forward_pass():
    _unit_in_scope(batch_norm_updates_collections=None)
    assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)


# Bad input


@both
@pytest.mark.parametrize(
    ('shape', 'num_classes', 'arguments', 'message'),
    [
        ((2, 32, 32), 10, {}, r'shape \(2, 32, 32\); expected \[batch, height, width, channels\]'),
        ((2, 0, 32, 3), 10, {}, r'0 x 32 pixels'),
        ((2, 32, 32, 3), -1, {}, 'num_classes is -1'),
        ((2, 32, 32, 3), 10, {'output_stride': 6}, 'stride is 6; allowed are None, 4, 8, 16, 32'),
        ((2, 32, 32, 3), 10, {'output_stride': 64}, 'stride is 64'),
        ((2, 32, 32, 3), 10, {'output_stride': 0}, 'stride is 0'),
        (
            (2, 32, 32, 3),
            10,
            {'output_stride': 16, 'include_root_block': False},
            'stride is 16; allowed are None, 1, 2, 4, 8',
        ),
    ],
)
def test_bad_input_is_refused_before_any_variable(version, shape, num_classes, arguments, message):
    with pytest.raises(errors.UsageError, match=message):
        _small(version, tf.placeholder(tf.float32, shape), num_classes, **arguments)
    assert not tf.global_variables()


def test_a_stack_refuses_a_stride_that_it_does_not_have():
    with pytest.raises(errors.UsageError, match='stride is 3; allowed are None, 1, 2, 4, 8'):
        resnet_utils.stack_blocks_dense(_images(), V1.blocks(2), output_stride=3)
    assert not tf.global_variables()


@pytest.mark.parametrize('depth_multiplier', [-0.5, -1.0])
def test_a_depth_multiplier_is_above_0(depth_multiplier):
    with pytest.raises(errors.UsageError, match='must be above 0'):
        resnet_v1.resnet_v1_50(_images(), depth_multiplier=depth_multiplier)
    assert not tf.global_variables()
