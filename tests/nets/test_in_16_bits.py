"""Networks in training form as a GPU trains them: in 16 bits, with dropout as a product."""

from __future__ import annotations

from typing import Any

import network_facts
import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets import full_precision, nets_factory
from runtime.devices import half
from runtime.training import classification, randomness

# One of each piece of code that ends in logits; the wide ones take long to build.
_QUICK = (
    'lenet',
    'cifarnet',
    'overfeat',
    'inception_v1',
    'resnet_v1_50',
    'mobilenet_v1_025',
    'mobilenet_v3_small',
)
_OTHERS = tuple(
    name
    for name in network_facts.classifiers()
    if name not in _QUICK and name not in network_facts.SIBLINGS
)
_SLOW = (pytest.mark.slow, pytest.mark.once)
# As others of their families, and larger.
_RARE = ('inception_v4', 'pnasnet_mobile')
_PRODUCTS = ('Conv2D', 'Conv3D', 'MatMul')
_CLASSES = 17  # no other layer has as many outputs


def _build(name: str, shape: list[int], dtype: str) -> tuple[list[tf.Operation], dict[str, Any]]:
    """What the losses of a network in `dtype` depend on, and its end points."""
    step = tf.train.create_global_step()  # Before the network, as in training: NASNet asks for it.
    network_fn = nets_factory.get_network_fn(name, _CLASSES, weight_decay=4e-5, is_training=True)
    batch = tf.placeholder(tf.float32, shape), tf.zeros([shape[0]], tf.int64)
    end_points = classification.training_clone(
        lambda: batch, half.computing_in(dtype, network_fn), _CLASSES, 0.1
    )
    randomness.make_draws_follow_step(tf.losses.get_losses(), step, 0)
    losses = tf.losses.get_losses() + tf.losses.get_regularization_losses()
    assert {loss.dtype for loss in losses} == {tf.float32}
    return randomness.ancestors(losses), end_points


@pytest.mark.parametrize(
    'name',
    [
        *_QUICK,
        *(
            pytest.param(name, marks=[*_SLOW, *([pytest.mark.exhaustive] if name in _RARE else [])])
            for name in _OTHERS
        ),
    ],
)
def test_a_network_in_bf16_keeps_its_variables_and_its_logits_in_float32(
    name: str, graph: tf.Graph
) -> None:
    contract = network_facts.load_contract(name)
    operations, end_points = _build(name, [2, *contract['input_shape'][1:]], 'bf16')
    assert {variable.dtype.base_dtype for variable in tf.trainable_variables()} == {tf.float32}
    # As the contract has them, but for the number of classes, which is another.
    expected = [variable[0] for variable in contract['train']['variables']]
    assert [variable.op.name for variable in slim.get_model_variables()] == expected
    assert list(end_points) == [row[0] for row in contract['train']['end_points']]
    products = [operation for operation in operations if operation.type in _PRODUCTS]
    classifiers = [op for op in products if op.inputs[1].shape[-1] == _CLASSES]
    assert 0 < len(classifiers) <= 2  # with an auxiliary one
    for product in products:
        is_classifier = product in classifiers
        assert (product.outputs[0].dtype == tf.float32) == is_classifier, product.name
    # Grappler's layout optimizer gives up on graphs with one.
    maps = [op.name for op in operations if op.type == 'SelectV2' and op.outputs[0].shape.rank]
    assert maps == []


def test_weights_are_regularized_once_in_float32_however_many_clones(graph: tf.Graph) -> None:
    regularizer = slim.l2_regularizer(0.5)

    def network(images: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        with slim.arg_scope([slim.conv2d, slim.separable_conv2d], weights_regularizer=regularizer):
            net = slim.conv2d(images, 3, [1, 1], scope='a')
            net = slim.separable_conv2d(net, 4, [3, 3], scope='b')
        return tf.reduce_mean(net, [1, 2]), {'net': net}

    images = tf.ones([2, 4, 4, 3])
    for clone in range(2):
        with tf.variable_scope(tf.get_variable_scope(), reuse=clone > 0):
            logits, end_points = half.computing_in('fp16', network)(images)
    assert logits.dtype == tf.float32
    assert end_points['net'].dtype == tf.float16
    weights = [v for v in tf.trainable_variables() if 'weights' in v.op.name]
    assert len(weights) == 3
    losses = tf.losses.get_regularization_losses()
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        found, values = session.run([losses, weights])
    np.testing.assert_allclose(
        sorted(found), sorted(0.25 * (value**2).sum() for value in values), rtol=1e-5
    )


def _block(images: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """What a MobileNet is made of, but for Relu6: what is at its bounds comes and goes."""
    layers = [slim.conv2d, slim.separable_conv2d]
    with (
        slim.arg_scope(layers, activation_fn=tf.tanh, normalizer_fn=slim.batch_norm),
        slim.arg_scope([slim.batch_norm], fused=True, is_training=True, decay=0.9),
    ):
        net = slim.conv2d(images, 16, [3, 3])
        net = slim.separable_conv2d(net, None, [3, 3], stride=2)
        net = slim.conv2d(net, 24, [1, 1])
    net = full_precision.in_float32(tf.reduce_mean(net, [1, 2]))
    return slim.fully_connected(net, 4, activation_fn=None), {}


@pytest.mark.parametrize(('dtype', 'tolerance'), [('bf16', 0.06), ('fp16', 0.01)])
def test_loss_and_gradients_are_those_of_fp32_to_the_precision(
    dtype: str, tolerance: float
) -> None:
    """Computed on the CPU, which has all these kernels, and slow ones."""
    found = {}
    for name, network_fn in (('fp32', _block), (dtype, half.computing_in(dtype, _block))):
        with tf.Graph().as_default(), sessions.plain_session() as session:
            tf.set_random_seed(3)
            batch = tf.random.stateless_normal([8, 12, 12, 3], [1, 2]), tf.range(8) % 4
            classification.training_clone(lambda batch=batch: batch, network_fn, 4, 0.1)
            (loss,) = tf.losses.get_losses()
            gradients = tf.gradients(loss, tf.trainable_variables())
            assert {gradient.dtype for gradient in gradients} == {tf.float32}
            session.run(tf.global_variables_initializer())
            found[name] = session.run([loss, *gradients])
    assert found[dtype][0] == pytest.approx(found['fp32'][0], rel=tolerance / 20)
    assert found[dtype][0] != found['fp32'][0]
    for value, expected in zip(found[dtype], found['fp32'], strict=True):
        assert np.linalg.norm(value - expected) <= tolerance * np.linalg.norm(expected)
