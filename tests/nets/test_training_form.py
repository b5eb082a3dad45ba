"""`is_training` as an argument against `is_training` of a caller's arg scope, in every family."""

from __future__ import annotations

import functools
import logging
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from nets import (
    alexnet,
    cifarnet,
    i3d,
    inception_resnet_v2,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
    lenet,
    mobilenet_v1,
    nets_factory,
    resnet_utils,
    resnet_v1,
    resnet_v2,
    s3dg,
    training_form,
)
from nets.mobilenet import mobilenet as lib
from nets.mobilenet import mobilenet_v2, mobilenet_v3
from nets.nasnet import nasnet, nasnet_utils, pnasnet

pytestmark = pytest.mark.once

SIDE = 96
FRAMES = 8

# Every network is cut off after its first layers, which takes the seconds out of building it.


def _base_cut(module, final_endpoint, arg_scope, **arguments):
    """A network whose function takes no final end point: its base ends there."""
    name = module.__name__.split('.')[-1]
    base = getattr(module, f'{name}_base')

    def short(inputs, **given):
        return base(inputs, **{**given, 'final_endpoint': final_endpoint})

    def build(images, is_training):
        with mock.patch.object(module, f'{name}_base', short), slim.arg_scope(arg_scope()):
            getattr(module, name)(images, num_classes=None, is_training=is_training, **arguments)

    return build


def _mobilenet(function):
    def build(images, is_training):
        with slim.arg_scope(lib.training_scope(is_training=is_training)):
            function(images, final_endpoint='layer_3', base_only=True)

    return build


def _mobilenet_v1(images, is_training):
    conv_defs = mobilenet_v1.MOBILENETV1_CONV_DEFS[:3]
    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=is_training)):
        mobilenet_v1.mobilenet_v1(
            images, num_classes=None, is_training=is_training, conv_defs=conv_defs
        )


def _resnet(network, block):
    def build(images, is_training):
        with slim.arg_scope(resnet_utils.resnet_arg_scope()):
            network(images, [block('block1', 4, 1, 2)], is_training=is_training)

    return build


def _nasnet(images, is_training, **settings):
    config = nasnet.cifar_config()
    for name, value in {'num_cells': 1, 'num_reduction_layers': 0, **settings}.items():
        config.set_hparam(name, value)
    with slim.arg_scope(nasnet.nasnet_cifar_arg_scope()):
        nasnet.build_nasnet_cifar(images, None, is_training=is_training, config=config)


def _pnasnet(images, is_training):
    with slim.arg_scope(pnasnet.pnasnet_mobile_arg_scope()):
        pnasnet.build_pnasnet_mobile(images, None, is_training=is_training, final_endpoint='Stem')


def _s3dg(images, is_training):
    with slim.arg_scope(s3dg.s3dg_arg_scope()):
        s3dg.s3dg(images, num_classes=None, is_training=is_training, final_endpoint='Conv2d_2c_3x3')


FAMILIES = {
    'mobilenet_v1': _mobilenet_v1,
    'mobilenet_v2': _mobilenet(mobilenet_v2.mobilenet),
    'mobilenet_v3_large': _mobilenet(mobilenet_v3.large),
    'mobilenet_v3_small': _mobilenet(mobilenet_v3.small),
    'mobilenet_edgetpu': _mobilenet(mobilenet_v3.edge_tpu),
    'inception_v1': _base_cut(
        inception_v1, 'Conv2d_2c_3x3', inception_v1.inception_v1_arg_scope, global_pool=True
    ),
    'inception_v2': _base_cut(
        inception_v2, 'Mixed_3b', inception_v2.inception_v2_arg_scope, global_pool=True
    ),
    'inception_v3': _base_cut(
        inception_v3, 'Conv2d_2b_3x3', inception_v3.inception_v3_arg_scope, global_pool=True
    ),
    'inception_v4': _base_cut(inception_v4, 'Mixed_3a', inception_v4.inception_v4_arg_scope),
    'inception_resnet_v2': _base_cut(
        inception_resnet_v2, 'Conv2d_2b_3x3', inception_resnet_v2.inception_resnet_v2_arg_scope
    ),
    'resnet_v1': _resnet(resnet_v1.resnet_v1, resnet_v1.resnet_v1_block),
    'resnet_v2': _resnet(resnet_v2.resnet_v2, resnet_v2.resnet_v2_block),
    'nasnet': _nasnet,
    'pnasnet': _pnasnet,
    'i3d': _base_cut(i3d, 'Conv2d_2c_3x3', i3d.i3d_arg_scope),
    's3dg': _s3dg,
}
VIDEOS = ('i3d', 's3dg')


