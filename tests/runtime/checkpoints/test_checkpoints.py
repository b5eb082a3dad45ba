"""Checkpoints: found, compared before loading, averages by classic name and number."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime import folders, options
from runtime.checkpoints import averages, comparison, files, starting, weights
from slim import errors

_GOLDEN = json.loads((pathlib.Path(__file__).parents[2] / 'data' / 'optimization.json').read_text())


def save(folder, build, step=5, step_scope=''):
    """Builds a graph and saves its fresh variables; returns the prefix and the values by name."""
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope(step_scope):
            global_step = tf.train.create_global_step()
        build()
        session.run(tf.global_variables_initializer())
        global_step.load(step, session)
        prefix = tf.train.Saver().save(session, str(folder / 'model.ckpt'), global_step=step)
        return prefix, {v.op.name: session.run(v) for v in tf.global_variables()}


def network(width=4, scope='Net'):
    with tf.variable_scope(scope):
        net = slim.fully_connected(tf.ones([2, 3]), width, scope='hidden')
        return slim.fully_connected(net, 2, scope='Logits')


def started(folder, build=network, **tuning):
    """The values that a new run in an empty folder starts with."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.create_global_step()
        build()
        chosen = options.FineTuningOptions(**tuning)
        origin = starting.origin(str(folder / 'run'), chosen.checkpoint_path)
        start = starting.start(origin, chosen)
        session.run(tf.global_variables_initializer())
        start.warm_start_saver.restore(session, start.warm_start_from)
        return {v.op.name: session.run(v) for v in tf.global_variables()}


@pytest.mark.parametrize('ending', ['', 'model.ckpt-5', 'model.ckpt-5.index'])
def test_folder_prefix_and_file_name_the_same_checkpoint(tmp_path, ending):
    prefix, _ = save(tmp_path, network)
    assert files.find(str(tmp_path / ending), 'checkpoint_path') == prefix
    assert files.global_step(prefix) == 5


@pytest.mark.parametrize('path', ['', 'model.ckpt-7'])
def test_no_checkpoint_names_flag_and_path(tmp_path, path):
    with pytest.raises(errors.CheckpointError, match=f'--checkpoint_path={tmp_path}'):
        files.find(str(tmp_path / path), 'checkpoint_path')


def test_a_damaged_checkpoint_is_named(tmp_path):
    prefix, _ = save(tmp_path, network)
    pathlib.Path(prefix + '.index').write_bytes(b'nothing')
    with pytest.raises(errors.CheckpointError, match='cannot be read'):
        files.shapes(prefix)


def test_fine_tuning_takes_the_weights_but_not_the_step(tmp_path):
    prefix, saved = save(tmp_path, network)
    values = started(tmp_path, checkpoint_path=prefix)
    for name, value in saved.items():
        if name != 'global_step':
            np.testing.assert_array_equal(values[name], value)
    assert values['global_step'] == 0


def test_excluded_scopes_stay_at_their_initial_values(tmp_path):
    prefix, saved = save(tmp_path, network)
    values = started(tmp_path, checkpoint_path=prefix, checkpoint_exclude_scopes='Net/Logits')
    np.testing.assert_array_equal(values['Net/hidden/weights'], saved['Net/hidden/weights'])
    assert not np.array_equal(values['Net/Logits/weights'], saved['Net/Logits/weights'])


def test_other_shapes_are_listed_with_the_flag_that_helps(tmp_path):
    prefix, _ = save(tmp_path, network)
    with pytest.raises(errors.CheckpointError) as failure:
        started(tmp_path, build=lambda: network(width=6), checkpoint_path=prefix)
    message = str(failure.value)
    assert 'Net/hidden/weights is [3, 4] in the checkpoint and [3, 6] here' in message
    assert '--checkpoint_exclude_scopes=Net/hidden,Net/Logits' in message
    assert '\n' not in message


def test_missing_variables_are_listed_or_ignored(tmp_path):
    prefix, saved = save(tmp_path, network)

    def larger():
        network()
        slim.fully_connected(tf.ones([2, 3]), 2, scope='Net/Extra')

    with pytest.raises(errors.CheckpointError, match='lacks Net/Extra/weights') as failure:
        started(tmp_path, build=larger, checkpoint_path=prefix)
    assert '--ignore_missing_vars' in str(failure.value)
    values = started(tmp_path, build=larger, checkpoint_path=prefix, ignore_missing_vars=True)
    np.testing.assert_array_equal(values['Net/hidden/weights'], saved['Net/hidden/weights'])


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    prefix, _ = save(tmp_path, lambda: network(scope='Other'))
    with pytest.raises(errors.CheckpointError, match='nothing of this network'):
        started(tmp_path, checkpoint_path=prefix, ignore_missing_vars=True)


def test_resuming_with_another_network_is_refused(tmp_path):
    (tmp_path / 'run').mkdir()
    save(tmp_path / 'run', lambda: network(scope='Other'))
    with pytest.raises(errors.CheckpointError, match='another --train_dir'):
        started(tmp_path)


