"""Learning rates and updates by name, against the numbers and formulas of the first release."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import mobilenet_trainer
from mobilenet.training import names, optimizers, schedules
from slim import errors

# Settings, steps an epoch, and what the first release gave, step by step.
EXPONENTIAL = [
    (
        {'initial_lr': 0.008, 'decay_epochs': 2.4, 'decay_rate': 0.97, 'warmup_epochs': 5},
        100,
        {
            0: 0.0,
            1: 1.6e-05,
            250: 0.0040000002,
            499: 0.0079840003,
            500: 0.0075272005,
            720: 0.0073013846,
            1000: 0.0070823436,
            2999: 0.0055507408,
        },
    ),
    (
        {'initial_lr': 0.045, 'decay_epochs': 2.5, 'decay_rate': 0.94, 'warmup_epochs': 5},
        20018,
        {
            1: 4.4959538e-07,
            100089: 0.044999555,
            100090: 0.039762001,
            150135: 0.037376281,
            600539: 0.022783419,
        },
    ),
    (
        {'initial_lr': 0.02, 'decay_epochs': 3.0, 'decay_rate': 0.99, 'warmup_epochs': 5},
        6672,
        {33359: 0.0199994, 33360: 0.0198, 60048: 0.01940598, 200159: 0.018270347},
    ),
]


def rates(name, steps, batch_size=256, steps_per_epoch=10, **params):
    schedule = schedules.schedule(name, steps_per_epoch, batch_size, params)
    return [float(schedule(tf.constant(step, tf.int64))) for step in steps]


@pytest.mark.parametrize('name', ['exponential', 'exponential_with_warmup'])
@pytest.mark.parametrize('params, steps_per_epoch, expected', EXPONENTIAL)
def test_exponential(name, params, steps_per_epoch, expected):
    found = rates(name, expected, 32, steps_per_epoch, staircase=True, **params)
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-6)


@pytest.mark.parametrize('name', ['piecewise_constant', 'stepwise_with_warmup'])
def test_steps_by_epochs_start_from_a_tenth_for_256_images(name):
    # A value lasts up to and including its boundary.
    expected = {0: 0.0, 25: 0.1, 50: 0.2, 300: 0.2, 301: 0.02, 600: 0.02, 601: 2e-3, 801: 2e-4}
    found = rates(name, expected, batch_size=512)
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-6)
    found = rates('piecewise_constant', [5, 9, 11], 128, boundaries=[1], multipliers=[1, 3])
    np.testing.assert_allclose(found, [0.005, 0.009, 0.011], rtol=1e-6)
    found = rates(name, [5, 15], 128, boundaries=[1], multipliers=[1, 3], warmup_epochs=0)
    scale = 128 if name.startswith('stepwise') else 0.05
    np.testing.assert_allclose(found, [scale, 3 * scale], rtol=1e-6)


def test_cosine_falls_to_zero_after_its_warm_up():
    steps = [0, 25, 50, 300, 999, 1000, 1100]
    wave = [0.1 * (1 + np.cos(np.pi * (step - 50) / 950)) / 2 for step in steps[2:5]]
    expected = [0.0, 0.05, *wave, 0.0, 0.0]
    for name in ('cosine', 'cosine_with_warmup'):
        np.testing.assert_allclose(rates(name, steps, epochs=100), expected, rtol=1e-5, atol=1e-9)
    assert rates('cosine', [50], base_lr=0.3) == [pytest.approx(0.3)]


def test_all_names_build_and_a_wrong_one_is_told():
    for name in names.SCHEDULES:
        assert 0 < rates(name, [50])[0] < 1
    with pytest.raises(errors.UsageError, match=r"'cosin'. Did you mean 'cosine'"):
        rates('cosin', [1])
    with pytest.raises(errors.UsageError, match=r"'decay_rat'. Did you mean 'decay_rate'"):
        rates('exponential', [1], decay_rat=0.5)
    with pytest.raises(errors.UsageError, match=r'1 boundaries .* 2 multipliers, not 3'):
        rates('stepwise', [1], boundaries=[1], multipliers=[1, 2, 3])


# Gradients of three steps, and the rate of each.
GRADIENTS = [np.array([0.5, -1.0, 0.0]), np.array([0.1, 0.2, 0.3]), np.array([-2.0, 0.0, 0.4])]
START = np.array([1.0, -2.0, 3.0])


def _rates():
    schedule = schedules.schedule('exponential', 2, 4, {'initial_lr': 0.1, 'warmup_epochs': 2})
    return schedule, [float(schedule(step)) for step in range(3)]


def _sgd(w, g, lr, slots, t):
    return w - lr * g


def _momentum(w, g, lr, slots, t):
    slots['m'] = 0.9 * slots.get('m', 0.0) - lr * g
    return w + slots['m']


def _rmsprop(w, g, lr, slots, t):
    slots['v'] = 0.9 * slots.get('v', 0.0) + 0.1 * g * g
    slots['m'] = 0.9 * slots.get('m', 0.0) + lr * g / np.sqrt(slots['v'] + 0.002)
    return w - slots['m']


def _adam(w, g, lr, slots, t):
    slots['m'] = 0.9 * slots.get('m', 0.0) + 0.1 * g
    slots['v'] = 0.999 * slots.get('v', 0.0) + 0.001 * g * g
    rate = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return w - rate * slots['m'] / (np.sqrt(slots['v']) + 0.002)


def _adamw(w, g, lr, slots, t):
    return _adam(w - lr * 0.01 * w, g, lr, slots, t)


FORMULAS = {
    'sgd': _sgd,
    'momentum': _momentum,
    'rmsprop': _rmsprop,
    'adam': _adam,
    'adamw': _adamw,
}


@pytest.mark.parametrize('name', names.OPTIMIZERS)
def test_updates_follow_their_formulas(name):
    schedule, values = _rates()
    optimizer = optimizers.optimizer(name, schedule, {})
    variable = tf.Variable(START, dtype=tf.float32)
    expected, slots = START, {}
    for step, (gradient, rate) in enumerate(zip(GRADIENTS, values, strict=True), 1):
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), variable)])
        expected = FORMULAS[name](expected, gradient, rate, slots, step)
    np.testing.assert_allclose(variable.numpy(), expected, rtol=2e-6)
    assert np.abs(expected - START).max() > 0.01


def test_the_trainer_makes_the_default_optimizer():
    optimizer = mobilenet_trainer._get_optimizer(32, 100)
    assert float(optimizer.learning_rate(499)) == pytest.approx(0.0079840003, rel=1e-6)
    config = optimizer.get_config()
    found = [config[name] for name in ('rho', 'momentum', 'epsilon')]
    assert found == pytest.approx([0.9, 0.9, 0.002])
    with pytest.raises(errors.UsageError, match=r"'rmsprob'. Did you mean 'rmsprop'"):
        mobilenet_trainer._get_optimizer(32, 100, optimizer_name='rmsprob')
    with pytest.raises(errors.UsageError, match=r"'epsilom'. Did you mean 'epsilon'"):
        mobilenet_trainer._get_optimizer(32, 100, optimizer_params={'epsilom': 1})