def _images(name: str = '') -> tf.Tensor:
    frames = [FRAMES] if name in VIDEOS else []
    values = np.random.RandomState(0).uniform(-1, 1, [2, *frames, SIDE, SIDE, 3])
    return tf.constant(values, tf.float32)


def _update_ops() -> list[Any]:
    return tf.get_collection(tf.GraphKeys.UPDATE_OPS)


def _moving(name: str) -> list[tf.Variable]:
    return [variable for variable in tf.global_variables() if variable.op.name.endswith(name)]


@pytest.fixture(scope='module')
def trained():
    """(update ops, moving means before, and after a step) of each family, built with None under a
    caller's arg scope that trains batch norm."""
    updates, means = {}, {}
    with (
        tf.Graph().as_default(),
        slim.arg_scope([slim.batch_norm], is_training=True),
    ):
        tf.set_random_seed(1)
        for name, build in FAMILIES.items():
            number = len(_update_ops())
            with tf.variable_scope(name):
                build(_images(name), None)
            updates[name] = _update_ops()[number:]
            means[name] = [v for v in _moving('moving_mean') if v.op.name.startswith(f'{name}/')]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            before = session.run(means)
            session.run(updates)
            after = session.run(means)
    return {name: (len(updates[name]), before[name], after[name]) for name in FAMILIES}


@pytest.mark.slow
@pytest.mark.parametrize('name', FAMILIES)
def test_none_trains_batch_norm_where_the_callers_scope_says_so(trained, name):
    updates, before, after = trained[name]
    assert updates == 2 * len(before) > 0
    for early, late in zip(before, after, strict=True):
        assert not early.any()
        assert late.any()


@pytest.mark.parametrize('name', [name for name in FAMILIES if 'nasnet' not in name])
@pytest.mark.usefixtures('graph')
def test_none_leaves_batch_norm_alone_where_the_callers_scope_says_so(name):
    with slim.arg_scope([slim.batch_norm], is_training=False):
        FAMILIES[name](_images(name), None)
    assert _moving('moving_mean')
    assert not _update_ops()


MOBILENETS = {
    'v2': mobilenet_v2.mobilenet_base,
    'v3': mobilenet_v3.mobilenet_base,
    'edgetpu': functools.partial(mobilenet_v3.edge_tpu, base_only=True),
}


@pytest.mark.parametrize('name', MOBILENETS)
@pytest.mark.usefixtures('graph')
def test_without_a_training_scope_a_mobilenet_is_in_inference_form(name):
    with slim.arg_scope([slim.batch_norm], is_training=True):
        MOBILENETS[name](_images(), final_endpoint='layer_2')
    assert not _update_ops()


@pytest.mark.parametrize('name', MOBILENETS)
@pytest.mark.parametrize('is_training', [True, False])
@pytest.mark.usefixtures('graph')
def test_an_argument_counts_more_than_a_training_scope_of_none(name, is_training):
    with slim.arg_scope(lib.training_scope(is_training=None)):
        MOBILENETS[name](_images(), final_endpoint='layer_1', is_training=is_training)
    assert len(_update_ops()) == 2 * is_training


