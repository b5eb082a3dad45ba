"""NASNet and PNASNet: settings, cells, drop path, the rows of a network, its forms, bad input."""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets.nasnet import hparams, nasnet, nasnet_utils, pnasnet
from slim import errors

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]

BUILDERS = {
    'cifar': (nasnet.build_nasnet_cifar, nasnet.cifar_config),
    'nasnet': (nasnet.build_nasnet_mobile, nasnet.mobile_imagenet_config),
    'pnasnet': (pnasnet.build_pnasnet_large, pnasnet.large_imagenet_config),
}


def _images(*shape: int | None) -> tf.Tensor:
    return tf.placeholder(tf.float32, shape)


def _build(family, images, num_classes=5, is_training=False, settings=None, **arguments):
    """A narrow network of three cells, reductions at the second and third."""
    builder, config = BUILDERS[family]
    small = {'num_cells': 3, 'num_conv_filters': 8, **(settings or {})}
    with slim.arg_scope(nasnet.nasnet_mobile_arg_scope()):
        return builder(
            images,
            num_classes,
            is_training=is_training,
            config=config().override_from_dict(small),
            **arguments,
        )


def _shapes(end_points):
    return {name: net.shape.as_list() for name, net in end_points.items()}


def _op_types():
    return {op.type for op in tf.get_default_graph().get_operations()}


def _evaluate(tensors, feeds=None):
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(tensors, feeds)


# Settings


@pytest.mark.parametrize(
    ('config', 'filters', 'cells', 'stem', 'keep_path', 'keep', 'steps', 'skip'),
    [
        (nasnet.cifar_config, 32, 18, 3.0, 0.6, 1.0, 937500, 0),
        (nasnet.mobile_imagenet_config, 44, 12, 1.0, 1.0, 0.5, 250000, 0),
        (nasnet.large_imagenet_config, 168, 18, 3.0, 0.7, 0.5, 250000, 1),
        (pnasnet.mobile_imagenet_config, 54, 9, 1.0, 1.0, 0.5, 250000, 1),
        (pnasnet.large_imagenet_config, 216, 12, 3.0, 0.6, 0.5, 250000, 1),
    ],
)
def test_published_settings(config, filters, cells, stem, keep_path, keep, steps, skip):
    assert config().values() == {
        'num_conv_filters': filters,
        'num_cells': cells,
        'stem_multiplier': stem,
        'drop_path_keep_prob': keep_path,
        'dense_dropout_keep_prob': keep,
        'total_training_steps': steps,
        'skip_reduction_layer_input': skip,
        'filter_scaling_rate': 2.0,
        'num_reduction_layers': 2,
        'use_aux_head': 1,
        'data_format': 'NHWC',
        'use_bounded_activation': False,
    }


def _settings() -> hparams.HParams:
    return hparams.HParams(width=8, rate=0.5, bounded=False, format='NHWC', note=None)


def test_settings_are_attributes_of_their_first_type():
    settings = _settings()
    settings.set_hparam('rate', 2)
    settings.width = True
    settings.set_hparam('note', [1])
    settings.add_hparam('depth', 3)
    assert (settings.rate, type(settings.rate)) == (2.0, float)
    assert (settings.width, type(settings.width)) == (1, int)
    assert settings.get('depth') == 3 and settings.get('height', 4) == 4
    assert 'depth' in settings and 'height' not in settings
    assert list(settings.values()) == ['width', 'rate', 'bounded', 'format', 'note', 'depth']
    assert 'depth=3' in repr(settings)


def test_copied_settings_are_apart():
    settings = _settings()
    for other in (copy.copy(settings), copy.deepcopy(settings)):
        assert other == settings
        other.set_hparam('format', 'NCHW')
        assert settings.format == 'NHWC'
        assert other != settings