def test_resuming_finds_the_step_that_a_classic_nasnet_made_in_its_first_cell(tmp_path):
    (tmp_path / 'run').mkdir()
    prefix, saved = save(tmp_path / 'run', network, step_scope='cell_0/comb_iter_0/left')
    assert files.global_step(prefix) == 5
    with tf.Graph().as_default(), tf.Session() as session:
        global_step = tf.train.create_global_step()
        network()
        origin = starting.origin(str(tmp_path / 'run'), None)
        assert origin == starting.Origin(prefix, 5)
        start = starting.start(origin, options.FineTuningOptions())
        start.resume_saver.restore(session, start.resume_from)
        assert session.run(global_step) == 5
        for variable in slim.get_model_variables():
            np.testing.assert_array_equal(session.run(variable), saved[variable.op.name])
        # From then on it is saved under its usual name.
        prefix = start.saver.save(session, str(tmp_path / 'run' / 'model.ckpt'), global_step=6)
        assert 'global_step' in files.shapes(prefix)


def test_a_misspelt_scope_is_answered_with_close_ones():
    with tf.Graph().as_default():
        network()
        with pytest.raises(errors.UsageError, match="Did you mean 'Net/Logits'"):
            comparison.within_scopes(tf.trainable_variables(), 'Net/Logit_s')
        chosen = comparison.within_scopes(tf.trainable_variables(), 'Net/Logits')
        assert [v.op.name for v in chosen] == ['Net/Logits/weights', 'Net/Logits/biases']


def test_averages_are_the_classic_numbers_under_the_classic_name():
    golden = _GOLDEN['ema']
    with tf.Graph().as_default(), tf.Session() as session:
        v = tf.get_variable('v', initializer=golden['values'][0][1])
        step = tf.placeholder(tf.int64, [])
        ema = averages.MovingAverages(golden['decay'], [v])
        start, update = ema.start(), ema.update(step)
        session.run(tf.global_variables_initializer())
        by_name = comparison.by_name(tf.global_variables())
        average = by_name[golden['average_name']]
        np.testing.assert_allclose(session.run(average), golden['values'][0][2], rtol=1e-6)
        for number, value, expected in golden['values'][1:]:
            v.load(value, session)
            session.run(update, {step: number})
            np.testing.assert_allclose(session.run(average), expected, rtol=1e-6)
        v.load([30.0, 40.0], session)
        session.run(start)
        assert session.run(average).tolist() == [30.0, 40.0]


def test_evaluating_averages_that_are_not_there_says_so(tmp_path):
    prefix, _ = save(tmp_path, network)
    with tf.Graph().as_default():
        network()
        with pytest.raises(errors.CheckpointError, match='--moving_average_decay=0'):
            weights.of_checkpoint(prefix, 0.9999)
        assert weights.of_checkpoint(prefix, 0)


def test_evaluation_reads_the_averages(tmp_path):
    def with_averages():
        network()
        averages.moving_averages(0.9)

    prefix, saved = save(tmp_path, with_averages)
    with tf.Graph().as_default(), tf.Session() as session:
        network()
        weights.of_checkpoint(prefix, 0.9).saver.restore(session, prefix)
        for variable in slim.get_model_variables():
            expected = saved[variable.op.name + '/ExponentialMovingAverage']
            np.testing.assert_array_equal(session.run(variable), expected)


def test_averages_of_what_learns_alone_go_with_the_last_statistics(tmp_path):
    def normed():
        network()
        return slim.batch_norm(tf.ones([2, 3]), scope='Net/norm')

    def with_averages():
        normed()
        averages.MovingAverages(0.9, tf.trainable_variables())

    prefix, saved = save(tmp_path, with_averages)
    # Values that tell an average from what it is of.
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.create_global_step()
        with_averages()
        for number, variable in enumerate(tf.global_variables()):
            variable.load(np.full(variable.shape.as_list(), number, 'int64'), session)
        prefix = tf.train.Saver().save(session, prefix)
        saved = {v.op.name: session.run(v) for v in tf.global_variables()}
    with tf.Graph().as_default(), tf.Session() as session:
        normed()
        loaded = weights.of_checkpoint(prefix, 0.9)
        loaded.saver.restore(session, prefix)
        for variable in slim.get_model_variables():
            name = variable.op.name
            source = name if 'moving_' in name else name + '/ExponentialMovingAverage'
            np.testing.assert_array_equal(session.run(variable), saved[source])
    assert loaded.note == (
        'moving averages of what learns, and 2 statistics, of which it has none, as they were last'
    )
    # An average of a weight that is not there is still an error.
    with tf.Graph().as_default():
        normed()
        slim.fully_connected(tf.ones([2, 3]), 2, scope='Net/more')
        with pytest.raises(errors.CheckpointError, match='lacks Net/more/weights/Exponential'):
            weights.of_checkpoint(prefix, 0.9)


@pytest.mark.parametrize('decay', [0.0, 0.9])
def test_another_network_is_named_not_its_missing_averages(tmp_path, decay):
    prefix, _ = save(tmp_path, lambda: network(scope='MobilenetV1'))
    with tf.Graph().as_default():
        network(scope='MobilenetV2')
        with pytest.raises(
            errors.CheckpointError,
            match='nothing of this network, MobilenetV2; it looks like MobilenetV1: give its',
        ):
            weights.of_checkpoint(prefix, decay)


def test_a_folder_that_cannot_be_written_is_found_without_creating_anything(tmp_path):
    file = tmp_path / 'file'
    file.write_text('')
    with pytest.raises(errors.OutputError, match='is not a folder'):
        folders.check_writable(str(file / 'run'), 'train_dir')
    folders.check_writable(str(tmp_path / 'a' / 'b'), 'train_dir')
    assert [path.name for path in tmp_path.iterdir()] == ['file']
