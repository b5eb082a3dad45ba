"""YellowFin: momentum SGD that finds its learning rate and momentum itself.

Zhang and Mitliagkas, "YellowFin and the Art of Momentum Tuning", 2017. A step measures the gradient
that it is given (range of curvature, variance, distance to the optimum), tunes rate and momentum by
that, and applies them to the same gradient, in this order.

What is kept of the past are averages that are free of their start's bias at every step, so that
each is what its name says: average += w (value - average), w = (1 - beta) / (1 - beta^(t+1)). The
variance is followed as such, by what each gradient adds to it (West, 1979): as the difference of
two large averages it would drown in the rounding of float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

_EPSILON = 1e-6
# Beyond, p^2 is no float32; the root is 1 or 0 there in all its digits.
_SMALLEST_P, _LARGEST_P = 1e-30, 1e20


class YellowFinOptimizer(tf.train.Optimizer):
    """Momentum SGD with measured rate and momentum; variables without a gradient are left alone.

    Its variables are `YellowFin/...`, and for each trained variable `VARIABLE/YellowFin`, the
    momentum, and `VARIABLE/YellowFin/gradient_average`.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-4,
        momentum: Any = 0.0,
        clip_thresh: float | None = None,
        beta: float = 0.999,
        curvature_window_width: int = 20,
        zero_debias: bool = True,
        delta_mu: float = 0.0,
        use_unsmoothed_lr_mu: bool = True,
        log_smooth: bool = True,
        slow_start: bool = True,
        adapt_clip: bool = True,
        stat_protect_fac: float = 100.0,
        lr_factor: Any = 1.0,
        use_nesterov: bool = False,
        use_locking: bool = False,
        name: str = 'YellowFin',
    ) -> None:
        """The optimizer.

        Args:
          learning_rate: of the first step, which has nothing to measure by.
          momentum: likewise.
          clip_thresh: the gradient is clipped to this norm before it is measured; None: it is not.
          beta: of all averages.
          curvature_window_width: gradients among which the range of curvature is looked for.
          zero_debias: off, the averages begin with zeros in them.
          delta_mu: is added to the momentum.
          use_unsmoothed_lr_mu: off, rate and momentum are averages of those of the steps.
          log_smooth: the range of curvature is averaged by its logarithm.
          slow_start: the rate climbs over ten windows.
          adapt_clip: gradients far beyond the curvature seen so far are clipped.
          stat_protect_fac: by how much, squared, a gradient that is measured may be beyond.
          lr_factor: of the tuned rate; a tensor sets the variable of this name at each step.
          use_nesterov: of the momentum.
          use_locking: of the updates.
          name: of the variables.
        """
        super().__init__(use_locking, name)
        self._first_rate, self._first_momentum = learning_rate, momentum
        self._clip_thresh, self._beta, self._width = clip_thresh, beta, curvature_window_width
        self._zero_debias, self._delta_mu = zero_debias, delta_mu
        self._unsmoothed, self._log_smooth = use_unsmoothed_lr_mu, log_smooth
        self._slow_start, self._adapt_clip = slow_start, adapt_clip
        self._protection, self._factor = math.sqrt(stat_protect_fac), lr_factor
        self._use_nesterov, self._lock = use_nesterov, use_locking
        self._state: dict[str, tf.Variable] = {}
        self._momenta: tf.train.MomentumOptimizer | None = None

    def apply_gradients(
        self,
        grads_and_vars: Sequence[tuple[Any, tf.Variable]],
        global_step: tf.Variable | None = None,
        name: str | None = None,
    ) -> tf.Operation:
        """Measures, tunes, applies; then counts `global_step`.

        Raises:
          ValueError: no variable has a gradient.
        """
        pairs = [(_dense(g), variable) for g, variable in grads_and_vars if g is not None]
        if not pairs:
            raise ValueError('No gradients provided for any variable')
        with tf.init_scope():
            self._create_state()
            averages = [
                self._zeros_slot(variable, 'gradient_average', f'{self._name}/gradient_average')
                for _, variable in pairs
            ]
        old = {key: variable.read_value() for key, variable in self._state.items()}
        norm, limit = _norm([g for g, _ in pairs]), None
        scale = tf.constant(1.0)
        if self._clip_thresh is not None:
            scale = _factor_to(self._clip_thresh, norm)
        if self._adapt_clip:
            # At the first step nothing has been seen yet.
            seen = tf.sqrt(self._unlog(old[self._range_name('h_max')]))
            limit = tf.where(old['step'] > 0, seen, math.inf * tf.ones([]))
            scale *= _factor_to(self._protection * limit, scale * norm)
        if limit is not None or self._clip_thresh is not None:
            pairs = [(g * tf.cast(scale, g.dtype), variable) for g, variable in pairs]
            norm *= scale
        # An average would never lose it.
        norm = tf.debugging.check_numerics(norm, 'YellowFin: the norm of the gradient')
        with tf.control_dependencies([norm]):
            new, gradient_updates = self._measured(old, [g for g, _ in pairs], averages, norm)
        new |= self._tuned(old, new)
        with tf.control_dependencies([norm]):
            assigned = [
                self._state[key].assign(value, read_value=False) for key, value in new.items()
            ]
        # lr_factor is the user's where no tensor sets it.
        with tf.control_dependencies([*assigned, *gradient_updates]):
            rate = new['lr'] * new.get('lr_factor', old['lr_factor'])
            mu = new['mu'] + self._delta_mu
            self._momenta = tf.train.MomentumOptimizer(
                tf.identity(rate), tf.identity(mu), self._lock, self._name, self._use_nesterov
            )
            if limit is not None:
                applied = _factor_to(limit, norm)
                pairs = [(g * tf.cast(applied, g.dtype), variable) for g, variable in pairs]
            return self._momenta.apply_gradients(pairs, global_step, name)

    def tuned(self) -> tuple[Any, Any]:
        """Rate (with its factor) and momentum, scalars read anew; after `apply_gradients`."""
        rate, factor, mu = (self._state[key].read_value() for key in ('lr', 'lr_factor', 'mu'))
        return rate * factor, mu + self._delta_mu

    def get_slot(self, var: tf.Variable, name: str) -> tf.Variable | None:
        if name == 'momentum':
            return self._momenta.get_slot(var, name) if self._momenta else None
        return super().get_slot(var, name)

    def get_slot_names(self) -> list[str]:
        return sorted({'momentum', *super().get_slot_names()} if self._momenta else [])

    def variables(self) -> list[tf.Variable]:
        momenta = self._momenta.variables() if self._momenta else []
        return [*self._state.values(), *super().variables(), *momenta]

    def _range_name(self, name: str) -> str:
        """By which an average of logarithms is not taken for one of values."""
        return f'log_{name}' if self._log_smooth else name

    def _unlog(self, value: Any) -> Any:
        return tf.exp(value) if self._log_smooth else value

    def _create_state(self) -> None:
        if self._state:
            return
        floats = {
            'lr': self._first_rate,
            'mu': self._first_momentum,
            'lr_factor': 1.0 if tf.is_tensor(self._factor) else self._factor,
            'window': [0.0] * self._width,  # squared norms; entry t % width is of step t
            self._range_name('h_min'): 0.0,
            self._range_name('h_max'): 0.0,
            'squared_norm': 0.0,
            'variance': 0.0,
            'norm': 0.0,
            'distance': 0.0,
        }
        first = {key: tf.constant(value, tf.float32) for key, value in floats.items()}
        first['step'] = tf.constant(0, tf.int64)
        self._state = {
            key: tf.Variable(value, trainable=False, name=f'{self._name}/{key}', use_resource=True)
            for key, value in first.items()
        }

    def _measured(
        self, old: dict[str, Any], gradients: list[Any], averages: list[tf.Variable], norm: Any
    ) -> tuple[dict[str, Any], list[tf.Operation]]:
        """New values of what is measured, and the updates of the averages of the gradients."""
        step = old['step']
        weight = tf.constant(1.0 - self._beta)
        if self._zero_debias:
            logarithm = math.log(self._beta) if self._beta else -math.inf
            counted = tf.cast(step + 1, tf.float32)
            weight /= -tf.math.expm1(counted * logarithm)
            # Exactly, so that nothing of the zeros at the start is left.
            weight = tf.where(step > 0, weight, tf.ones([]))

        def follow(key: str, value: Any) -> Any:
            return old[key] + weight * (value - old[key])

        squared = norm * norm
        places = tf.range(self._width, dtype=tf.int64)
        here = tf.equal(places, step % self._width)
        window = tf.where(here, tf.fill([self._width], squared + _EPSILON), old['window'])
        filled = tf.boolean_mask(window, places <= step)
        ends = {'h_min': tf.reduce_min(filled), 'h_max': tf.reduce_max(filled)}
        new = {'step': step + 1, 'window': window}
        for key, value in ends.items():
            end = tf.math.log(value + _EPSILON) if self._log_smooth else value
            new[self._range_name(key)] = follow(self._range_name(key), end)
        new['squared_norm'] = follow('squared_norm', squared)
        new['norm'] = follow('norm', norm)
        new['distance'] = follow('distance', new['norm'] / (new['squared_norm'] + _EPSILON))
        updates, added = [], []
        for gradient, average in zip(gradients, averages, strict=True):
            with tf.device(average.device):
                difference = gradient - average.read_value()
                added.append(tf.cast(_squares(difference), tf.float32))
                moved = tf.cast(weight, gradient.dtype) * difference
                updates.append(average.assign_add(moved, read_value=False))
        new['variance'] = (1.0 - weight) * (old['variance'] + weight * tf.add_n(added))
        return new, updates

    def _tuned(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        """Rate and momentum by what was measured."""
        low, high = (self._unlog(new[self._range_name(key)]) for key in ('h_min', 'h_max'))
        variance = tf.maximum(new['variance'], _EPSILON)
        scaled = (new['distance'] + _EPSILON) * (low + _EPSILON)
        beyond_root = one_minus_root(scaled * scaled / (2.0 * (variance + _EPSILON)))
        ratio = tf.maximum((high + _EPSILON) / (low + _EPSILON), 1.0 + _EPSILON)
        # 1 - sqrt(mu): the smaller of the two, as mu is the larger.
        rest = tf.minimum(beyond_root, 2.0 / (tf.sqrt(ratio) + 1.0))
        mu, rate = (1.0 - rest) ** 2, rest**2 / (low + _EPSILON)
        if self._slow_start:
            climbed = tf.cast(new['step'], tf.float32) / (10.0 * self._width)
            rate *= tf.minimum(1.0, climbed)
        if not self._unsmoothed:
            mu = self._beta * old['mu'] + (1.0 - self._beta) * mu
            rate = self._beta * old['lr'] + (1.0 - self._beta) * rate
        # One gradient has no variance.
        known = old['step'] > 0
        tuned = {'lr': tf.where(known, rate, old['lr']), 'mu': tf.where(known, mu, old['mu'])}
        return {**tuned, 'lr_factor': self._factor} if tf.is_tensor(self._factor) else tuned


def one_minus_root(p: Any) -> Any:
    """1 - x of the one root x of p x = (1 - x)^3 in (0, 1); `p` is a float32 tensor.

    The closed form, y^3 + p y = p with y = 1 - x, written so that no two near numbers are
    subtracted: y = p / (z^2 + p/3 + (p/(3z))^2), z^3 = p/2 (1 + sqrt(1 + 4p/27)).
    """
    p = tf.clip_by_value(p, _SMALLEST_P, _LARGEST_P)
    z = tf.pow(0.5 * p * (1.0 + tf.sqrt(1.0 + 4.0 * p / 27.0)), 1.0 / 3.0)
    return p / (z * z + p / 3.0 + tf.square(p / (3.0 * z)))


def _dense(gradient: Any) -> Any:
    return tf.convert_to_tensor(gradient)


def _squares(tensor: Any) -> Any:
    return 2.0 * tf.nn.l2_loss(tensor)


def _norm(gradients: Sequence[Any]) -> Any:
    """Of all together, float32."""
    return tf.sqrt(tf.add_n([tf.cast(_squares(gradient), tf.float32) for gradient in gradients]))


def _factor_to(limit: Any, norm: Any) -> Any:
    """By which a gradient of this norm is within the limit."""
    return tf.where(norm > limit, limit / norm, tf.ones([]))