def test_settings_from_text_and_dictionary():
    settings = _settings().parse('width=16, rate=1e-3,bounded=True,format=NCHW')
    assert settings == hparams.HParams(width=16, rate=0.001, bounded=True, format='NCHW', note=None)
    assert settings.parse('bounded=0,').override_from_dict({'rate': 2}).rate == 2.0
    assert settings.bounded is False


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s.set_hparam('wdith', 4), "hyperparameter 'wdith'. Did you mean 'width'"),
        (lambda s: setattr(s, 'wdith', 4), "Did you mean 'width'"),
        (lambda s: s.set_hparam('width', 4.5), 'width is of type int, not 4.5'),
        (lambda s: s.set_hparam('bounded', 1), 'bounded is of type bool, not 1'),
        (lambda s: s.set_hparam('format', None), 'format is of type str, not None'),
        (lambda s: s.set_hparam('rate', True), 'rate is of type float, not True'),
        (lambda s: s.add_hparam('width', 4), "'width' exists already"),
        (lambda s: s.add_hparam('values', 4), "'values' exists already, or is a method"),
        (lambda s: s.parse('rate=1,width=x'), "width is of type int, not 'x'"),
        (lambda s: s.parse('rate=1,bounded=maybe'), "bounded is of type bool, not 'maybe'"),
        (lambda s: s.parse('rate=1,width'), "'width' is not name=value"),
        (lambda s: s.override_from_dict({'rate': 1.0, 'hight': 2}), "'hight'. Choose from: width"),
    ],
)
def test_a_wrong_setting_is_refused_and_changes_nothing(change, message):
    settings = _settings()
    with pytest.raises(errors.UsageError, match=message):
        change(settings)
    assert settings == _settings()


# Functions of the cells


def test_reductions_are_spread_evenly():
    assert nasnet_utils.calc_reduction_layers(18, 2) == [6, 12]
    assert nasnet_utils.calc_reduction_layers(10, 3) == [2, 5, 7]
    assert nasnet_utils.calc_reduction_layers(10, 0) == []


def test_channels_and_pooling_follow_the_data_format():
    x = tf.reshape(tf.range(24.0), [1, 2, 3, 4])
    for data_format, index, pooled in (
        ('NHWC', 3, [[10, 11, 12, 13]]),
        ('NCHW', 1, [[5.5, 17.5]]),
    ):
        assert nasnet_utils.get_channel_index(data_format) == index
        assert nasnet_utils.get_channel_dim(x.shape, data_format) == x.shape.as_list()[index]
        assert _evaluate(nasnet_utils.global_avg_pool(x, data_format)).tolist() == pooled
    with pytest.raises(errors.UsageError, match=r"data format 'null'\. Choose from: NHWC, NCHW"):
        nasnet_utils.get_channel_index()
    with pytest.raises(errors.UsageError, match='four dimensions'):
        nasnet_utils.get_channel_dim([2, 3], 'NHWC')


def test_factorized_reduction_takes_the_grid_and_the_pixels_beside_it():
    image = np.arange(25, dtype=np.float32).reshape([1, 5, 5, 1])
    with (
        slim.arg_scope([slim.conv2d], weights_initializer=tf.ones_initializer()),
        slim.arg_scope([slim.conv2d], activation_fn=None),
        slim.arg_scope([slim.batch_norm], is_training=False, epsilon=0.0),
    ):
        net = nasnet_utils.factorized_reduction(tf.constant(image), 3, 2, data_format='NHWC')
    expected = np.zeros([3, 3, 3])
    expected[:, :, 0] = image[0, ::2, ::2, 0]
    expected[:2, :2, 1:] = image[0, 1::2, 1::2]  # beyond the border: zeros
    np.testing.assert_allclose(_evaluate(net)[0], expected, rtol=1e-6)


