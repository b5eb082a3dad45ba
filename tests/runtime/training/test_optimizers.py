"""Ten steps of each optimizer on a small quadratic, against the classic suite's numbers."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime import options
from runtime.checkpoints import averages
from runtime.training import optimizers

_CASES = json.loads((pathlib.Path(__file__).parents[2] / 'data' / 'optimization.json').read_text())


@pytest.mark.parametrize(
    'case',
    [case for case in _CASES['optimizers'] if 'raises' not in case],
    ids=lambda case: f'{case["optimizer"]}-{case["opt_epsilon"]}',
)
def test_steps_and_slots_are_the_classic_ones(case):
    chosen = options.OptimizerOptions(optimizer=case['optimizer'], opt_epsilon=case['opt_epsilon'])
    with tf.Graph().as_default(), tf.Session() as session:
        v = tf.get_variable('v', initializer=tf.constant(case['init'], tf.float32))
        loss = tf.reduce_sum([1.0, 0.1, 3.0] * (v - [0.5, 1.0, -1.0]) ** 2)
        update = optimizers.optimizer(chosen, case['lr']).minimize(loss)
        session.run(tf.global_variables_initializer())
        for expected in case['values_after_step']:
            session.run(update)
            np.testing.assert_allclose(session.run(v), expected, rtol=1e-6)
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        assert sorted(variables) == sorted(name for name, _ in case['variables'])
        for name, expected in case['slots_final'].items():
            np.testing.assert_allclose(session.run(variables[name]), expected, rtol=1e-5)


def test_rmsprop_accumulators_start_at_one():
    with tf.Graph().as_default(), tf.Session() as session:
        v = tf.get_variable('v', initializer=[2.0])
        optimizer = optimizers.optimizer(options.OptimizerOptions(), 0.1)
        optimizer.minimize(tf.reduce_sum(v))
        session.run(tf.global_variables_initializer())
        assert session.run(optimizer.get_slot(v, 'rms')).tolist() == [1.0]
        assert session.run(optimizer.get_slot(v, 'momentum')).tolist() == [0.0]


def test_unknown_optimizer():
    with pytest.raises(ValueError, match=r"\[sdg\] was not recognized. Did you mean 'sgd'"):
        optimizers.optimizer(options.OptimizerOptions(optimizer='sdg'), 0.1)


def test_the_table_and_the_flag_list_the_same_names():
    for name in options.OPTIMIZERS:
        assert optimizers.optimizer(options.OptimizerOptions(optimizer=name), 0.1)


@pytest.mark.parametrize('name', options.OPTIMIZERS)
def test_every_variable_of_a_training_graph_is_a_resource_variable(name):
    with tf.Graph().as_default():
        images = tf.zeros([2, 8, 8, 3])
        net = slim.conv2d(images, 4, [3, 3], normalizer_fn=slim.batch_norm)
        tf.losses.add_loss(tf.reduce_sum(net))
        chosen = options.OptimizerOptions(optimizer=name)
        step = tf.train.create_global_step()
        optimizer = optimizers.optimizer(chosen, 0.1)
        optimizer.minimize(tf.losses.get_total_loss(), global_step=step)
        averages.moving_averages(0.9).update(step)
        # An HPU has no kernels for reference variables ('VariableV2').
        kinds = {variable.op.name: variable.op.type for variable in tf.global_variables()}
        assert set(kinds.values()) == {'VarHandleOp'}, kinds
        assert len(kinds) >= 4 + 4 + 1
