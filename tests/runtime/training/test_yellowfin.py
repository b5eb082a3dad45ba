"""YellowFin against the numbers of an implementation of its own in float64, and its state."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.training import yellowfin

_GOLDENS = json.loads((pathlib.Path(__file__).parents[2] / 'data' / 'yellowfin.json').read_text())
_COLUMNS = _GOLDENS['columns']
_SETTINGS = {
    'lr': 'learning_rate',
    'log': 'log_smooth',
    'debias': 'zero_debias',
    'slow': 'slow_start',
    'adapt': 'adapt_clip',
}
# The variant that is one step late is another order than the published one.
_CASES = [name for name in _GOLDENS['cases'] if name != 'noisy_one_step_late']


def noise(kind):
    rows = np.array(_GOLDENS['problem']['noise_rows'])
    if kind == 'spike':
        rows[25] *= 200
    return np.zeros_like(rows) if kind == 'none' else rows


class Problem:
    """The quadratic of the goldens with an optimizer, in a graph of its own."""

    def __init__(self, **settings):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.noise = tf.placeholder(tf.float32, [2])
            # Two variables, since norms are over all of them together.
            start = _GOLDENS['problem']['start']
            self.x = [
                tf.get_variable(f'x{i}', initializer=[start[i]], use_resource=True)
                for i in range(2)
            ]
            loss = 0.5 * (self.x[0][0] ** 2 + 10 * self.x[1][0] ** 2)
            self.optimizer = yellowfin.YellowFinOptimizer(**settings)
            pairs = self.optimizer.compute_gradients(loss)
            pairs = [(g + self.noise[i], v) for i, (g, v) in enumerate(pairs)]
            self.step = tf.train.create_global_step()
            self.update = self.optimizer.apply_gradients(pairs, self.step)
            self.state = {v.op.name: v for v in tf.global_variables()}
            self.loss = loss
            self.initialize = tf.global_variables_initializer()
            self.saver = tf.train.Saver(tf.global_variables())
        self.session = tf.Session(graph=self.graph)
        self.session.run(self.initialize)

    def run(self, rows):
        """A row of the golden columns for each row of noise."""
        found = []
        for row in rows:
            self.session.run(self.update, {self.noise: row})
            held, loss = self.session.run([self.state, self.loss])
            state = {
                name.removeprefix('YellowFin/'): value
                for name, value in held.items()
                if name.startswith('YellowFin/')
            }
            for end in ('h_min', 'h_max'):
                if f'log_{end}' in state:
                    state[end] = np.exp(state[f'log_{end}'])
            place = (state['step'] - 1) % state['window'].size
            state['grad_norm'] = np.sqrt(state['window'][place])
            state['variance'] = max(state['variance'], 1e-6)
            state |= {'x0': held['x0'][0], 'x1': held['x1'][0], 'loss': loss}
            found.append([state[column] for column in _COLUMNS])
        return np.array(found)


@pytest.mark.parametrize('name', _CASES)
def test_every_quantity_is_that_of_the_goldens(name):
    case = _GOLDENS['cases'][name]
    settings = {'adapt_clip': False}
    settings |= {_SETTINGS[key]: value for key, value in case['settings'].items()}
    found = Problem(**settings).run(noise(case['noise'])[: case['steps']])
    assert_near(found, np.array(case['rows']))


def assert_near(found, expected):
    assert found.shape == expected.shape
    for place, column in enumerate(_COLUMNS):
        tolerance = 1e-4 if column in ('x0', 'x1') else 1e-3
        np.testing.assert_allclose(
            found[:, place], expected[:, place], rtol=tolerance, err_msg=column
        )


def by_the_text(steps, lr=0.05, beta=0.999, window=20, factor=1.0, clip=None, smoothed=False):
    """The golden columns of the noisy problem, step by step as the paper's quantities are defined,
    in float64: sums with their bias taken away, and the root found by halving."""
    x, v, mu, eps = np.array([1.0, -0.5]), np.zeros(2), 0.0, 1e-6
    sums = dict.fromkeys(('low', 'high', 'q', 'g', 'norm', 'distance'), 0.0)
    last, rows = [], []
    for t, row in enumerate(noise('noise')[:steps]):
        g = np.array([1.0, 10.0]) * x + row
        if clip:
            g *= min(1.0, clip / np.linalg.norm(g))
        norm = np.linalg.norm(g)
        last = [*last, norm**2 + eps][-window:]

        def average(key, value, t=t):
            sums[key] = beta * sums[key] + (1 - beta) * value
            return sums[key] / (1 - beta ** (t + 1))

        low = np.exp(average('low', np.log(min(last) + eps)))
        high = np.exp(average('high', np.log(max(last) + eps)))
        q, mean = average('q', norm**2), average('g', g)
        variance = max(eps, q - np.sum(mean**2))
        distance = average('distance', average('norm', norm) / (q + eps))
        if t:
            p = (distance + eps) ** 2 * (low + eps) ** 2 / (2 * (variance + eps))
            left, right = 0.0, 1.0
            for _ in range(80):
                middle = (left + right) / 2
                below = p * middle < (1 - middle) ** 3
                left, right = (middle, right) if below else (left, middle)
            root = np.sqrt((high + eps) / (low + eps))
            tuned_mu = max(left**2, ((root - 1) / (root + 1)) ** 2)
            tuned = (1 - np.sqrt(tuned_mu)) ** 2 / (low + eps) * min(1, (t + 1) / (10 * window))
            share = 1 - beta if smoothed else 1
            mu, lr = mu + share * (tuned_mu - mu), lr + share * (tuned - lr)
        v = mu * v + g
        x = x - lr * factor * v
        loss = 0.5 * (x[0] ** 2 + 10 * x[1] ** 2)
        rows.append([lr, mu, low, high, variance, distance, norm, *x, loss])
    return np.array(rows)


@pytest.mark.parametrize(
    'by_text, settings',
    [
        ({}, {}),
        ({'clip': 1.0}, {'clip_thresh': 1.0}),
        ({'factor': 0.3}, {'lr_factor': 0.3}),
        ({'beta': 0.9, 'window': 5}, {'beta': 0.9, 'curvature_window_width': 5}),
        ({'smoothed': True}, {'use_unsmoothed_lr_mu': False}),
    ],
    ids=lambda settings: '-'.join(settings) or 'usual',
)
def test_settings_beside_the_goldens_follow_the_text(by_text, settings):
    expected = by_the_text(30, **by_text)
    if not by_text:
        np.testing.assert_allclose(expected, _GOLDENS['cases']['noisy']['rows'][:30], rtol=1e-6)
    assert_near(
        Problem(learning_rate=0.05, adapt_clip=False, **settings).run(noise('noise')[:30]), expected
    )


def test_a_run_stopped_and_resumed_has_the_same_bits_and_all_its_state_has_a_name(tmp_path):
    rows = noise('noise')
    whole, first, second = (Problem(learning_rate=0.05) for _ in range(3))
    whole.run(rows[:25])
    first.run(rows[:22])
    with first.graph.as_default():
        saved = first.saver.save(first.session, str(tmp_path / 'at'))
    with second.graph.as_default():
        second.saver.restore(second.session, saved)
    second.run(rows[22:25])
    expected, found = whole.session.run(whole.state), second.session.run(second.state)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    scalars = ('lr', 'mu', 'lr_factor', 'step', 'squared_norm', 'norm', 'distance', 'variance')
    state = (*scalars, 'window', 'log_h_min', 'log_h_max')
    slots = (f'{x}/YellowFin{slot}' for x in ('x0', 'x1') for slot in ('', '/gradient_average'))
    assert expected.keys() == {
        *('x0', 'x1', 'global_step'),
        *(f'YellowFin/{key}' for key in state),
        *slots,
    }
    assert expected['global_step'] == expected['YellowFin/step'] == 25
    with whole.graph.as_default():
        listed = {variable.op.name for variable in whole.optimizer.variables()}
    assert listed == expected.keys() - {'x0', 'x1', 'global_step'}
    assert whole.optimizer.get_slot_names() == ['gradient_average', 'momentum']
    slot = whole.optimizer.get_slot(whole.x[0], 'momentum')
    assert slot.op.name == 'x0/YellowFin'


def test_a_gradient_that_is_not_finite_is_refused_and_leaves_the_state_alone():
    problem = Problem(learning_rate=0.05)
    problem.run(noise('noise')[:3])
    before = problem.session.run(problem.state)
    for wrong in (np.nan, np.inf):
        with pytest.raises(tf.errors.InvalidArgumentError, match='YellowFin: the norm of the grad'):
            problem.run([[0.0, wrong]])
    after = problem.session.run(problem.state)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


def test_gradients_of_zero_keep_everything_finite():
    problem = Problem(learning_rate=0.05)
    with problem.graph.as_default():
        problem.session.run([x.assign([0.0]) for x in problem.x])
    rows = problem.run(np.zeros([4, 2]))
    assert np.isfinite(rows).all()
    assert (rows[-1, 1] > 0.9) and (rows[-1, 1] < 1)


def test_a_steep_quadratic_from_a_rate_of_1_does_not_fail():
    """Where the form of June 2017 ended with an error of its eigenvalues at step 20."""
    problem = Problem(learning_rate=1.0)
    rows = problem.run(np.tile(noise('noise'), (7, 1)))
    assert np.isfinite(rows).all()
    assert rows[-50:, -1].max() < 1.0 < rows[0, -1]


def test_sparse_gradients_are_measured_and_applied_as_dense_ones():
    updated = []
    for sparse in (True, False):
        with tf.Graph().as_default(), tf.Session() as session:
            table = tf.get_variable('t', initializer=[[1.0], [2.0], [3.0]], use_resource=True)
            slices = tf.IndexedSlices([[0.5], [0.25], [1.0]], [2, 2, 0], [3, 1])
            gradient = slices if sparse else tf.constant([[1.0], [0.0], [0.75]])
            optimizer = yellowfin.YellowFinOptimizer(0.1)
            update = optimizer.apply_gradients([(gradient, table), (None, table)])
            session.run(tf.global_variables_initializer())
            for _ in range(3):
                session.run(update)
            updated.append(session.run([*optimizer.variables(), table]))
    for found, expected in zip(*updated, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('p, root', _GOLDENS['cubic']['p_and_root'])
def test_the_root_of_the_cubic_has_all_its_digits_in_float32(p, root):
    with tf.Graph().as_default(), tf.Session() as session:
        rest = session.run(yellowfin.one_minus_root(tf.constant(p, tf.float32)))
    np.testing.assert_allclose(rest, 1 - root, rtol=1e-5)
    # The same root by its other side, where 1 - rest would have no digit left.
    np.testing.assert_allclose(float(rest) ** 3 / p, root, rtol=1e-5)
