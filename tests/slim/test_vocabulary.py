"""`import slim`: TF-Slim's names, repaired, with tf_slim's own arg_scope stack."""

import importlib
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf

import slim


def test_importing_slim_loads_no_tensorflow_and_its_use_no_scikit_learn():
    code = (
        'import sys, slim\n'
        'from runtime import app, flags, options, startup\n'
        'from runtime.training import schedules\n'
        'from runtime.workers import launcher\n'
        'assert "tensorflow" not in sys.modules and "tf_slim" not in sys.modules\n'
        'slim.conv2d\n'
        'assert "tf_slim" in sys.modules and "sklearn" not in sys.modules\n'
        'from tf_slim.losses import metric_learning\n'
        'assert metric_learning.HAS_SKLEARN\n'
        'assert metric_learning.metrics.v_measure_score([0, 1], [1, 0]) == 1\n'
        'assert sys.modules["sklearn.metrics"].__file__\n'
    )
    # As the scripts have it: Keras 3 imports scikit-learn itself.
    environment = {**os.environ, 'TF_USE_LEGACY_KERAS': '1'}
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, env=environment)


@pytest.mark.parametrize('first', ['import tf_slim', 'import nets.nets_factory'])
def test_tf_slim_shares_the_arg_scope_stack_whichever_comes_first(server, tmp_path, first):
    """In a process that has imported TensorFlow, but neither of the two."""
    (tmp_path / 'program.py').write_text(
        f'{first}\nimport slim, tf_slim\n'
        'import tensorflow.compat.v1 as tf\n'
        'norm = tf_slim.batch_norm\n'
        'with tf.Graph().as_default(), slim.arg_scope([slim.conv2d], normalizer_fn=norm):\n'
        '  tf_slim.conv2d(tf.zeros([1, 8, 8, 3]), 4, 3, scope="a")\n'
        '  with tf_slim.arg_scope([tf_slim.conv2d], normalizer_fn=None):\n'
        '    slim.conv2d(tf.zeros([1, 8, 8, 3]), 4, 3, scope="b")\n'
        '  names = [v.op.name for v in tf.global_variables()]\n'
        'assert "a/BatchNorm/beta" in names and "b/biases" in names, names\n'
    )
    root = pathlib.Path(__file__).parents[2]
    ours = {name: value for name, value in os.environ.items() if not name.startswith('TF_')}
    environment = {**ours, 'PYTHONPATH': str(root)}
    done = server.run(tmp_path / 'program.py', [], cwd=root, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr


def test_layers_and_losses_build_and_train():
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        images = tf.random.stateless_normal([8, 9, 9, 3], seed=[1, 2])
        with slim.arg_scope([slim.conv2d, slim.separable_conv2d], normalizer_fn=slim.batch_norm):
            net = slim.conv2d(images, 6, 3, stride=2)
            net = slim.separable_conv2d(net, None, 3, depth_multiplier=1)
            net = slim.conv2d(net, 8, 1, weights_regularizer=slim.l2_regularizer(0.01))
        net = slim.max_pool2d(net, 2)
        net = slim.dropout(slim.flatten(net), 0.9)
        logits = slim.fully_connected(net, 4, activation_fn=None)
        labels = slim.one_hot_encoding(tf.constant([0, 1, 2, 3] * 2), 4)
        slim.losses.softmax_cross_entropy(logits, labels)
        total_loss = slim.losses.get_total_loss()
        train_op = slim.learning.create_train_op(
            total_loss, tf.train.GradientDescentOptimizer(0.1), clip_gradient_norm=1.0
        )
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        losses = [float(session.run(train_op)) for _ in range(30)]
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize(
    ('module', 'name'),
    [
        ('tensorflow.python.framework.ops', 'IndexedSlices'),
        ('tensorflow.python.ops.array_ops', 'unstack'),
        ('tensorflow.python.ops.control_flow_ops', 'while_loop'),
        ('tensorflow.python.ops.variable_scope', 'variable'),
    ],
)
def test_names_that_moved_inside_tensorflow_are_back(module, name):
    import importlib

    assert slim.conv2d
    assert callable(getattr(importlib.import_module(module), name))


def test_repeated_layers_stack_and_repeat():
    with tf.Graph().as_default():
        net = slim.repeat(tf.zeros([1, 8, 8, 3]), 2, slim.conv2d, 4, 3, scope='conv1')
        net = slim.stack(net, slim.conv2d, [(5, [1, 1]), (6, [1, 1])], scope='conv2')
        assert net.shape.as_list() == [1, 8, 8, 6]
        names = [variable.op.name for variable in slim.get_model_variables()]
        assert 'conv1/conv1_2/weights' in names
        assert 'conv2/conv2_2/biases' in names


def test_the_quick_answer_to_the_mode_of_execution_is_the_right_one():
    ops = importlib.import_module('tensorflow.python.framework.ops')
    assert slim.conv2d  # repairs
    answers = []

    def ask():
        answers.append(ops.executing_eagerly_outside_functions())
        return tf.constant(0)

    ask()
    tf2.function(ask)()
    with tf.Graph().as_default():
        ask()
        tf2.function(ask)()
    assert answers == [True, True, False, False]


def test_variables_are_hashed_and_compared_as_tensorflow_does_it():
    assert slim.conv2d  # repairs
    eager = tf2.Variable([1.0, 2.0])
    with pytest.raises(TypeError, match='unhashable'):
        hash(eager)
    assert (eager == tf2.Variable([1.0, 3.0])).numpy().tolist() == [True, False]
    with tf.Graph().as_default():
        first, second = tf.Variable(1.0), tf.Variable(1.0)
        assert first == first and first != second
        assert (first == second) is False
        assert {first: 1, second: 2}[second] == 2
    inside = []

    @tf2.function
    def compare():
        inside.append(eager == eager)
        return tf.constant(0)

    compare()
    assert isinstance(inside[0], tf.Tensor)


def test_variables_of_a_graph_are_compared_without_a_question(monkeypatch):
    assert slim.conv2d  # repairs
    with tf.Graph().as_default():
        first, second = tf.Variable(1.0), tf.Variable(1.0)
        ops = importlib.import_module('tensorflow.python.framework.ops')
        monkeypatch.delattr(ops, 'executing_eagerly_outside_functions')
        assert len({first, second}) == 2
        assert second in [first, second]


@pytest.mark.parametrize('keras', ['tf_keras.src', 'tensorflow.python.keras'])
def test_layers_follow_the_way_of_executing_and_are_not_swapped_in_between(keras):
    assert slim.conv2d  # repairs
    layers = [
        importlib.import_module(f'{keras}.engine.{module}').Layer
        for module in ('base_layer', 'base_layer_v1')
    ]
    dense = importlib.import_module(f'{keras}.layers').Dense

    def bases():
        dense(1)
        return dense.__bases__

    for _ in range(2):
        assert bases() == (layers[0],)
        with tf.Graph().as_default():
            of_graphs = bases()
            assert of_graphs == (layers[1],)
            assert bases() is of_graphs
