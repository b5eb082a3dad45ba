"""Numbers of the classic suite: logits and end points of an image, and one whole training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import golden_values
import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets import mobilenet_v1, nets_factory
from nets.mobilenet import mobilenet_v2

LARGE = ('nasnet_mobile', 'inception_v3')


@pytest.mark.parametrize(
    'case',
    [
        pytest.param(
            case,
            id=f'{case["network"]}_{case["size"]}',
            marks=[pytest.mark.slow] if case['network'] in LARGE else [],
        )
        for case in golden_values.forward_cases()
    ],
)
def test_forward(case: dict[str, Any]) -> None:
    """End points are recorded as name, shape, mean, standard deviation and eight values, one at
    every (size // 8)th place of the flattened array."""
    network_fn = nets_factory.get_network_fn(
        case['network'], case['num_classes'], is_training=case['is_training']
    )
    shape = [case['network'], case['size'], case['batch'], case['channels']]
    images = golden_values.forward_images(*shape)
    with tf.Graph().as_default(), sessions.plain_session() as session:
        inputs = tf.placeholder(tf.float32, images.shape)
        logits, end_points = network_fn(inputs)
        golden_values.initialize(session, tf.global_variables(), case['gain'])
        wanted = {row[0]: end_points[row[0]] for row in case['end_points']}
        got_logits, got = session.run([logits, wanted], {inputs: images})

    expected_logits = golden_values.forward_logits(case)
    np.testing.assert_allclose(
        got_logits, expected_logits, rtol=0, atol=1e-4 * np.abs(expected_logits).max()
    )
    for name, shape, mean, stddev, values in case['end_points']:
        array = got[name]
        atol = 1e-4 * np.abs(array).max()
        assert list(array.shape) == shape, name
        np.testing.assert_allclose(array.mean(), mean, rtol=0, atol=atol, err_msg=name)
        np.testing.assert_allclose(array.std(), stddev, rtol=0, atol=atol, err_msg=name)
        places = array.ravel()[:: array.size // 8][:8]
        np.testing.assert_allclose(places, values, rtol=0, atol=atol, err_msg=name)


def _norms(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(np.linalg.norm(np.float64(array))) for name, array in arrays.items()}


# The offset of a bottleneck's linear batch norm adds a constant, which the batch norm of the next
# convolution takes away again. Its gradient is zero; what is recorded of it, 4e-6 and less, is
# rounding, other on each processor. The smallest other number recorded is 1e-4.
_ZERO = 1e-5


def _assert_close(got: dict[str, float], expected: dict[str, float], rtol: float) -> None:
    assert got.keys() == expected.keys()
    zeros = sorted(name for name in expected if expected[name] < _ZERO)
    names = sorted(expected.keys() - zeros)
    np.testing.assert_allclose(
        [got[name] for name in names], [expected[name] for name in names], rtol=rtol
    )
    np.testing.assert_array_less([got[name] for name in zeros], 2 * _ZERO)


def _mobilenet_v1_025(images: tf.Tensor, weight_decay: float) -> tf.Tensor:
    scope = mobilenet_v1.mobilenet_v1_arg_scope(is_training=True, weight_decay=weight_decay)
    with slim.arg_scope(scope):
        logits, _ = mobilenet_v1.mobilenet_v1_025(images, num_classes=1001, dropout_keep_prob=1.0)
    return logits


def _mobilenet_v2(images: tf.Tensor, weight_decay: float) -> tf.Tensor:
    scope = mobilenet_v2.training_scope(
        is_training=True, weight_decay=weight_decay, dropout_keep_prob=1.0
    )
    with slim.arg_scope(scope):
        logits, _ = mobilenet_v2.mobilenet(images, num_classes=1001)
    return logits


@pytest.mark.parametrize(
    ('name', 'logits_fn'),
    [('mobilenet_v1_025_96', _mobilenet_v1_025), ('mobilenet_v2_96', _mobilenet_v2)],
)
def test_training_step(name: str, logits_fn: Callable[[tf.Tensor, float], tf.Tensor]) -> None:
    """Losses, every gradient, and all variables and RMSProp slots after one step."""
    case = golden_values.training_case(name)
    images, labels = golden_values.training_batch(case['net'], case['size'], case['batch'])
    with tf.Graph().as_default(), sessions.plain_session() as session:
        inputs = tf.placeholder(tf.float32, images.shape)
        logits = logits_fn(inputs, case['weight_decay'])
        cross_entropy = tf.losses.softmax_cross_entropy(
            tf.one_hot(labels, 1001), logits, label_smoothing=case['label_smoothing']
        )
        regularization = tf.losses.get_regularization_loss()
        total_loss = tf.losses.get_total_loss()

        global_step = tf.train.get_or_create_global_step()
        optimizer = tf.train.RMSPropOptimizer(**case['rmsprop'])
        gradients = optimizer.compute_gradients(total_loss)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            step = optimizer.apply_gradients(gradients, global_step)

        session.run(tf.variables_initializer([global_step, *optimizer.variables()]))
        before = golden_values.initialize(session, slim.get_model_variables(), case['gain'])
        losses, gradient_values, _ = session.run(
            [
                [cross_entropy, regularization, total_loss],
                {variable.op.name: gradient for gradient, variable in gradients},
                step,
            ],
            {inputs: images},
        )
        after = session.run({variable.op.name: variable for variable in tf.global_variables()})

    expected_losses = [case[name] for name in ('cross_entropy', 'regularization', 'total_loss')]
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    _assert_close(_norms(gradient_values), case['grad_norms'], rtol=2e-3)
    _assert_close(_norms(after), case['after_one_step_norms'], rtol=1e-3)
    changes = {name: after[name] - before[name] for name in before if 'moving_' in name}
    _assert_close(_norms(changes), case['moving_stats_change_norms'], rtol=1e-3)
