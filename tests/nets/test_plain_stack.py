"""AlexNet, OverFeat, VGG, LeNet, CIFAR's net as libraries: sizes, forms of the head, bad input."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import tensorflow.compat.v1 as tf

import slim
from nets import alexnet, cifarnet, lenet, overfeat, plain_stack, vgg
from slim import errors

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]

IMAGENET = {
    'alexnet_v2': alexnet.alexnet_v2,
    'overfeat': overfeat.overfeat,
    'vgg_a': vgg.vgg_a,
    'vgg_16': vgg.vgg_16,
    'vgg_19': vgg.vgg_19,
}
SMALL = {'LeNet': lenet.lenet, 'CifarNet': cifarnet.cifarnet}
STACKS = (alexnet._ALEXNET, overfeat._OVERFEAT, vgg._VGG_A)


def _images(height: int | None, width: int | None, batch: int | None = 2) -> tf.Tensor:
    return tf.placeholder(tf.float32, [batch, height, width, 3])


def _dropout_scales() -> list[float]:
    """1 / keep_prob of every dropout that drops."""
    return [
        float(tf.get_static_value(op.inputs[1]))
        for op in tf.get_default_graph().get_operations()
        if op.type == 'Mul' and '/dropout/' in op.name and op.inputs[1].op.type == 'Const'
    ]


# Sizes


@pytest.mark.parametrize('side', ['least', 'greatest'])
@pytest.mark.parametrize('stack', STACKS, ids=lambda stack: stack.name)
def test_images_between_the_limits_give_one_place(stack, side):
    size = stack.min_size['VALID'] + {'least': 0, 'greatest': 31}[side]
    logits, _ = IMAGENET[stack.name](_images(size, size), num_classes=5)
    assert logits.shape.as_list() == [2, 5]


@pytest.mark.parametrize('stack', STACKS, ids=lambda stack: stack.name)
def test_below_the_least_size_there_is_no_place_for_fc6(stack):
    size = stack.min_size['VALID'] - 1
    with pytest.raises(errors.UsageError, match=f'{size} x 300 pixels; .* at least {size + 1} x'):
        IMAGENET[stack.name](_images(size, 300))
    assert not tf.global_variables()
    unchecked = dataclasses.replace(stack, min_size={'VALID': 1})
    with pytest.raises(ValueError) as raised:
        plain_stack.build_imagenet_stack(
            unchecked, _images(size, size), 5, False, 0.5, False, None, False
        )
    assert not isinstance(raised.value, errors.UsageError)


@pytest.mark.parametrize(
    ('name', 'height', 'width', 'arguments', 'places'),
    [
        ('alexnet_v2', 227, 226, {}, [2, 1]),
        ('alexnet_v2', 300, 400, {}, [4, 7]),
        ('overfeat', 263, 262, {}, [2, 1]),
        ('overfeat', 281, 281, {}, [2, 2]),
        ('vgg_a', 256, 255, {}, [2, 1]),
        ('vgg_16', 320, 256, {}, [4, 2]),
        ('vgg_19', 64, 127, {'fc_conv_padding': 'SAME'}, [2, 3]),
        ('alexnet_v2', 300, 400, {'global_pool': True}, [1, 1]),
        ('vgg_a', 256, 320, {'global_pool': True}, [1, 1]),
        ('vgg_a', None, None, {}, [None, None]),
        ('vgg_a', None, None, {'global_pool': True}, [1, 1]),
    ],
)
def test_larger_images_give_a_map_of_logits(name, height, width, arguments, places):
    images = _images(height, width, batch=None)
    logits, end_points = IMAGENET[name](
        images, num_classes=5, spatial_squeeze=False, scope='net', **arguments
    )
    assert logits.shape.as_list() == [None, *places, 5]
    assert logits is end_points['net/fc8']
    assert logits.op.name == 'net/fc8/BiasAdd'
    tail = ['net/fc7', *(['global_pool'] if 'global_pool' in arguments else []), 'net/fc8']
    assert list(end_points)[-len(tail) :] == tail


@pytest.mark.parametrize(
    ('name', 'size', 'arguments'),
    [
        ('alexnet_v2', 227, {}),
        ('overfeat', 263, {}),
        ('vgg_16', 256, {}),
        ('vgg_16', 64, {'fc_conv_padding': 'SAME'}),
    ],
)
def test_a_map_of_logits_cannot_be_squeezed(name, size, arguments):
    with pytest.raises(errors.UsageError, match=f'above {size - 1} x .*spatial_squeeze=False'):
        IMAGENET[name](_images(None, size), **arguments)
    assert not tf.global_variables()
    logits, _ = IMAGENET[name](_images(size, size), num_classes=5, global_pool=True, **arguments)
    assert logits.shape.as_list() == [2, 5]


def test_images_of_unknown_size_are_squeezed():
    logits, _ = vgg.vgg_a(_images(None, None), num_classes=5)
    assert logits.shape.as_list() == [2, 5]


# Forms of the head


@pytest.mark.parametrize('num_classes', [0, None])
@pytest.mark.parametrize('name', ['alexnet_v2', 'overfeat', 'vgg_a'])
def test_without_classes_fc7_is_returned(name, num_classes):
    net, end_points = IMAGENET[name](_images(256, 256), num_classes=num_classes)
    assert net is end_points[f'{name}/fc7']
    assert list(end_points)[-1] == f'{name}/fc7'
    assert net.op.name == f'{name}/fc7/Relu'


def test_without_classes_the_global_pool_is_returned():
    net, end_points = vgg.vgg_a(_images(256, 320), num_classes=None, global_pool=True)
    assert net is end_points['global_pool']
    assert net.shape.as_list() == [2, 1, 1, 4096]


@pytest.mark.parametrize(
    ('network', 'last', 'missing'),
    [
        (lenet.lenet, 'fc3', {'dropout3', 'Logits', 'Predictions'}),
        (cifarnet.cifarnet, 'fc4', {'Logits', 'Predictions'}),
    ],
)
@pytest.mark.parametrize('num_classes', [0, None])
def test_without_classes_a_small_network_ends_early(network, last, missing, num_classes):
    net, end_points = network(_images(8, 8), num_classes=num_classes)
    assert net is end_points[last]
    assert list(end_points)[-1] == last
    assert not missing & set(end_points)


@pytest.mark.parametrize('network', SMALL.values())
def test_prediction_fn_may_be_another_or_none(network):
    _, end_points = network(_images(4, 4), prediction_fn=None, scope='plain')
    assert list(end_points)[-1] == 'Logits'
    _, end_points = network(
        _images(4, 4), prediction_fn=lambda logits, scope: tf.nn.sigmoid(logits, name=scope)
    )
    assert end_points['Predictions'].op.type == 'Sigmoid'


@pytest.mark.parametrize(('name', 'network'), [*IMAGENET.items(), *SMALL.items()])
def test_dropout(name, network):
    arguments = {'dropout_keep_prob': 0.8, 'num_classes': 5}
    if name in IMAGENET:
        arguments['spatial_squeeze'] = False
    network(_images(231, 231), is_training=False, **arguments)
    assert _dropout_scales() == []
    network(_images(231, 231), is_training=True, scope='training', **arguments)
    assert _dropout_scales() == [1.25] * (1 if name in SMALL else 2)


# Variables


@pytest.mark.parametrize(('name', 'network'), [*IMAGENET.items(), *SMALL.items()])
def test_evaluation_shares_the_variables_of_training(name, network):
    arguments = {'spatial_squeeze': False} if name in IMAGENET else {}
    network(_images(231, 231), num_classes=5, **arguments)
    variables = len(tf.global_variables())
    size = 300 if arguments else 231
    if name.startswith('vgg'):
        logits, end_points = network(
            _images(size, size), num_classes=5, is_training=False, reuse=True, **arguments
        )
    else:
        tf.get_variable_scope().reuse_variables()
        logits, end_points = network(
            _images(size, size), num_classes=5, is_training=False, **arguments
        )
    assert len(tf.global_variables()) == variables
    assert logits.op.name.startswith(f'{name}_1/')
    assert all(net.op.name.startswith(f'{name}_1/') for net in list(end_points.values())[:-1])


@pytest.mark.parametrize(
    ('scope', 'decayed'),
    [
        (vgg.vgg_arg_scope, True),
        (alexnet.alexnet_v2_arg_scope, True),
        (overfeat.overfeat_arg_scope, True),
        (lenet.lenet_arg_scope, False),
        (cifarnet.cifarnet_arg_scope, False),
    ],
)
def test_arg_scopes_without_arguments(scope, decayed):
    with slim.arg_scope(scope()):
        slim.conv2d(tf.zeros([1, 4, 4, 3]), 2, [3, 3], scope='conv')
    assert bool(tf.losses.get_regularization_losses()) == decayed


# Bad input


@pytest.mark.parametrize(
    ('network', 'images', 'arguments', 'message'),
    [
        (vgg.vgg_16, (224, 224, 3), {}, r'shape \(224, 224, 3\); expected \[batch, height'),
        (vgg.vgg_16, (2, 31, 64, 3), {'fc_conv_padding': 'SAME'}, 'at least 32 x 32'),
        (vgg.vgg_16, (2, 224, 224, 3), {'fc_conv_padding': 'same'}, "'same'.*VALID, SAME"),
        (vgg.vgg_16, (2, 224, 224, 3), {'num_classes': -1}, 'num_classes is -1'),
        (alexnet.alexnet_v2, (2, 224, 224, 3), {'num_classes': -1}, 'num_classes is -1'),
        (lenet.lenet, (2, 3, 28, 1), {}, '3 x 28 pixels; .* at least 4 x 4'),
        (lenet.lenet, (2, None, 28, 1), {}, 'needs to know height and width'),
        (lenet.lenet, (28, 28, 1), {}, 'expected .batch, height, width, channels'),
        (lenet.lenet, (2, 28, 28, 1), {'num_classes': -1}, 'num_classes is -1'),
        (cifarnet.cifarnet, (2, 32, None, 3), {}, 'needs to know height and width'),
        (cifarnet.cifarnet, (2, 32, 2, 3), {}, '32 x 2 pixels'),
        (cifarnet.cifarnet, (2, 32, 32, 3), {'num_classes': -1}, 'num_classes is -1'),
    ],
)
def test_bad_input_is_refused_before_any_variable(
    network: Any, images: tuple[int | None, ...], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.UsageError, match=message):
        network(tf.placeholder(tf.float32, images), **arguments)
    assert not tf.global_variables()
