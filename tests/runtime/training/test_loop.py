"""The training step and its loop on a network of one layer."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime import options
from runtime.checkpoints import averages, starting
from runtime.training import loop, randomness, schedules, stopping
from runtime.training import step as step_lib
from runtime.workers import cluster
from slim import errors

LENGTH = schedules.RunLength(total_steps=8, images_per_step=4, images_per_epoch=16)


def chosen(train_dir, steps=8, **run):
    return options.Training(
        dataset=options.DatasetOptions(),
        input=options.TrainingInputOptions(batch_size=4),
        augmentation=options.AugmentationOptions(),
        network=options.TrainingNetworkOptions(),
        schedule=options.ScheduleOptions(),
        optimizer=options.OptimizerOptions(),
        averages=options.AverageOptions(),
        tuning=options.FineTuningOptions(),
        run=options.TrainingRunOptions(
            train_dir=str(train_dir), max_number_of_steps=steps, log_every_n_steps=2, **run
        ),
        clones=options.CloneOptions(),
        workers=options.ClusterOptions(),
        device=options.DeviceOptions(),
    )


def train(
    train_dir,
    steps=8,
    learning_rate=0.01,
    poison_step=None,
    also_needs=None,
    tuned_from=None,
    **run,
):
    """Trains a linear layer with batch norm and dropout; three batches of inputs in turn.

    The loss is NaN at `poison_step`. A step begins with the tensor that `also_needs` makes.
    """
    flags = chosen(train_dir, steps, **run)
    length = dataclasses.replace(LENGTH, total_steps=steps)
    with tf.Graph().as_default():
        tf.set_random_seed(5)
        global_step = tf.train.create_global_step()
        step_seed = tf.stack([global_step.read_value() % 3, 1])
        with tf.control_dependencies([also_needs()] if also_needs else []):
            images = tf.random.stateless_normal([4, 6], step_seed)
        net = slim.dropout(slim.fully_connected(images, 32), 0.9)
        # Beside it, since a batch norm alone would take away what four examples have in common.
        net = tf.concat([net, slim.batch_norm(net, is_training=True, decay=0.5)], axis=1)
        logits = slim.fully_connected(net, 1, activation_fn=None)
        loss = tf.reduce_mean((logits[:, 0] - tf.reduce_sum(images, axis=1)) ** 2)
        if poison_step is not None:
            loss *= tf.where(tf.equal(global_step, poison_step), np.nan, 1.0)
        tf.losses.add_loss(loss)
        randomness.make_draws_follow_step([loss], global_step, seed=3)
        optimizer = tf.train.MomentumOptimizer(learning_rate, 0.9)
        update = step_lib.Update(
            optimizer,
            optimizer.compute_gradients(loss),
            tf.get_collection(tf.GraphKeys.UPDATE_OPS),
            averages.moving_averages(0.9),
        )
        rate = tf.constant(learning_rate)
        step = step_lib.build_step(global_step, loss, rate, update, cluster.SingleProcess())
        origin = starting.origin(flags.run.train_dir, tuned_from)
        start = starting.start(origin, options.FineTuningOptions(checkpoint_path=tuned_from))
        return loop.run(flags, length, start, step, cluster.SingleProcess())


def values(train_dir):
    reader = tf.train.load_checkpoint(str(train_dir))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_a_run_learns_saves_and_logs_the_classic_line(tmp_path, capsys):
    assert train(tmp_path, steps=100) == 0
    metrics = (tmp_path / 'metrics.jsonl').read_text()
    records = [json.loads(line) for line in metrics.splitlines()]
    assert [record['step'] for record in records] == list(range(2, 101, 2))
    losses = [record['loss'] for record in records]
    assert np.mean(losses[-15:]) < 0.7 * np.mean(losses[:15])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('global')]
    first = records[0]
    assert lines[0].startswith(
        f'global step 2: loss = {first["loss"]:.4f} ({first["sec_per_step"]:.3f} sec/step)'
    )
    assert 'images/sec' in lines[0]
    assert 'learning rate 0.01' in lines[0]
    assert 'epoch 0.50' in lines[0]
    assert 'time left' in lines[0]
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith('model.ckpt-100')


def test_stopping_and_resuming_gives_the_same_values_as_one_go(tmp_path):
    train(tmp_path / 'whole', steps=12)
    train(tmp_path / 'parts', steps=5)
    train(tmp_path / 'parts', steps=12)
    whole, parts = values(tmp_path / 'whole'), values(tmp_path / 'parts')
    assert whole.keys() == parts.keys()
    assert {'global_step', 'fully_connected/weights/Momentum'} < whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)


def test_averages_follow_the_updated_variables_and_statistics_move(tmp_path):
    train(tmp_path, steps=1)
    held = values(tmp_path)
    assert held['global_step'] == 1
    # d = (1 + 0) / (10 + 0) at the first step, from the values before the update.
    with tf.Graph().as_default():
        train(tmp_path / 'none', steps=1, learning_rate=1e-12)
    before = values(tmp_path / 'none')
    name = 'fully_connected/weights'
    expected = 0.1 * before[name] + 0.9 * held[name]
    np.testing.assert_allclose(held[f'{name}/ExponentialMovingAverage'], expected, rtol=1e-5)
    assert np.abs(held['BatchNorm/moving_mean']).max() > 0


def test_a_loss_that_is_not_finite_stops_the_run_and_saves_nothing(tmp_path):
    train(tmp_path, steps=3)
    good = values(tmp_path)
    with pytest.raises(errors.NonFiniteLossError, match=r'nan at step 6 with learning rate 0.01'):
        train(tmp_path, steps=9, poison_step=5)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith('model.ckpt-3')
    np.testing.assert_array_equal(
        values(tmp_path)['fully_connected/weights'], good['fully_connected/weights']
    )


def test_weights_that_overflow_in_the_last_update_are_not_saved(tmp_path):
    with pytest.raises(errors.NonFiniteLossError, match='after step 1'):
        train(tmp_path, steps=1, learning_rate=float('inf'))
    assert tf.train.latest_checkpoint(str(tmp_path)) is None


def test_old_checkpoints_go_and_the_last_five_stay(tmp_path):
    for steps in range(1, 8):
        train(tmp_path, steps=steps)
    kept = sorted(name for name in os.listdir(tmp_path) if name.endswith('.index'))
    assert kept == [f'model.ckpt-{step}.index' for step in range(3, 8)]


def test_tensorboard_has_the_classic_tags(tmp_path):
    train(tmp_path, steps=4, save_summaries_secs=1)
    (events,) = tmp_path.glob('events.out.tfevents.*')
    tags = {
        value.tag
        for event in tf.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert {'learning_rate', 'total_loss', 'global_step/sec', 'examples/sec'} <= tags
    assert {'Losses/clone_loss', 'Losses/regularization_loss'} <= tags


def test_a_train_dir_below_a_file_is_an_output_error(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(errors.OutputError, match='train_dir'):
        train(tmp_path / 'file' / 'run')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_only_noted_and_a_second_one_ends_the_process(number, capsys):
    ended = []
    previous = signal.signal(number, lambda *_: ended.append('ended'))
    try:
        with stopping.graceful() as stop:
            os.kill(os.getpid(), number)
            assert (stop.number, ended) == (number, [])
            # The signal may come in the middle of a print, where another one is an error.
            assert capsys.readouterr().out == ''
            os.kill(os.getpid(), number)
            assert ended == ['ended']
        os.kill(os.getpid(), number)
        assert ended == ['ended', 'ended']
    finally:
        signal.signal(number, previous)
