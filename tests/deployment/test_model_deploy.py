"""Clones, their gradients and the deployed model: names, places and numbers."""

from __future__ import annotations

import contextlib
import socket

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from deployment import model_deploy
from slim.errors import UsageError

_EXAMPLES = 16
_RANDOM = np.random.default_rng(0)
_IMAGES = _RANDOM.normal(size=(_EXAMPLES, 4)).astype(np.float32)
_LABELS = (_IMAGES.sum(axis=1, keepdims=True) > 0).astype(np.float32)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        yield graph


@pytest.fixture(scope='module')
def cluster():
    """Address of a worker in a cluster with two parameter servers, all inside this process."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(3)]
        for listener in listeners:
            listener.bind(('127.0.0.1', 0))
        worker, *servers = [f'127.0.0.1:{each.getsockname()[1]}' for each in listeners]
    jobs = {'worker': [worker], 'ps': servers}
    with pytest.MonkeyPatch.context() as environment:
        # Else a machine with http_proxy set sends even this through the proxy.
        environment.setenv('no_grpc_proxy', '127.0.0.1')
        running = [tf.train.Server(jobs, job, i) for job in jobs for i in range(len(jobs[job]))]
        yield running[0].target


@contextlib.contextmanager
def _session(target=''):
    # Whatever cannot be where it was put is an error.
    with tf.Session(target, config=tf.ConfigProto(allow_soft_placement=False)) as session:
        session.run(tf.global_variables_initializer())
        yield session


def _cpu(**arguments):
    return model_deploy.DeploymentConfig(device_type='CPU', **arguments)


def _logistic(images, labels):
    with tf.variable_scope('Logistic'):
        predictions = slim.fully_connected(images, 1, activation_fn=tf.sigmoid)
    tf.losses.log_loss(labels, predictions)
    return predictions


def _batch_norm(images, labels):
    with tf.variable_scope('BatchNorm'):
        return _logistic(slim.batch_norm(images, decay=0.5, fused=True), labels)


_LOGISTIC_VARIABLES = ['Logistic/fully_connected/weights', 'Logistic/fully_connected/biases']
_BATCH_NORM_VARIABLES = [
    'BatchNorm/BatchNorm/beta',
    'BatchNorm/BatchNorm/moving_mean',
    'BatchNorm/BatchNorm/moving_variance',
    *(f'BatchNorm/{name}' for name in _LOGISTIC_VARIABLES),
]


# ---- create_clones ----


@pytest.mark.parametrize('num_ps_tasks', [0, 2])
@pytest.mark.parametrize('num_clones', [1, 2, 4])
@pytest.mark.parametrize(
    ('model_fn', 'variables', 'updates', 'output'),
    [
        (_logistic, _LOGISTIC_VARIABLES, 0, 'Logistic/fully_connected/Sigmoid'),
        (_batch_norm, _BATCH_NORM_VARIABLES, 2, 'BatchNorm/Logistic/fully_connected/Sigmoid'),
    ],
)
def test_clones_share_variables_and_differ_in_scope_and_device(
    model_fn, variables, updates, output, num_clones, num_ps_tasks
):
    config = model_deploy.DeploymentConfig(
        num_clones=num_clones, num_ps_tasks=num_ps_tasks, device_type='HPU'
    )
    clones = model_deploy.create_clones(config, model_fn, [_IMAGES], {'labels': _LABELS})

    assert [variable.op.name for variable in tf.global_variables()] == variables
    for i, variable in enumerate(tf.global_variables()):
        job = f'/job:ps/task:{i % num_ps_tasks}' if num_ps_tasks else ''
        assert variable.device == f'{job}/device:HPU:0'
        assert variable.op.type == 'VarHandleOp'

    scopes = [''] if num_clones == 1 else [f'clone_{i}/' for i in range(num_clones)]
    worker = '/job:worker' if num_ps_tasks else ''
    assert [clone.scope for clone in clones] == scopes
    for i, clone in enumerate(clones):
        assert clone.device == clone.outputs.device == f'{worker}/device:HPU:{i}'
        assert clone.outputs.op.name == clone.scope + output
        assert len(tf.get_collection(tf.GraphKeys.LOSSES, clone.scope)) == 1
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS, clone.scope)) == updates


def test_model_fn_without_arguments_is_called_once_per_clone():
    calls = []
    clones = model_deploy.create_clones(_cpu(num_clones=3), lambda: calls.append(1) or len(calls))
    assert [clone.outputs for clone in clones] == [1, 2, 3]


def test_a_clone_may_not_bring_a_variable_of_its_own():
    names = iter(['shared', 'own'])
    with pytest.raises(ValueError, match=r'Variable own does not exist'):
        model_deploy.create_clones(_cpu(num_clones=2), lambda: slim.variable(next(names), shape=[]))


# ---- optimize_clones ----


def _parts(num_clones):
    """A model function that takes the next part of the examples at each call."""
    parts = zip(np.split(_IMAGES, num_clones), np.split(_LABELS, num_clones), strict=True)

    def two_layers():
        images, labels = next(parts)
        with slim.arg_scope(
            [slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(0.1),
            weights_initializer=tf.random_uniform_initializer(-1, 1, seed=3),
        ):
            hidden = slim.fully_connected(images, 5, activation_fn=tf.tanh)
            logits = slim.fully_connected(hidden, 1, activation_fn=None)
        tf.losses.sigmoid_cross_entropy(labels, logits)

    return two_layers


def _loss_and_gradients(num_clones, num_ps_tasks=0, target=''):
    with tf.Graph().as_default():
        config = _cpu(num_clones=num_clones, num_ps_tasks=num_ps_tasks)
        clones = model_deploy.create_clones(config, _parts(num_clones))
        with tf.device(config.optimizer_device()):
            total_loss, pairs = model_deploy.optimize_clones(
                clones, tf.train.GradientDescentOptimizer(1.0)
            )
        with _session(target) as session:
            named = {variable.op.name: gradient for gradient, variable in pairs}
            return session.run([total_loss, named])


@pytest.fixture(scope='module')
def one_clone():
    return _loss_and_gradients(1)


@pytest.mark.parametrize(('num_clones', 'num_ps_tasks'), [(2, 0), (4, 0), (1, 2), (2, 2), (4, 2)])
def test_clones_with_a_part_each_equal_one_with_all(num_clones, num_ps_tasks, one_clone, cluster):
    target = cluster if num_ps_tasks else ''
    loss, gradients = _loss_and_gradients(num_clones, num_ps_tasks, target)
    expected_loss, expected = one_clone
    assert len(gradients) == 4
    # float32 sums in another order
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-5, atol=1e-7, err_msg=name)


def _constant_losses(*values):
    """A model function whose clones have these losses, None for none, all through one variable."""
    remaining = iter(values)

    def model_fn():
        one = slim.variable('one', shape=[], initializer=tf.ones_initializer())
        value = next(remaining)
        if value is not None:
            tf.losses.add_loss(one * value)

    return model_fn


@pytest.mark.parametrize(
    ('given', 'expected'), [(None, 3.0 + 7.0), ([], 3.0), ([100.0, 50.0], 3.0 + 150.0)]
)
def test_regularization_is_added_once_and_clone_losses_are_averaged(given, expected):
    clones = model_deploy.create_clones(_cpu(num_clones=2), _constant_losses(2.0, 4.0))
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, tf.constant(7.0))
    losses = given and [tf.constant(value) for value in given]
    total_loss, [(gradient, _)] = model_deploy.optimize_clones(
        clones, tf.train.GradientDescentOptimizer(1.0), regularization_losses=losses
    )
    with _session() as session:
        assert session.run([total_loss, gradient]) == [expected, 3.0]


def test_a_clone_without_a_loss_counts_as_zero():
    clones = model_deploy.create_clones(_cpu(num_clones=2), _constant_losses(None, 4.0))
    total_loss, [(gradient, _)] = model_deploy.optimize_clones(
        clones, tf.train.GradientDescentOptimizer(1.0)
    )
    with _session() as session:
        assert session.run([total_loss, gradient]) == [2.0, 2.0]


def test_no_loss_at_all_is_an_error():
    clones = model_deploy.create_clones(_cpu(num_clones=2), _constant_losses(None, None))
    with pytest.raises(UsageError, match=r'No loss to optimize in 2 clone\(s\): model_fn must'):
        model_deploy.optimize_clones(clones, tf.train.GradientDescentOptimizer(1.0))


def test_one_clones_gradients_stay_on_its_device():
    config = model_deploy.DeploymentConfig(num_ps_tasks=1, device_type='GPU')
    clones = model_deploy.create_clones(config, _logistic, [_IMAGES, _LABELS])
    total_loss, pairs = model_deploy.optimize_clones(clones, tf.train.AdamOptimizer())
    assert (total_loss.op.name, total_loss.device) == ('total_loss', '')
    assert [variable.op.name for _, variable in pairs] == _LOGISTIC_VARIABLES
    assert {gradient.device for gradient, _ in pairs} == {'/job:worker/device:GPU:0'}
    assert {variable.device for _, variable in pairs} == {'/job:ps/task:0/device:CPU:0'}


def test_several_clones_gradients_are_summed_where_the_caller_is():
    config = model_deploy.DeploymentConfig(num_clones=2, device_type='GPU')
    clones = model_deploy.create_clones(config, _logistic, [_IMAGES, _LABELS])
    with tf.device('/device:CPU:3'):
        total_loss, pairs = model_deploy.optimize_clones(clones, tf.train.AdamOptimizer())
    assert (total_loss.op.name, total_loss.device) == ('total_loss', '/device:CPU:3')
    for gradient, variable in pairs:
        assert gradient.op.name == f'{variable.op.name}/sum_grads'
        assert gradient.device == '/device:CPU:3'
        assert {part.device for part in gradient.op.inputs} == {'/device:GPU:0', '/device:GPU:1'}


def test_keywords_reach_compute_gradients():
    clones = model_deploy.create_clones(_cpu(num_clones=2), _logistic, [_IMAGES, _LABELS])
    biases = tf.trainable_variables()[1:]
    _, pairs = model_deploy.optimize_clones(
        clones, tf.train.GradientDescentOptimizer(1.0), var_list=biases
    )
    assert [variable for _, variable in pairs] == biases


def test_a_variable_counts_for_the_clones_that_use_it_and_is_left_out_if_none_does():
    clone_numbers = iter(range(3))

    def model_fn():
        clone_number = next(clone_numbers)
        for name in ('everywhere', 'in_the_last', 'nowhere'):
            slim.variable(name, shape=[], initializer=tf.ones_initializer())
        everywhere, in_the_last, _ = tf.trainable_variables()
        loss = everywhere * (clone_number + 1.0)
        tf.losses.add_loss(loss + in_the_last * 6.0 if clone_number == 2 else loss)

    clones = model_deploy.create_clones(_cpu(num_clones=3), model_fn)
    _, pairs = model_deploy.optimize_clones(clones, tf.train.GradientDescentOptimizer(1.0))
    gradients = {variable.op.name: gradient for gradient, variable in pairs}
    with _session() as session:
        # (1 + 2 + 3) / 3 and 6 / 3
        assert session.run(gradients) == {'everywhere': 2.0, 'in_the_last': 2.0}


@pytest.mark.parametrize('last_clone_is_dense', [False, True])
def test_sparse_gradients_stay_sparse_if_every_clone_has_one(last_clone_is_dense):
    # rows of the table, and the factor of their sum in the loss
    uses = iter([([0, 1], 2.0), ([1, 1], 6.0)])

    def model_fn():
        table = slim.variable('table', shape=[4, 2], initializer=tf.ones_initializer())
        rows, factor = next(uses)
        loss = tf.reduce_sum(tf.gather(table, rows)) * factor
        if last_clone_is_dense and factor == 6.0:
            loss += tf.reduce_sum(table)
        tf.losses.add_loss(loss)

    clones = model_deploy.create_clones(_cpu(num_clones=2), model_fn)
    optimizer = tf.train.GradientDescentOptimizer(1.0)
    _, pairs = model_deploy.optimize_clones(clones, optimizer)
    [(gradient, table)] = pairs
    assert isinstance(gradient, tf.IndexedSlices) != last_clone_is_dense
    update = optimizer.apply_gradients(pairs)
    with _session() as session:
        session.run(update)
        # Row 0: 2. Row 1: 2 + 6 + 6. All halved for two clones.
        expected = 1.0 - np.array([[1.0], [7.0], [0.0], [0.0]]) - 0.5 * last_clone_is_dense
        np.testing.assert_array_equal(session.run(table), np.tile(expected, 2))


# ---- deploy ----


@pytest.mark.parametrize('num_clones', [1, 2, 4])
def test_deploy_trains(num_clones):
    optimizer = tf.train.MomentumOptimizer(0.5, 0.9)
    model = model_deploy.deploy(
        _cpu(num_clones=num_clones), _batch_norm, [_IMAGES, _LABELS], optimizer=optimizer
    )
    assert model.train_op.op.name == 'train_op'
    assert model.total_loss.op.name == 'total_loss'
    assert model.summary_op.op.name == 'summary_op/summary_op'
    assert len(model.clones) == model.config.num_clones == num_clones
    with _session() as session:
        first = session.run(model.total_loss)
        for _ in range(20):
            last = session.run(model.train_op)
        assert last < first / 4
        assert session.run(tf.train.get_global_step()) == 20


def test_deploy_trains_on_parameter_servers(cluster):
    model = model_deploy.deploy(
        _cpu(num_clones=2, num_ps_tasks=2),
        _batch_norm,
        [_IMAGES, _LABELS],
        optimizer=tf.train.MomentumOptimizer(0.5, 0.9),
    )
    # A slot is beside its variable.
    weights = tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES, '.*/weights')
    assert [variable.device for variable in weights] == ['/job:ps/task:1/device:CPU:0'] * 2
    with _session(cluster) as session:
        first = session.run(model.total_loss)
        for _ in range(20):
            last = session.run(model.train_op)
        assert last < first / 4
        assert session.run(tf.train.get_global_step()) == 20


def test_only_the_first_clones_statistics_are_updated():
    means = iter([10.0, 1000.0])

    def model_fn():
        images = tf.constant(next(means), shape=[8, 3])
        tf.losses.add_loss(tf.reduce_sum(slim.batch_norm(images, decay=0.5)))

    model = model_deploy.deploy(
        _cpu(num_clones=2), model_fn, optimizer=tf.train.GradientDescentOptimizer(0.1)
    )
    [moving_mean] = tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES, '.*moving_mean')
    with _session() as session:
        session.run(model.train_op)
        assert session.run(moving_mean).tolist() == [5.0, 5.0, 5.0]


def _summarized(images, labels):
    predictions = _logistic(images, labels)
    slim.losses.add_loss(tf.constant(0.0))
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, tf.constant(1.0))
    with tf.device('/device:CPU:0'):
        tf.summary.scalar('mean_prediction', tf.reduce_mean(predictions))
    return predictions


_GRADIENT_TAGS = {
    f'{name}/{what}' for name in _LOGISTIC_VARIABLES for what in ('gradient', 'gradient_norm')
}


@pytest.mark.parametrize(
    ('num_clones', 'tags'),
    [
        (1, {'mean_prediction', 'Losses/clone_loss', 'Losses/regularization_loss'}),
        (
            2,
            {
                'clone_0/mean_prediction',
                'clone_0/Losses/clone_0//clone_loss',
                'clone_0/Losses/regularization_loss',
            },
        ),
    ],
)
@pytest.mark.parametrize(
    ('optimizer', 'summarize_gradients', 'more_tags'),
    [('sgd', False, set()), ('sgd', True, _GRADIENT_TAGS), (None, True, set())],
)
def test_summaries_are_the_earlier_ones_the_first_clones_and_the_total_loss(
    num_clones, tags, optimizer, summarize_gradients, more_tags
):
    tf.summary.scalar('earlier', 1.0)
    model = model_deploy.deploy(
        _cpu(num_clones=num_clones),
        _summarized,
        [_IMAGES, _LABELS],
        optimizer=optimizer and tf.train.GradientDescentOptimizer(1.0),
        summarize_gradients=summarize_gradients,
    )
    with _session() as session:
        summary = tf.Summary.FromString(session.run(model.summary_op))
    written = [value.tag for value in summary.value]
    assert sorted(written) == sorted({'earlier', 'total_loss'} | tags | more_tags)


@pytest.mark.parametrize('device_type', ['HPU', 'GPU'])
def test_strings_and_the_step_stay_on_the_host_and_the_rest_on_the_card(device_type):
    config = model_deploy.DeploymentConfig(num_clones=2, device_type=device_type)
    model = model_deploy.deploy(
        config,
        _summarized,
        [_IMAGES, _LABELS],
        optimizer=tf.train.MomentumOptimizer(1.0, 0.9),
        summarize_gradients=True,
    )
    card, host = f'/device:{device_type}:0', '/device:CPU:0'
    summaries = model.summary_op.op.inputs
    assert len(summaries) == 8
    assert {op.device for op in (*summaries, model.summary_op)} == {host}
    assert model.train_op.device == model.total_loss.device == card
    step = tf.train.get_global_step()
    assert step.device == host
    # two variables and their slots
    others = [variable.device for variable in tf.global_variables() if variable is not step]
    assert others == [card] * 4


def test_without_an_optimizer_there_is_a_loss_and_nothing_to_train():
    model = model_deploy.deploy(_cpu(num_clones=2), _constant_losses(2.0, 4.0))
    assert model.train_op is None
    assert tf.train.get_global_step() is None
    with _session() as session:
        assert session.run(model.total_loss) == 3.0


def test_a_model_without_losses_and_summaries_has_none():
    model = model_deploy.deploy(_cpu(), lambda: 'outputs')
    assert model[:3] == (None, None, None)
    assert model.clones == [('outputs', '', '/device:CPU:0')]


def test_a_loss_without_variables_cannot_be_trained():
    def model_fn():
        slim.variable('unused', shape=[])
        tf.losses.add_loss(tf.constant(1.0))

    with pytest.raises(UsageError, match='The loss depends on no trainable variable'):
        model_deploy.deploy(_cpu(), model_fn, optimizer=tf.train.GradientDescentOptimizer(1.0))