def test_factorized_reduction_in_nchw_and_at_stride_1():
    net = nasnet_utils.factorized_reduction(_images(2, 4, 7, 5), 6, 2, data_format='NCHW')
    assert net.shape.as_list() == [2, 6, 4, 3]
    net = nasnet_utils.factorized_reduction(_images(2, 7, 5, 4), 6, 1, data_format='NHWC')
    assert net.shape.as_list() == [2, 7, 5, 6]
    assert {'path_conv/weights', 'path2_conv/weights'} <= {v.op.name for v in tf.global_variables()}


def test_drop_path_drops_whole_examples_and_keeps_the_expectation():
    net = tf.ones([1000, 2, 1, 3])
    assert nasnet_utils.drop_path(net, 0.8, is_training=False) is net
    tf.set_random_seed(1)
    dropped, kept = _evaluate(
        [nasnet_utils.drop_path(net, tf.constant(0.8)), nasnet_utils.drop_path(net, 1.0)]
    )
    np.testing.assert_array_equal(kept, 1.0)
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.8)}
    np.testing.assert_array_equal(dropped, dropped[:, :1, :, :1] * np.ones([1, 2, 1, 3]))
    assert 0.95 < dropped.mean() < 1.05


def test_global_step_is_at_the_root_and_one():
    with tf.variable_scope('cell', reuse=True), tf.name_scope('clone'):
        step = nasnet_utils.global_step()
        assert nasnet_utils.global_step() is step
    assert step.op.name == 'global_step'
    assert tf.train.get_global_step() is step
    for expected in ('Conv', 'Conv_1'):  # the numbering of scopes goes on
        nasnet_utils.global_step()
        with tf.variable_scope(None, 'Conv') as scope:
            assert scope.name == expected


# Cells


def _cell(pairs, keep_prob=1.0, bounded=False):
    states = range(2, 2 + len(pairs))
    table = nasnet_utils.cell_table(*pairs, output=states)
    return nasnet_utils.NasNetABaseCell(4, *table, keep_prob, 10, 1000, bounded)


@contextlib.contextmanager
def _nhwc():
    with slim.arg_scope(nasnet._FORMATTED_LAYERS, data_format='NHWC'):
        yield


def test_a_cell_table_is_flattened():
    table = nasnet_utils.cell_table(('a', 0, 'b', 1), ('c', 2, 'd', 1), output=(1, 3))
    assert table == (['a', 'b', 'c', 'd'], [1, 0, 1, 0], [0, 1, 2, 1])


@pytest.mark.parametrize(
    ('cell_num', 'step', 'expected'),
    [
        (9, 0, 1.0),
        (9, 500, 0.8),
        (9, 1000, 0.6),
        (9, 5000, 0.6),  # no further
        (4, 1000, 0.8),  # half as deep
    ],
)
def test_paths_are_kept_less_with_depth_and_time(cell_num, step, expected):
    cell = _cell([('none', 0, 'none', 1)], keep_prob=0.6)
    keep_prob = cell._keep_prob(cell_num, tf.constant(step, tf.int64))
    np.testing.assert_allclose(_evaluate(keep_prob), expected, rtol=1e-6)
    assert tf.train.get_global_step() is None


def test_only_paths_with_an_operation_are_dropped():
    cell = _cell([('none', 0, 'avg_pool_3x3', 0), ('max_pool_3x3', 2, 'none', 1)], keep_prob=0.6)
    with _nhwc():
        cell(_images(2, 8, 8, 4), scope='a', cell_num=3)
        draws = [op for op in tf.get_default_graph().get_operations() if 'Random' in op.type]
        kept = [op.name for op in draws if 'Initializer' not in op.name]
        assert [name.split('/random')[0] for name in kept] == [
            'a/comb_iter_0/right',
            'a/comb_iter_1/left',
        ]
        assert tf.train.get_global_step().op.name == 'global_step'
        with slim.arg_scope([nasnet_utils.drop_path], is_training=False):
            cell(_images(2, 8, 8, 4), scope='b', cell_num=3)
    assert not any(
        'b/comb' in op.name and 'Random' in op.type
        for op in tf.get_default_graph().get_operations()
    )


