"""The networks as other suites use them: DeepLab, object detection, attention OCR, LSTM detection.

Written from what those suites are documented to do: they import `nets.*`, set arg scopes around a
network, take feature maps out of its end points by name and build on top of them. Numbers are those
of the classic networks: update operations, variables with their order, end points, strides.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import network_facts
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from nets import inception, inception_v2, mobilenet_v1, resnet_utils, resnet_v1
from nets.mobilenet import conv_blocks, mobilenet_v2, mobilenet_v3
from nets.mobilenet import mobilenet as lib
from slim import errors


def _images(side: int = 96) -> tf.Tensor:
    pixels = np.random.RandomState(0).uniform(-1, 1, [1, side, side, 3])
    return tf.constant(pixels, tf.float32)


def _update_ops() -> list[Any]:
    return tf.get_collection(tf.GraphKeys.UPDATE_OPS)


def _operations(kind: str) -> list[tf.Operation]:
    return [op for op in tf.get_default_graph().get_operations() if op.type == kind]


def _shapes(tensors: Any) -> list[list[int]]:
    return [tensor.shape.as_list()[1:] for tensor in tensors]


def _names() -> list[str]:
    return [variable.op.name for variable in tf.global_variables()]


def _dilations(scope: str) -> list[int]:
    """The rates of the dilated layers below a scope, in order: dilation is done by moving space to
    the batch, or by the convolution itself."""
    rates = []
    for operation in tf.get_default_graph().get_operations():
        if not operation.name.startswith(scope):
            continue
        if operation.type == 'SpaceToBatchND':
            rates.append(int(tf.get_static_value(operation.inputs[1])[0]))
        elif operation.type in ('Conv2D', 'DepthwiseConv2dNative'):
            rates += [rate for rate in operation.get_attr('dilations')[1:2] if rate > 1]
    return rates


# Single-shot detectors


def _hyperparams(is_training: bool = True) -> Any:
    """The arg scope that a detector's configuration asks for, as object detection makes one."""
    with (
        slim.arg_scope(
            [slim.batch_norm],
            is_training=is_training,
            decay=0.99,
            epsilon=0.01,
            center=True,
            scale=True,
        ),
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            weights_regularizer=slim.l2_regularizer(0.5),
            weights_initializer=tf.random_normal_initializer(stddev=0.25),
            activation_fn=tf.nn.relu6,
            normalizer_fn=slim.batch_norm,
        ) as scope,
    ):
        return scope


class Detector(NamedTuple):
    end_points: dict[str, tf.Tensor]
    maps: dict[str, tf.Tensor]  # what boxes are predicted from


class Backbone(NamedTuple):
    """How a detector of object detection uses a MobileNet."""

    base: Callable[..., Any]
    scope: str
    maps: tuple[str, str]  # of stride 16 and 32; the second one ends the network
    pyramid: tuple[str, ...]  # of stride 2, 4, 8, 16, 32
    contract: str
    update_ops: int  # of the classic network, with those of the extra layers
    arguments: dict[str, Any] = {}  # noqa: RUF012  (read only)
    side: int = 96


BACKBONES = {
    'v2': Backbone(
        mobilenet_v2.mobilenet_base,
        'MobilenetV2',
        ('layer_15/expansion_output', 'layer_19'),
        ('layer_2', 'layer_4', 'layer_7', 'layer_14', 'layer_19'),
        'mobilenet_v2',
        104 + 16,
    ),
    'v3_large': Backbone(
        functools.partial(mobilenet_v3.mobilenet_base, conv_defs=mobilenet_v3.V3_LARGE),
        'MobilenetV3',
        ('layer_14/expansion_output', 'layer_17'),
        ('layer_2', 'layer_4', 'layer_7', 'layer_13', 'layer_17'),
        'mobilenet_v3_large',
        92 + 16,
    ),
    'v3_small': Backbone(
        functools.partial(mobilenet_v3.mobilenet_base, conv_defs=mobilenet_v3.V3_SMALL),
        'MobilenetV3',
        ('layer_10/expansion_output', 'layer_13'),
        ('layer_1', 'layer_2', 'layer_4', 'layer_9', 'layer_13'),
        'mobilenet_v3_small',
        68 + 16,
        # 8 x 8 and 4 x 4 places: explicit padding leaves the strides what they are, as in V1, V2.
        {'use_explicit_padding': True, 'depth_multiplier': 0.75},
        128,
    ),
    'edgetpu': Backbone(
        functools.partial(mobilenet_v3.mobilenet_base, conv_defs=mobilenet_v3.V3_EDGETPU),
        'MobilenetEdgeTPU',
        ('layer_18/expansion_output', 'layer_23'),
        ('layer_2', 'layer_6', 'layer_10', 'layer_18', 'layer_23'),
        'mobilenet_edgetpu',
        114 + 16,  # without the last convolution
        {'use_explicit_padding': True},
    ),
}
EXTRA_DEPTHS = (64, 32, 32, 16)