@pytest.mark.usefixtures('graph')
def test_none_of_a_training_scope_leaves_the_decay_to_the_caller_as_well():
    with (
        slim.arg_scope([slim.batch_norm], decay=0.5, is_training=True),
        slim.arg_scope(mobilenet_v2.training_scope(is_training=None, bn_decay=None)),
    ):
        mobilenet_v2.mobilenet_base(tf.ones([2, 8, 8, 3]), final_endpoint='layer_1')
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(_update_ops())
        mean = session.run(_moving('moving_mean'))[0]
        normalized = next(
            operation
            for operation in tf.get_default_graph().get_operations()
            if operation.type == 'FusedBatchNormV3'
        )
        np.testing.assert_allclose(mean, 0.5 * session.run(normalized.outputs[1]), rtol=1e-5)


# Dropout


def _drops() -> int:
    return sum(
        operation.type == 'RandomUniform' and 'dropout' in operation.name.lower()
        for operation in tf.get_default_graph().get_operations()
    )


WITH_DROPOUT = {
    'mobilenet_v2': functools.partial(mobilenet_v2.mobilenet, final_endpoint='layer_1'),
    'mobilenet_v1': functools.partial(
        mobilenet_v1.mobilenet_v1,
        conv_defs=mobilenet_v1.MOBILENETV1_CONV_DEFS[:2],
        global_pool=True,
    ),
    'lenet': lenet.lenet,
    'cifarnet': cifarnet.cifarnet,
    'alexnet': functools.partial(alexnet.alexnet_v2, global_pool=True),
}


@pytest.mark.parametrize('name', WITH_DROPOUT)
@pytest.mark.parametrize('scoped', [None, False, True])
@pytest.mark.usefixtures('graph')
def test_none_drops_only_where_the_callers_scope_says_so(name, scoped):
    given = {} if scoped is None else {'is_training': scoped}
    side = 224 if name == 'alexnet' else 28
    with slim.arg_scope([slim.dropout], **given):
        WITH_DROPOUT[name](tf.ones([1, side, side, 3]), num_classes=5, is_training=None)
    assert bool(_drops()) == bool(scoped)


@pytest.mark.usefixtures('graph')
def test_a_callers_share_of_dropout_does_not_collide_with_the_networks_own():
    with slim.arg_scope([slim.dropout], keep_prob=0.1):
        lenet.lenet(tf.ones([1, 28, 28, 1]), is_training=True, dropout_keep_prob=0.5)
    multiplied = [
        tf.get_static_value(operation.inputs[1])
        for operation in tf.get_default_graph().get_operations()
        if operation.type == 'Mul' and operation.name.endswith('dropout/Mul')
    ]
    assert multiplied == [2.0]


# Drop path


@pytest.mark.usefixtures('graph')
def test_drop_path_follows_the_network_and_not_a_scope_around_it():
    with slim.arg_scope([nasnet_utils.drop_path], is_training=False):
        _nasnet(_images(), True, drop_path_keep_prob=0.5)
    names = [operation.name for operation in tf.get_default_graph().get_operations()]
    assert any('/comb_iter_0/left/random_uniform' in name for name in names)


# The debug log


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.DEBUG, logger='slim')
    return lambda: [record.getMessage() for record in caplog.records if record.name == 'slim']


def _assert_the_network_counts(is_training, messages):
    assert bool(_update_ops()) == is_training
    (message,) = messages()
    assert f'is_training={not is_training}, gives way to' in message
    assert message.endswith(f"the network's own is_training={is_training}")


# The arg scopes of the MobileNets say the form themselves; pnasnet is built as nasnet is.
@pytest.mark.parametrize(
    'name', [name for name in FAMILIES if 'mobilenet' not in name and name != 'pnasnet']
)
@pytest.mark.usefixtures('graph')
def test_a_scope_that_contradicts_the_network_is_named_once(name, messages):
    with slim.arg_scope([slim.batch_norm], is_training=False):
        FAMILIES[name](_images(name), True)
    _assert_the_network_counts(True, messages)