def test_strides_are_for_the_inputs_of_a_cell_only():
    pairs = [('separable_3x3_2', 0, 'none', 1), ('max_pool_3x3', 2, 'avg_pool_3x3', 1)]
    with _nhwc():
        net = _cell(pairs)(_images(2, 9, 9, 6), filter_scaling=1.5, stride=2)
    assert net.shape.as_list() == [2, 5, 5, 12]


def test_what_a_bounded_cell_adds_up_is_in_bounds():
    pairs = [('separable_3x3_1', 0, 'max_pool_3x3', 1), ('none', 1, 'none', 0)]
    with (
        _nhwc(),
        slim.arg_scope([slim.batch_norm], is_training=False),
        slim.arg_scope([slim.conv2d], weights_initializer=tf.constant_initializer(-9.0)),
        slim.arg_scope([slim.conv2d, slim.separable_conv2d], activation_fn=None),
    ):
        net = _cell(pairs, bounded=True)(tf.fill([2, 4, 4, 3], 50.0), scope='cell')
    graph = tf.get_default_graph()
    summands = [
        tensor
        for number in range(2)
        for tensor in graph.get_operation_by_name(f'cell/comb_iter_{number}/combine/add').inputs
    ]
    values = _evaluate([net, *summands])
    assert values[0].min() >= 0 and values[0].max() <= 6
    ranges = [(value.min(), value.max()) for value in values[1:]]
    assert all(low >= -6 and high <= 6 for low, high in ranges)
    assert (-6.0, -6.0) in ranges  # what the convolutions of -9 give


def test_an_unknown_operation_is_refused():
    with pytest.raises(errors.UsageError, match=r"'max_pool_3x5'\. Did you mean 'max_pool"):
        _cell([('max_pool_3x5', 0, 'none', 1)])


# Rows


def test_rows_of_nasnet():
    config = nasnet.cifar_config().override_from_dict({'num_cells': 3})
    for skip, previous in ((0, -2), (1, -3)):
        config.skip_reduction_layer_input = skip
        assert nasnet._cells('normal', 'reduction', config) == [
            ('Cell_0', 'normal', 1.0, 1, -2),
            ('Reduction_Cell_0', 'reduction', 2.0, 2, -2),
            ('Cell_1', 'normal', 2.0, 1, previous),
            ('Reduction_Cell_1', 'reduction', 4.0, 2, -2),
            ('Cell_2', 'normal', 4.0, 1, previous),
        ]


def test_rows_of_pnasnet():
    config = pnasnet.mobile_imagenet_config().override_from_dict({'num_cells': 3})
    for skip, previous in ((0, -3), (1, -2)):
        config.skip_reduction_layer_input = skip
        assert pnasnet._cells('cell', config) == [
            ('Cell_0', 'cell', 1.0, 1, -2),
            ('Cell_1', 'cell', 2.0, 2, previous),
            ('Cell_2', 'cell', 4.0, 2, previous),
        ]


def test_every_cell_gets_the_outputs_that_its_row_names():
    calls = []

    def cell(net, **arguments):
        calls.append((net.op.name, arguments))
        return tf.identity(net, name=arguments['scope'])

    rows = [nasnet.Cell('A', cell, 1.0), nasnet.Cell('B', cell, 2.0, stride=2, previous=-3)]
    step = tf.constant(7)
    config = nasnet.mobile_imagenet_config()
    stem = nasnet.imagenet_stem(cell)
    nasnet.build_network(_images(2, 32, 32, 3), stem, rows, config, None, True, None, step)
    names = ('filter_scaling', 'stride', 'cell_num', 'scope')
    assert [tuple(arguments[name] for name in names) for _, arguments in calls] == [
        (0.25, 2, 0, 'cell_stem_0'),
        (0.5, 2, 1, 'cell_stem_1'),
        (1.0, 1, 2, 'a'),
        (2.0, 2, 3, 'b'),
    ]
    conv0 = 'conv0_bn/FusedBatchNormV3'
    assert [net for net, _ in calls] == [conv0, 'cell_stem_0', 'cell_stem_1', 'a']
    previous = [arguments['prev_layer'] for _, arguments in calls]
    assert previous[0] is None
    assert [net.op.name for net in previous[1:]] == [conv0, 'cell_stem_0', 'cell_stem_0']
    assert all(arguments['current_step'] is step for _, arguments in calls)