def _extra_layers(net: tf.Tensor, from_layer: str) -> dict[str, tf.Tensor]:
    """Maps of stride 64 and on: a 1x1 convolution, then a 3x3 one of stride 2, for each."""
    maps = {}
    for number, depth in enumerate(EXTRA_DEPTHS, start=2):
        small = f'{from_layer}_1_Conv2d_{number}_1x1_{depth // 2}'
        large = f'{from_layer}_2_Conv2d_{number}_3x3_s2_{depth}'
        net = slim.conv2d(net, depth // 2, [1, 1], scope=small)
        net = slim.conv2d(net, depth, [3, 3], stride=2, scope=large)
        maps[large] = net
    return maps


def _detector(
    name: str,
    final_endpoint: str | None = None,
    is_training: bool = True,
    override: bool = False,
    **arguments: Any,
) -> Detector:
    """A detector's feature extractor, in the default graph.

    `override`: `override_base_feature_extractor_hyperparams`, the configuration's arg scope for the
    backbone as well. `final_endpoint` ends it before its extra layers.
    """
    backbone = BACKBONES[name]
    images = _images(backbone.side)
    with (
        slim.arg_scope([slim.batch_norm], is_training=is_training),
        tf.variable_scope('FeatureExtractor'),
        tf.variable_scope(backbone.scope) as scope,
    ):
        with (
            slim.arg_scope(lib.training_scope(is_training=None, bn_decay=0.9)),
            slim.arg_scope([lib.depth_multiplier], min_depth=16),
            slim.arg_scope(_hyperparams(is_training) if override else slim.current_arg_scope()),
        ):
            _, end_points = backbone.base(
                images,
                final_endpoint=final_endpoint or backbone.maps[-1],
                scope=scope,
                **{'depth_multiplier': 0.25, **arguments},
            )
        maps = {}
        if not final_endpoint:
            maps = {layer: end_points[layer] for layer in backbone.maps}
            with slim.arg_scope(_hyperparams(is_training)):
                maps.update(_extra_layers(maps[backbone.maps[-1]], backbone.maps[-1]))
    return Detector(end_points, maps)


@contextlib.contextmanager
def _session() -> Iterator[tf.Session]:
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        yield session


def _assert_update_ops(backbone):
    """The network's part of the count is that of its plain training form."""
    assert len(_update_ops()) == backbone.update_ops
    assert {op.get_attr('is_training') for op in _operations('FusedBatchNormV3')} == {True}


def _assert_variables(backbone, classifier):
    """Those of the classifier, in order, and then five for each of the eight extra layers."""
    extra = 8 * 5
    names = [name.removeprefix('FeatureExtractor/') for name in _names()]
    assert names[:-extra] == classifier[: len(names) - extra]
    left_out = {name.split('/')[1] for name in classifier[len(names) - extra :]}
    assert left_out <= {'Conv_1', 'Conv_2', 'Logits'}
    first = f'{backbone.maps[-1]}_1_Conv2d_2_1x1_32'
    assert names[-extra] == f'{backbone.scope}/{first}/weights'


def _assert_end_points(backbone, end_points, classifier):
    """Those of the classifier, in order, but for layers behind the last map."""

    def number(name):
        layer = name.split('/')[0].removeprefix('layer_')
        return int(layer) if layer.isdigit() else np.inf

    last = number(backbone.maps[-1])
    assert list(end_points) == [name for name in classifier if number(name) <= last]


@pytest.mark.once
@pytest.mark.parametrize(
    'name',
    ['v2', *(pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES if name != 'v2')],
)
@pytest.mark.usefixtures('graph')
def test_a_detector_on_a_mobilenet_has_update_ops_variables_and_maps_of_the_classic_one(name):
    backbone = BACKBONES[name]
    contract = network_facts.load_contract(backbone.contract)['train']
    end_points, maps = _detector(name, **backbone.arguments)
    _assert_update_ops(backbone)
    _assert_variables(backbone, [row[0] for row in contract['variables']])
    _assert_end_points(backbone, end_points, [row[0] for row in contract['end_points']])
    for first_stride, tensors in (
        (16, maps.values()),
        (2, (end_points[layer] for layer in backbone.pyramid)),
    ):
        sides = [tensor.shape.as_list()[1:3] for tensor in tensors]
        strides = [first_stride * 2**number for number in range(len(sides))]
        assert sides == [[-(-backbone.side // stride)] * 2 for stride in strides]


@pytest.mark.parametrize(('min_depth', 'widths'), [(8, [16, 8, 8]), (16, [16, 16, 16])])
@pytest.mark.usefixtures('graph')
def test_min_depth_of_the_callers_scope_is_the_least_width(min_depth, widths):
    with slim.arg_scope([lib.depth_multiplier], min_depth=min_depth):
        _, end_points = mobilenet_v2.mobilenet_base(
            _images(32), depth_multiplier=0.35, final_endpoint='layer_3'
        )
    got = [end_points[f'layer_{number}'].shape.as_list()[-1] for number in (1, 2, 3)]
    assert got == widths


@pytest.mark.usefixtures('graph')
def test_a_training_step_moves_statistics_weights_and_the_global_step():
    step = slim.get_or_create_global_step()
    detector = _detector('v3_small', final_endpoint='layer_4')
    loss = tf.reduce_mean(tf.square(detector.end_points['layer_4'])) + slim.losses.get_total_loss()
    train = slim.learning.create_train_op(loss, tf.train.GradientDescentOptimizer(0.1))
    variables = {variable.op.name: variable for variable in slim.get_model_variables()}
    with _session() as session:
        before = session.run(variables)
        session.run(train)
        after = session.run(variables)
        assert session.run(step) == 1
    assert step.op.name == 'global_step'
    assert tf.train.get_global_step() is step
    still = [name for name in before if np.array_equal(before[name], after[name])]
    assert still == []


@pytest.mark.usefixtures('graph')
def test_a_frozen_detector_keeps_its_statistics():
    _detector('v2', final_endpoint='layer_4', is_training=False)
    assert not _update_ops()
    assert not any(op.get_attr('is_training') for op in _operations('FusedBatchNormV3'))


def _decay_and_epsilon() -> tuple[float, float]:
    """Of the first batch norm, by what a step does to its moving mean."""
    norm = _operations('FusedBatchNormV3')[0]
    moving_mean = next(v for v in tf.global_variables() if v.op.name.endswith('moving_mean'))
    with _session() as session:
        mean = session.run(norm.outputs[1])
        session.run(_update_ops())
        moved = session.run(moving_mean) / mean
    return round(1 - float(np.median(moved)), 4), round(norm.get_attr('epsilon'), 4)


@pytest.mark.parametrize('override', [False, True])
@pytest.mark.usefixtures('graph')
def test_a_detectors_configuration_overrides_the_backbones_scope(override):
    """Initializer, regularizer, batch norm; the activation is the table's, with or without."""
    _detector('v2', final_endpoint='layer_3', override=override)
    stddevs = {
        tf.get_static_value(op.outputs[0]).item()
        for op in tf.get_default_graph().get_operations()
        if '/Initializer/' in op.name and op.name.endswith('/stddev')
    }
    regularized = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    scales = {
        tf.get_static_value(op.outputs[0]).item()
        for op in tf.get_default_graph().get_operations()
        if op.name.endswith('l2_regularizer/scale')
    }
    depthwise = [loss for loss in regularized if 'depthwise' in loss.op.name]
    assert stddevs == {np.float32(0.25 if override else 0.09)}
    assert scales == {np.float32(0.5 if override else 4e-5)}
    assert len(depthwise) == (2 if override else 0)
    assert len(regularized) - len(depthwise) == 4
    assert _decay_and_epsilon() == ((0.99, 0.01) if override else (0.9, 0.001))
    assert len(_operations('Relu6')) == 4


@pytest.mark.usefixtures('graph')
def test_a_detectors_configuration_overrides_the_activation_where_no_table_has_one():
    with (
        slim.arg_scope(_hyperparams()),
        tf.variable_scope('FeatureExtractor/InceptionV2') as scope,
    ):
        net, end_points = inception_v2.inception_v2_base(
            _images(), 'Mixed_3b', min_depth=16, depth_multiplier=0.25, scope=scope
        )
    assert net is end_points['Mixed_3b']
    assert net.shape.as_list() == [1, 12, 12, 16 + 16 + 24 + 16]
    assert _names()[0] == 'FeatureExtractor/InceptionV2/Conv2d_1a_7x7/depthwise_weights'
    assert not _operations('Relu')
    assert len(_operations('Relu6')) == len(_update_ops()) / 2 == 10


@pytest.mark.usefixtures('graph')
def test_statistics_that_are_updated_in_place_need_no_update_op():
    with (
        slim.arg_scope([slim.batch_norm], updates_collections=None, is_training=True),
        slim.arg_scope(mobilenet_v2.training_scope(is_training=None)),
    ):
        net, _ = mobilenet_v2.mobilenet_base(_images(32), final_endpoint='layer_2')
    assert not _update_ops()
    moving = [v for v in tf.global_variables() if v.op.name.endswith('moving_mean')]
    with _session() as session:
        session.run(net)
        assert all(mean.any() for mean in session.run(moving))


@pytest.mark.usefixtures('graph')
def test_a_second_tower_reuses_all_weights_under_its_own_names():
    with tf.variable_scope('Tower', reuse=tf.AUTO_REUSE) as tower:
        first = _detector('v2', final_endpoint='layer_4')
    variables, updates = _names(), len(_update_ops())
    with tf.variable_scope(tower, reuse=True), tf.name_scope('second'):
        second = _detector('v2', final_endpoint='layer_4')
    assert _names() == variables
    assert variables[0] == 'Tower/FeatureExtractor/MobilenetV2/Conv/weights'
    assert len(_update_ops()) == 2 * updates == 2 * 2 * 9
    assert list(first.end_points) == list(second.end_points)
    pairs = zip(first.end_points.values(), second.end_points.values(), strict=True)
    assert all(one is not other for one, other in pairs)
    same = [tower.end_points['layer_4/output'] for tower in (first, second)]
    with _session() as session:
        values = session.run(same)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    assert np.ptp(values[0]) > 0


@pytest.mark.usefixtures('graph')
def test_a_classification_checkpoint_loads_into_the_backbone_without_its_prefix(tmp_path):
    arguments = {'depth_multiplier': 0.25, 'final_endpoint': 'layer_4'}
    path = str(tmp_path / 'model.ckpt')
    with slim.arg_scope([lib.depth_multiplier], min_depth=16):
        _, end_points = mobilenet_v2.mobilenet(_images(), num_classes=5, **arguments)
    statistics = [v for v in tf.global_variables() if 'moving' in v.op.name]
    with _session() as session:
        session.run([v.assign(tf.random_uniform(v.shape, 0.5, 1.5)) for v in statistics])
        expected = session.run(end_points['layer_4'])
        tf.train.Saver().save(session, path, write_meta_graph=False)

    with tf.Graph().as_default():
        detector = _detector('v2', is_training=False, **arguments)
        prefix = 'FeatureExtractor/'
        restore = {name.removeprefix(prefix): name for name in _names()}
        saved = {name for name, _ in tf.train.list_variables(path)}
        assert saved - set(restore) == {
            'MobilenetV2/Logits/Conv2d_1c_1x1/weights',
            'MobilenetV2/Logits/Conv2d_1c_1x1/biases',
        }
        assert set(restore) <= saved
        variables = {v.op.name.removeprefix(prefix): v for v in tf.global_variables()}
        with tf.Session() as session:
            tf.train.Saver(variables).restore(session, path)
            got = session.run(detector.end_points['layer_4'])
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures('graph')
def test_layers_have_the_names_that_quantization_looks_for():
    """Convolution, folded norm, activation, sum: what a rewriter of the graph matches by name, and
    what the names of quantized checkpoints begin with."""
    with slim.arg_scope(mobilenet_v2.training_scope(is_training=False)):
        mobilenet_v2.mobilenet_base(_images(32), final_endpoint='layer_4')
    names = {(op.type, op.name) for op in tf.get_default_graph().get_operations()}
    block = 'MobilenetV2/expanded_conv_2'
    for layer, kind, name in (
        ('expand', 'Conv2D', 'Conv2D'),
        ('depthwise', 'DepthwiseConv2dNative', 'depthwise'),
        ('project', 'Conv2D', 'Conv2D'),
    ):
        assert (kind, f'{block}/{layer}/{name}') in names
        assert ('FusedBatchNormV3', f'{block}/{layer}/BatchNorm/FusedBatchNormV3') in names
        assert (('Relu6', f'{block}/{layer}/Relu6') in names) == (layer != 'project')
    assert ('AddV2', f'{block}/add') in names


@pytest.mark.parametrize('scope', ['MobilenetV2', 'MobilenetV3'])
@pytest.mark.usefixtures('graph')
def test_group_norm_has_no_statistics_to_update(scope):
    with (
        slim.arg_scope([slim.batch_norm], is_training=True),
        slim.arg_scope(lib.training_scope(is_training=None)),
    ):
        arguments = {'final_endpoint': 'layer_3', 'depth_multiplier': 0.5}
        if scope == 'MobilenetV2':
            mobilenet_v2.mobilenet_base_group_norm(_images(32), **arguments)
        else:
            mobilenet_v3.mobilenet_base(_images(32), use_groupnorm=True, **arguments)
    assert not _update_ops()
    assert _names()[:4] == [
        f'{scope}/Conv/weights',
        f'{scope}/Conv/GroupNorm/beta',
        f'{scope}/Conv/GroupNorm/gamma',
        f'{scope}/expanded_conv/depthwise/depthwise_weights',
    ]
    assert not any('BatchNorm' in name for name in _names())


# Segmentation


@pytest.mark.parametrize(('output_stride', 'rates'), [(16, [2, 4, 8]), (8, [2, 2, 4, 8, 16])])
@pytest.mark.usefixtures('graph')
def test_a_residual_network_of_ones_own_units_has_a_multi_grid(output_stride, rates):
    """Units with a rate of their own, 1, 2, 4 in the last block, times that of the output stride.

    The unit that reaches the output stride is not dilated itself, only what comes after it."""

    @slim.add_arg_scope
    def unit(inputs, unit_rate=1, rate=1, outputs_collections=None, **arguments):
        return resnet_v1.bottleneck(
            inputs, rate=rate * unit_rate, outputs_collections=outputs_collections, **arguments
        )

    plain = {'depth': 16, 'depth_bottleneck': 4, 'stride': 1, 'unit_rate': 1}
    strided = {**plain, 'stride': 2}
    blocks = [
        resnet_utils.Block('block1', unit, [strided]),
        resnet_utils.Block('block2', unit, [plain, strided]),
        resnet_utils.Block('block3', unit, [plain, strided]),
        resnet_utils.Block('block4', unit, [{**plain, 'unit_rate': rate} for rate in (1, 2, 4)]),
    ]
    with slim.arg_scope(resnet_utils.resnet_arg_scope(batch_norm_decay=0.95)):
        net, end_points = resnet_v1.resnet_v1(
            _images(97),
            blocks,
            is_training=False,
            global_pool=False,
            output_stride=output_stride,
            scope='resnet_v1_50_beta',
        )
    side = 96 // output_stride + 1
    assert net.shape.as_list() == [1, side, side, 16]
    assert _dilations('resnet_v1_50_beta/block') == rates
    skip = end_points['resnet_v1_50_beta/block1/unit_1/bottleneck_v1/conv1']
    assert skip.shape.as_list() == [1, 25, 25, 4]
    assert end_points['resnet_v1_50_beta/block4'] is net
    assert not _update_ops()


@pytest.mark.usefixtures('graph')
def test_a_mobilenet_keeps_its_output_stride_and_its_odd_widths():
    with slim.arg_scope(mobilenet_v2.training_scope(is_training=True, weight_decay=0.0)):
        net, end_points = mobilenet_v2.mobilenet_base(
            _images(97),
            depth_multiplier=0.3,
            min_depth=1,
            divisible_by=1,
            output_stride=8,
            final_endpoint='layer_9',
        )
    assert net.shape.as_list()[1:3] == [13, 13]
    # 16, 24 and 32 times 0.3, rounded to whole channels, not to eights.
    widths = [end_points[f'layer_{number}'].shape.as_list()[-1] for number in (2, 3, 5)]
    assert widths == [5, 7, 10]
    decoder = end_points['layer_4/depthwise_output']
    assert decoder.shape.as_list()[1:3] == [25, 25]
    assert _dilations('MobilenetV2') == [2]  # layer 8 would go to stride 16


# Two-stage detectors


@pytest.mark.usefixtures('graph')
def test_the_second_stage_of_a_detector_goes_on_with_the_units_of_the_first():
    first_blocks = [
        resnet_v1.resnet_v1_block(f'block{n}', base_depth=4, num_units=1, stride=2) for n in (1, 2)
    ]
    units = [{'depth': 32, 'depth_bottleneck': 8, 'stride': 1}] * 2
    second_blocks = [resnet_utils.Block('block4', resnet_v1.bottleneck, units)]
    arg_scope = functools.partial(
        resnet_utils.resnet_arg_scope, batch_norm_epsilon=1e-5, batch_norm_scale=True
    )
    with slim.arg_scope(arg_scope()), tf.variable_scope('First/resnet_v1_50') as scope:
        _, activations = resnet_v1.resnet_v1(
            _images(),
            first_blocks,
            num_classes=None,
            is_training=True,
            global_pool=False,
            output_stride=8,
            spatial_squeeze=False,
            scope=scope,
        )
    features = activations['First/resnet_v1_50/block2']
    assert features.shape.as_list() == [1, 12, 12, 16]
    with (
        tf.variable_scope('Second/resnet_v1_50'),
        slim.arg_scope(arg_scope()),
        slim.arg_scope([slim.batch_norm], is_training=True),
    ):
        net = resnet_utils.stack_blocks_dense(features, second_blocks)
    assert net.shape.as_list() == [1, 12, 12, 32]
    norms = len(_operations('FusedBatchNormV3'))
    assert norms == 1 + 4 + 3 + 4 + 3
    assert len(_update_ops()) == 2 * norms
    names = _names()
    assert names[0] == 'First/resnet_v1_50/conv1/weights'
    assert 'Second/resnet_v1_50/block4/unit_1/bottleneck_v1/shortcut/weights' in names


# Text recognition


@pytest.mark.usefixtures('graph')
def test_the_views_of_a_text_share_one_inception_tower():
    images = _images(80)
    for view in range(2):
        with (
            tf.variable_scope('conv_tower_fn/INCE', reuse=view > 0),
            slim.arg_scope(inception.inception_v3_arg_scope()),
            slim.arg_scope([slim.batch_norm, slim.dropout], is_training=True),
        ):
            net, end_points = inception.inception_v3_base(
                images, final_endpoint='Conv2d_4a_3x3', depth_multiplier=0.25
            )
    assert list(end_points)[-1] == 'Conv2d_4a_3x3'
    assert net.shape.as_list() == [1, 16, 16, 48]
    classifier = [
        row[0] for row in network_facts.load_contract('inception_v3')['train']['variables']
    ]
    names = [name.removeprefix('conv_tower_fn/INCE/') for name in _names()]
    assert names == classifier[: len(names)]
    assert len(names) == 5 * 4  # weights, and batch norm without a gamma
    assert len(_update_ops()) == 2 * 2 * 5


# Video detection


@pytest.mark.usefixtures('graph')
def test_a_lite_table_of_ones_own_is_built_like_a_published_one():
    """A table as LSTM detection writes it: shorter, at another resolution, with blocks split."""
    first = {'num_outputs': 32, 'kernel_size': [3, 3]}
    narrow = conv_blocks.expand_input_by_factor(1, divisible_by=1)
    conv_defs = {
        'defaults': mobilenet_v2.V2_DEF['defaults'],
        'spec': [
            lib.op(slim.conv2d, stride=1, **first),  # of low resolution
            lib.op(conv_blocks.expanded_conv, expansion_size=narrow, num_outputs=16),
            lib.op(conv_blocks.expanded_conv, stride=2, num_outputs=24, split_expansion=2),
            lib.op(slim.conv2d, stride=1, kernel_size=[1, 1], num_outputs=64),
        ],
    }
    with (
        slim.arg_scope([slim.batch_norm], is_training=True),
        slim.arg_scope(mobilenet_v2.training_scope(is_training=None)),
        tf.variable_scope('base_network'),
    ):
        net, end_points = mobilenet_v2.mobilenet_base(
            _images(32), conv_defs=conv_defs, use_explicit_padding=True
        )
    assert _shapes(end_points[f'layer_{n}'] for n in (1, 2, 3, 4)) == [
        [32, 32, 32],
        [32, 32, 16],
        [16, 16, 24],
        [16, 16, 64],
    ]
    assert net is end_points['layer_4']
    assert 'layer_3/expand_part_1_output' in end_points
    assert _names()[0] == 'base_network/MobilenetV2/Conv/weights'
    assert len(_update_ops()) == 2 * (1 + 2 + 4 + 1)


@pytest.mark.usefixtures('graph')
def test_rows_of_ones_own_make_a_lite_v1():
    conv_defs = [
        mobilenet_v1.Conv(kernel=[3, 3], stride=1, depth=64),
        mobilenet_v1.DepthSepConv(kernel=[3, 3], stride=1, depth=64),
        mobilenet_v1.DepthSepConv(kernel=[3, 3], stride=2, depth=192),
    ]
    with (
        slim.arg_scope([slim.batch_norm], is_training=True),
        slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=None)),
        slim.arg_scope(_hyperparams()),
        tf.variable_scope('FeatureExtractor/MobilenetV1') as scope,
    ):
        net, end_points = mobilenet_v1.mobilenet_v1_base(
            _images(32),
            final_endpoint='Conv2d_2_pointwise',
            min_depth=16,
            depth_multiplier=0.25,
            conv_defs=conv_defs,
            use_explicit_padding=True,
            scope=scope,
        )
    assert list(end_points) == [
        'Conv2d_0',
        *(f'Conv2d_{n}_{layer}' for n in (1, 2) for layer in ('depthwise', 'pointwise')),
    ]
    assert end_points['Conv2d_0'].shape.as_list() == [1, 32, 32, 16]
    assert net.shape.as_list() == [1, 16, 16, 48]
    assert len(_update_ops()) == 2 * 5


# What the classic suite's own tests ask


@pytest.mark.parametrize('num_layers', [50, 101, 152, 200])
def test_a_multiplier_of_0_makes_every_block_of_the_least_width(num_layers, monkeypatch):
    monkeypatch.setattr(resnet_v1, 'resnet_v1', lambda blocks, **_: blocks)
    network = getattr(resnet_v1, f'resnet_v1_{num_layers}')
    blocks = network(None, depth_multiplier=0, min_base_depth=5)
    units = [unit for block in blocks for unit in block.args]
    assert len(units) * 3 + 2 == num_layers
    assert {unit['depth_bottleneck'] for unit in units} == {5}
    assert {unit['depth'] for unit in units} == {20}


@pytest.mark.parametrize('multiplier', [0, 0.01])
def test_blocks_without_channels_are_refused(multiplier):
    with pytest.raises(errors.UsageError, match=r'block1 would have no channels.*min_base_depth 0'):
        resnet_v1.resnet_v1_50(None, depth_multiplier=multiplier, min_base_depth=0)


@pytest.mark.parametrize(
    'function',
    [mobilenet_v2.mobilenet, mobilenet_v3.mobilenet, mobilenet_v3.large, mobilenet_v3.edge_tpu],
)
def test_the_help_of_a_mobilenet_says_which_form_it_has(function):
    assert 'Inference mode is created by default' in function.__doc__