@pytest.mark.parametrize('name', MOBILENETS)
@pytest.mark.parametrize('is_training', [True, False])
@pytest.mark.usefixtures('graph')
def test_a_scope_inside_of_a_training_scope_is_named_once(name, is_training, messages):
    with (
        slim.arg_scope(lib.training_scope(is_training=is_training)),
        slim.arg_scope([slim.batch_norm], is_training=not is_training),
    ):
        MOBILENETS[name](_images(), final_endpoint='layer_3')
    _assert_the_network_counts(is_training, messages)


@pytest.mark.parametrize('is_training', [True, False])
@pytest.mark.usefixtures('graph')
def test_an_argument_that_contradicts_the_arg_scope_of_v1_is_named_once(is_training, messages):
    conv_defs = mobilenet_v1.MOBILENETV1_CONV_DEFS[:2]
    scope = mobilenet_v1.mobilenet_v1_arg_scope(is_training=not is_training)
    with slim.arg_scope(scope):
        mobilenet_v1.mobilenet_v1(_images(), None, is_training=is_training, conv_defs=conv_defs)
    _assert_the_network_counts(is_training, messages)


@pytest.mark.parametrize('is_training', [True, False])
@pytest.mark.usefixtures('graph')
def test_norm_parameters_that_overrule_the_network_are_named_once(is_training, messages):
    layers = [slim.conv2d, slim.separable_conv2d]
    with (
        slim.arg_scope(lib.training_scope(is_training=is_training)),
        slim.arg_scope(layers, normalizer_params={'is_training': not is_training}),
    ):
        mobilenet_v2.mobilenet_base(_images(), final_endpoint='layer_2')
    assert bool(_update_ops()) != is_training
    assert messages() == [
        f'MobilenetV2: normalizer_params of an arg scope, is_training={not is_training}, overrule '
        f"the network's own is_training={is_training}"
    ]


@pytest.mark.usefixtures('graph')
def test_a_table_that_overrules_the_network_is_named_once(messages):
    overrides = {(slim.batch_norm,): {'is_training': False}}
    conv_defs = {**mobilenet_v2.V2_DEF, 'overrides': overrides}
    mobilenet_v2.mobilenet_base(
        _images(), conv_defs=conv_defs, is_training=True, final_endpoint='layer_2'
    )
    assert not _update_ops()
    (message,) = messages()
    assert 'table, is_training=False, overrules' in message


@pytest.mark.parametrize('name', ['mobilenet_v1_025', 'mobilenet_v2_035', 'mobilenet_v3_small'])
@pytest.mark.parametrize('is_training', [True, False])
@pytest.mark.usefixtures('graph')
def test_the_factory_contradicts_no_network(name, is_training, messages):
    short = {'final_endpoint': 'layer_1'}
    if 'v1' in name:
        short = {'conv_defs': [mobilenet_v1.Conv(kernel=[3, 3], stride=2, depth=8)]}
    network = nets_factory.get_network_fn(name, 5, is_training=is_training)
    network(tf.ones([1, 14, 14, 3]), **short)
    assert bool(_update_ops()) == is_training
    assert messages() == []


@pytest.mark.usefixtures('graph')
def test_what_is_not_known_yet_contradicts_nothing(messages):
    with slim.arg_scope([slim.batch_norm], is_training=tf.placeholder(tf.bool, [])):
        mobilenet_v2.mobilenet_base(_images(), is_training=True, final_endpoint='layer_1')
    assert _update_ops()
    assert messages() == []


def test_the_log_is_left_as_the_program_has_set_it_up():
    logger = logging.getLogger('slim')
    assert training_form._LOG is logger
    assert logger.level == logging.NOTSET
    assert not logger.handlers
    assert logger.propagate