# Networks

CELLS = {
    'cifar': {
        'Stem': [16, 24],
        'Cell_0': [16, 48],
        'Reduction_Cell_0': [8, 64],
        'Cell_1': [8, 96],
        'Reduction_Cell_1': [4, 128],
        'Cell_2': [4, 192],
    },
    'nasnet': {
        'Stem': [9, 16],
        'Cell_0': [9, 48],
        'Reduction_Cell_0': [5, 64],
        'Cell_1': [5, 96],
        'Reduction_Cell_1': [3, 128],
        'Cell_2': [3, 192],
    },
    'pnasnet': {
        'Stem': [9, 20],
        'Cell_0': [9, 40],
        'Cell_1': [5, 80],
        'Cell_2': [3, 160],
    },
}
SIDES = {'cifar': 16, 'nasnet': 67, 'pnasnet': 67}
# A whole network in training form: the smallest in each run of the tests.
WHOLE = ['cifar', *(pytest.param(name, marks=pytest.mark.slow) for name in ('nasnet', 'pnasnet'))]


@pytest.mark.parametrize('family', WHOLE)
def test_training_form(family):
    side = SIDES[family]
    with tf.variable_scope('outer'), tf.device('/cpu:0'):
        settings = {'drop_path_keep_prob': 0.5}
        logits, end_points = _build(family, _images(None, side, side, 3), 5, True, settings)
    cells = {name: [None, at, at, width] for name, (at, width) in CELLS[family].items()}
    width = cells['Cell_2'][-1]
    rest = {'global_pool': [None, width], 'Logits': [None, 5], 'Predictions': [None, 5]}
    assert _shapes(end_points) == {**cells, 'AuxLogits': [None, 5], **rest}
    names = list(end_points)
    assert names.index('AuxLogits') == names.index('Cell_1') + 1
    assert logits is end_points['Logits']
    assert {v.device for v in tf.global_variables()} == {'/device:CPU:0'}
    inner = [v.op.name for v in tf.global_variables() if not v.op.name.startswith('outer/')]
    assert inner == ['global_step']
    assert 'Relu6' not in _op_types()


@pytest.mark.parametrize('family', WHOLE)
def test_bounded_and_in_nchw(family):
    side = SIDES[family]
    settings = {'data_format': 'NCHW', 'use_bounded_activation': True}
    _, end_points = _build(
        family, _images(2, side, side, 3), 5, True, settings, **_step_argument(family)
    )
    for name, (at, width) in CELLS[family].items():
        assert end_points[name].shape.as_list() == [2, width, at, at], name
    assert end_points['AuxLogits'].shape.as_list() == [2, 5]
    assert end_points['global_pool'].shape.as_list() == [2, CELLS[family]['Cell_2'][1]]
    assert 'Relu6' in _op_types() and 'Relu' not in _op_types()
    if family != 'pnasnet':  # which has no such argument
        assert tf.train.get_global_step() is None


def _step_argument(family):
    return {} if family == 'pnasnet' else {'current_step': tf.get_variable('step', initializer=0)}


@pytest.mark.slow
def test_evaluation_has_no_auxiliary_head_and_one_set_of_variables():
    images = _images(None, 19, 19, 3)
    _, end_points = _build('nasnet', images)
    assert list(end_points) == [*CELLS['nasnet'], 'global_pool', 'Logits', 'Predictions']
    assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    num_variables = len(tf.global_variables())
    # The least size has every reduction, and with them the variables of all sizes.
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        net, features = _build('nasnet', _images(None, 64, 48, 3), num_classes=None)
    assert net is features['global_pool']
    assert list(features) == [*CELLS['nasnet'], 'global_pool']
    assert len(tf.global_variables()) == num_variables

    feeds = {images: np.random.RandomState(0).uniform(-1, 1, [2, 19, 19, 3])}
    predictions = _evaluate(end_points['Predictions'], feeds)
    assert predictions.shape == (2, 5)
    np.testing.assert_allclose(predictions.sum(axis=1), 1.0, rtol=1e-5)


@pytest.fixture
def hollow_cells(monkeypatch):
    """Cells of one convolution: what is around them builds fast."""

    def call(cell, net, scope=None, stride=1, **arguments):
        return slim.conv2d(net, 4, [1, 1], stride=stride, scope=scope)

    monkeypatch.setattr(nasnet_utils.NasNetABaseCell, '__call__', call)


@pytest.mark.usefixtures('hollow_cells')
@pytest.mark.parametrize(
    ('num_classes', 'is_training', 'settings'),
    [
        (5, False, {}),
        (5, True, {'use_aux_head': 0}),
        (5, True, {'num_reduction_layers': 1}),
        (0, True, {}),
    ],
)
def test_no_auxiliary_head_where_it_is_not_asked_for(num_classes, is_training, settings):
    _, end_points = _build('cifar', _images(2, 8, 8, 3), num_classes, is_training, settings)
    assert 'AuxLogits' not in end_points
    assert ('Logits' in end_points) == bool(num_classes)
    assert not any('aux' in v.op.name for v in tf.global_variables())


@pytest.mark.usefixtures('hollow_cells')
@pytest.mark.parametrize('final_endpoint', ['Stem', 'Cell_1', 'global_pool', 'Logits'])
def test_final_endpoint_ends_the_network_outside_of_its_scopes(final_endpoint):
    # 32 pixels are too few for the auxiliary head, which comes after Cell_1.
    is_training = final_endpoint in ('Stem', 'Cell_1')
    net, end_points = _build(
        'nasnet', _images(2, 32, 32, 3), 5, is_training, final_endpoint=final_endpoint
    )
    names = [*CELLS['nasnet'], 'global_pool', 'Logits']
    assert list(end_points) == names[: names.index(final_endpoint) + 1]
    assert net is end_points[final_endpoint]
    assert tf.get_variable_scope().name == ''
    assert tf.no_op('here').name == 'here'
    assert any('FC' in v.op.name for v in tf.global_variables()) == (final_endpoint == 'Logits')


# Bad input


@pytest.mark.parametrize(
    ('shape', 'arguments', 'message'),
    [
        ((2, 32, 32, 3), {'final_endpoint': 'Cell_7'}, "'Cell_7'. Did you mean 'Cell_"),
        ((2, 32, 32, 3), {'final_endpoint': 'AuxLogits'}, "'AuxLogits'. Did you mean 'Logits'"),
        ((2, 32, 32, 3), {'num_classes': -1}, 'num_classes is -1'),
        ((2, 32, 32, 3), {'settings': {'data_format': 'NCWH'}}, "'NCWH'. Did you mean 'NCHW'"),
        ((32, 32, 3), {}, 'expected .batch, height, width, channels'),
        ((2, 18, 32, 3), {}, '18 x 32 pixels; this network needs at least 19 x 19'),
        ((2, 66, 99, 3), {'is_training': True}, '66 x 99 pixels; this network needs at least 67'),
        ((2, None, 32, 3), {}, 'needs to know height and width'),
    ],
)
def test_bad_input_is_refused_before_any_variable(shape, arguments, message):
    with pytest.raises(errors.UsageError, match=message):
        _build('nasnet', _images(*shape), **arguments)
    assert not tf.global_variables()
