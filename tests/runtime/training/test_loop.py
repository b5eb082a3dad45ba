"""The training step and its loop on a network of one layer."""

import dataclasses
import json
import os
import re
import signal

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime import options
from runtime.checkpoints import averages, starting
from runtime.training import (
    loop,
    loss_scale,
    randomness,
    repetition,
    schedules,
    stopping,
    yellowfin,
)
from runtime.training import step as step_lib
from runtime.training import validation as validation_lib
from runtime.workers import agreement, cluster
from slim import errors

LENGTH = schedules.RunLength(total_steps=8, images_per_step=4, images_per_epoch=16)


def chosen(train_dir, steps=8, validation=None, **run):
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
        validation=options.ValidationOptions(**(validation or {})),
    )


def train(
    train_dir,
    steps=8,
    learning_rate=0.01,
    poison_step=None,
    gradient_poison_step=None,
    also_needs=None,
    tuned_from=None,
    scaled=False,
    gradient_type=tf.float32,
    evaluate=None,
    validation=None,
    optimizer=None,
    **run,
):
    """Trains a linear layer with batch norm and dropout; three batches of inputs in turn.

    The loss is NaN at `poison_step`, gradients alone are at `gradient_poison_step`, an integer or
    some. A step begins with the tensor that `also_needs` makes. The loss is `scaled`, as in fp16;
    its gradients pass through `gradient_type`. The flags `validation` and `evaluate` (see
    `validation.Evaluate`) are of its validations.
    """
    flags = chosen(train_dir, steps, validation, **run)
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
        logits = tf.cast(tf.cast(logits, gradient_type), tf.float32)
        loss = tf.reduce_mean((logits[:, 0] - tf.reduce_sum(images, axis=1)) ** 2)
        if poison_step is not None:
            loss *= tf.where(tf.equal(global_step, poison_step), np.nan, 1.0)
        if gradient_poison_step is not None:
            poisoned = tf.reduce_any(tf.equal(global_step, gradient_poison_step))
            # The root of 0, whose slope is infinite.
            zero = tf.reduce_sum(logits) - tf.stop_gradient(tf.reduce_sum(logits))
            loss += tf.sqrt(tf.where(poisoned, zero, 1.0))
        tf.losses.add_loss(loss)
        randomness.make_draws_follow_step([loss], global_step, seed=3)
        if optimizer is None:
            optimizer = tf.train.MomentumOptimizer(learning_rate, 0.9)
        scale = loss_scale.LossScale() if scaled else None
        update = step_lib.Update(
            optimizer,
            optimizer.compute_gradients(loss, grad_loss=scale.value if scale else None),
            tf.get_collection(tf.GraphKeys.UPDATE_OPS),
            averages.moving_averages(0.9),
            only_if_finite=flags.run.on_nan == 'skip',
            scale=scale,
        )
        rate = tf.constant(learning_rate)
        step = step_lib.build_step(global_step, loss, rate, update, cluster.SingleProcess())
        if flags.run.steps_per_run > 1:
            step = repetition.repeated(step, flags.run.steps_per_run)
        origin = starting.origin(flags.run.train_dir, tuned_from)
        start = starting.start(origin, options.FineTuningOptions(checkpoint_path=tuned_from))
        validations = None
        if evaluate:
            held = agreement.best_validation(cluster.SingleProcess(), flags, origin.step)
            validations = validation_lib.Validation(flags.validation, length, evaluate, held)
        return loop.run(
            flags, length, start, step, cluster.SingleProcess(), validations=validations
        )


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


def test_the_error_names_the_last_good_checkpoint(tmp_path):
    with pytest.raises(errors.NonFiniteLossError, match='no checkpoint was written') as failure:
        train(tmp_path, steps=3, poison_step=1)
    assert failure.value.exit_code == 4
    train(tmp_path, steps=3)
    with pytest.raises(errors.NonFiniteLossError) as failure:
        train(tmp_path, steps=9, poison_step=5)
    assert f'the last good checkpoint is {tmp_path}/model.ckpt-3.' in str(failure.value)
    assert '--on_nan=skip' in str(failure.value)
    with pytest.raises(errors.NonFiniteLossError, match=r'good checkpoint is \S+/model.ckpt-3\.'):
        train(tmp_path, steps=4, learning_rate=float('inf'))


def assert_equal(found, expected, but=()):
    assert found.keys() == expected.keys()
    for name in expected.keys() - set(but):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_skipping_changes_nothing_where_all_is_finite(tmp_path):
    train(tmp_path / 'stop', steps=6)
    train(tmp_path / 'skip', steps=6, on_nan='skip')
    assert_equal(values(tmp_path / 'skip'), values(tmp_path / 'stop'))


@pytest.mark.parametrize('poison', ['poison_step', 'gradient_poison_step'])
def test_a_step_that_is_not_finite_is_left_out_and_counts(tmp_path, poison, capsys):
    skipping = {poison: 5, 'on_nan': 'skip'}
    train(tmp_path / 'before', steps=5, **skipping)
    before = values(tmp_path / 'before')
    assert 'warning' not in capsys.readouterr().out
    train(tmp_path / 'after', steps=6, **skipping)
    after = values(tmp_path / 'after')
    assert {'BatchNorm/moving_mean', 'fully_connected/weights/Momentum'} < after.keys()
    assert_equal(after, before, but=['global_step'])
    assert after['global_step'] == 6
    assert 'at step 6 with learning rate 0.01: the step is left out, 1 of at most 10' in (
        capsys.readouterr().out
    )
    # The data move on, and a resume is exact: at the step, before it and after it.
    train(tmp_path / 'whole', steps=9, **skipping)
    assert '  steps left out 1  ' in capsys.readouterr().out
    for name in ('before', 'after'):
        train(tmp_path / name, steps=9, **skipping)
        assert_equal(values(tmp_path / name), values(tmp_path / 'whole'))
    metrics = [json.loads(line) for line in (tmp_path / 'whole/metrics.jsonl').open()]
    assert [(line['step'], line['left_out_steps']) for line in metrics] == [
        (2, 0),
        (4, 0),
        (8, 1),
        (9, 1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    'several',
    [
        {},
        pytest.param(
            {'steps_per_run': 4, 'scaled': True}, marks=[pytest.mark.slow, pytest.mark.once]
        ),
    ],
)
def test_yellowfin_logs_what_it_applied_and_keeps_what_is_not_finite_out(tmp_path, several, capsys):
    def run(name, **flags):
        train(tmp_path / name, optimizer=yellowfin.YellowFinOptimizer(0.01), **several, **flags)

    run('whole', steps=7)
    lines = [json.loads(line) for line in (tmp_path / 'whole/metrics.jsonl').open()]
    held = values(tmp_path / 'whole')
    assert lines[-1]['learning_rate'] == held['YellowFin/lr'] != lines[0]['learning_rate']
    run('parts', steps=4)
    run('parts', steps=7)
    assert_equal(values(tmp_path / 'parts'), held)
    # A loss that is not finite leaves what was measured as it was, also where that ends the run.
    run('skip', steps=4)
    before = values(tmp_path / 'skip')
    with pytest.raises(errors.NonFiniteLossError, match='at step 5 '):
        run('skip', steps=7, poison_step=4)
    assert_equal(values(tmp_path / 'skip'), before)
    run('skip', steps=5, poison_step=4, on_nan='skip')
    assert_equal(values(tmp_path / 'skip'), before, but=['global_step', 'loss_scale/steady_steps'])


def test_more_such_steps_than_allowed_end_the_run(tmp_path):
    with pytest.raises(
        errors.NonFiniteLossError, match=r'at step 4 .*--max_nan_steps=0'
    ) as failure:
        train(tmp_path, steps=9, poison_step=3, on_nan='skip', max_nan_steps=0)
    assert '\n' not in str(failure.value)


def test_the_statistics_of_a_network_are_held_back_or_it_is_refused():
    from nets import nets_factory

    with tf.Graph().as_default():
        network_fn = nets_factory.get_network_fn('mobilenet_v1_025', 5, is_training=True)
        network_fn(tf.zeros([2, 32, 32, 3]))
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        moving = [v for v in tf.global_variables() if '/moving_' in v.op.name]
        assert step_lib.hold_back(updates, tf.constant(True)) == len(moving) == 54
    with tf.Graph().as_default():
        strange = tf.Variable(0.0, use_resource=False).assign(1.0)
        with pytest.raises(errors.UsageError, match='a step cannot be left out, as --on_nan=skip'):
            step_lib.hold_back([strange], tf.constant(True))


def test_several_steps_in_a_run_give_the_same_bits_and_save_where_they_should(tmp_path, capsys):
    saving = {'save_interval_steps': 5, 'keep_checkpoint_max': 0}
    train(tmp_path / 'one', steps=13, **saving)
    lines = capsys.readouterr().out.splitlines()
    train(tmp_path / 'four', steps=13, steps_per_run=4, **saving)
    assert [
        line[:30] for line in capsys.readouterr().out.replace('/four/', '/one/').splitlines()
    ] == [line[:30] for line in lines]
    for step in (5, 10, 13):
        found, expected = (
            tf.train.load_checkpoint(str(tmp_path / name / f'model.ckpt-{step}'))
            for name in ('four', 'one')
        )
        for name in expected.get_variable_to_shape_map():
            np.testing.assert_array_equal(found.get_tensor(name), expected.get_tensor(name))
    # And a resume, off the beat.
    train(tmp_path / 'parts', steps=3, steps_per_run=2)
    train(tmp_path / 'parts', steps=13, steps_per_run=4)
    assert_equal(values(tmp_path / 'parts'), values(tmp_path / 'one'))
    losses = [
        [json.loads(line)['loss'] for line in (tmp_path / name / 'metrics.jsonl').open()]
        for name in ('four', 'one')
    ]
    assert losses[0] == losses[1]


def test_a_loss_that_is_not_finite_amid_several_steps(tmp_path):
    """The step is named; with --on_nan=skip the steps after it are those of a run one by one."""
    several = {'poison_step': 5, 'steps_per_run': 4}
    train(tmp_path, steps=3)
    with pytest.raises(errors.NonFiniteLossError, match=r'nan at step 6 with learning rate 0.01'):
        train(tmp_path, steps=9, **several)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith('model.ckpt-3')
    train(tmp_path / 'four', steps=9, on_nan='skip', scaled=True, **several)
    train(tmp_path / 'one', steps=9, on_nan='skip', scaled=True, poison_step=5)
    assert_equal(values(tmp_path / 'four'), values(tmp_path / 'one'))


def test_records_that_end_amid_several_steps_leave_those_before_them_saved(tmp_path):
    def batch():
        ending = tf.data.Dataset.range(6)
        iterator = tf.data.make_initializable_iterator(ending)
        tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        return iterator.get_next()

    with pytest.raises(errors.DataError, match='The records have ended after step 6'):
        train(tmp_path / 'four', steps=9, steps_per_run=4, also_needs=batch)
    train(tmp_path / 'one', steps=6)
    assert_equal(values(tmp_path / 'four'), values(tmp_path / 'one'))


def test_a_signal_amid_several_steps_ends_the_run_with_the_next_one(tmp_path, capsys):
    def interrupt():
        def at_step_2(step):
            if step == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return np.float32(0)

        step = tf.train.get_global_step().read_value()
        return tf.numpy_function(at_step_2, [step], tf.float32)

    assert train(tmp_path, steps=30, steps_per_run=4, also_needs=interrupt) == 128 + signal.SIGTERM
    # Step 1 comes alone, then 2 to 5, then the one that every worker knows to be the last.
    assert 'SIGTERM: stopping after step 6' in capsys.readouterr().out
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith('model.ckpt-6')


def without_scale(values):
    return {name: value for name, value in values.items() if not name.startswith('loss_scale/')}


def test_a_scale_of_the_loss_changes_no_bit_and_grows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loss_scale, 'STEPS_TO_DOUBLE', 3)
    train(tmp_path / 'plain', steps=7)
    train(tmp_path / 'scaled', steps=5, scaled=True)
    train(tmp_path / 'scaled', steps=7, scaled=True)
    found = values(tmp_path / 'scaled')
    assert_equal(without_scale(found), values(tmp_path / 'plain'))
    assert (found['loss_scale/scale'], found['loss_scale/steady_steps']) == (2.0**17, 1)
    assert '  loss scale 131072  steps overflowed 0  time left' in capsys.readouterr().out


def test_gradients_that_overflow_are_left_out_and_halve_the_scale(tmp_path, monkeypatch, capsys):
    """In real float16, whose largest number is 65,504; the gradients are about 1 at first."""
    monkeypatch.setattr(loss_scale, 'FIRST', 2.0**17)
    half = {'scaled': True, 'gradient_type': tf.float16}
    train(tmp_path / 'parts', steps=1, **half)
    first = values(tmp_path / 'parts')
    assert first['loss_scale/scale'] == 2.0**16
    assert not first['BatchNorm/moving_mean'].any()
    train(tmp_path / 'parts', steps=9, **half)
    capsys.readouterr()
    train(tmp_path / 'whole', steps=9, **half)
    whole = values(tmp_path / 'whole')
    assert_equal(values(tmp_path / 'parts'), whole)
    assert (whole['BatchNorm/moving_mean'] != 0).any()
    overflowed = 17 - np.log2(whole['loss_scale/scale'])
    assert 1 <= overflowed < 5
    assert f'  steps overflowed {overflowed:.0f}  time left' in capsys.readouterr().out
    last = json.loads((tmp_path / 'whole/metrics.jsonl').read_text().splitlines()[-1])
    assert last['overflowed_steps'] == overflowed
    assert last['loss_scale'] == whole['loss_scale/scale']
    assert last['left_out_steps'] == 0


def test_a_loss_that_is_not_finite_ends_a_scaled_run_like_any_other(tmp_path):
    with pytest.raises(errors.NonFiniteLossError, match='The loss is nan at step 3'):
        train(tmp_path, steps=5, scaled=True, poison_step=2)
    train(tmp_path, steps=5, scaled=True, poison_step=2, on_nan='skip')
    held = values(tmp_path)
    assert (held['loss_scale/scale'], held['loss_scale/steady_steps']) == (2.0**15, 2)


def test_gradients_that_overflow_at_every_scale_end_the_run(tmp_path):
    train(tmp_path, steps=3, scaled=True)
    with pytest.raises(errors.NonFiniteLossError) as failure:
        train(tmp_path, steps=90, scaled=True, gradient_poison_step=range(90))
    # After 15 steps the scale is 1, after 16 a half.
    assert 'overflow in fp16 at step 19 even without a loss scale' in str(failure.value)
    assert 'use --dtype=bf16' in str(failure.value)
    assert '\n' not in str(failure.value)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith('model.ckpt-3')


@pytest.mark.once
def test_a_run_takes_up_and_drops_the_scale_where_it_resumes(tmp_path):
    train(tmp_path / 'plain', steps=6)
    for steps, scaled in ((2, False), (3, True), (4, False), (6, True)):
        train(tmp_path / 'changing', steps=steps, scaled=scaled)
    held = values(tmp_path / 'changing')
    assert held['loss_scale/steady_steps'] == 2
    assert_equal(without_scale(held), values(tmp_path / 'plain'))


def test_too_little_memory_names_the_batch_and_the_precision_that_would_help(tmp_path):
    def none_left():
        def allocate():
            raise MemoryError('out of it')

        return tf.numpy_function(allocate, [], tf.float32)

    with pytest.raises(errors.DeviceError) as failure:
        train(tmp_path, steps=1, also_needs=none_left)
    assert str(failure.value) == (
        'The memory of the device is not enough: lower --batch_size=4, or give --dtype=bf16, which '
        'takes half'
    )


def test_weights_that_overflow_in_the_last_update_are_not_saved(tmp_path):
    with pytest.raises(errors.NonFiniteLossError, match='after step 1'):
        train(tmp_path, steps=1, learning_rate=float('inf'))
    assert tf.train.latest_checkpoint(str(tmp_path)) is None


@pytest.mark.slow
@pytest.mark.once
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


def answers(*accuracies):
    """An evaluation that gives these, the last one for good, and notes the steps in `.steps`.

    It gives up where the process was asked to stop, as a signal sent by an answer of None does.
    """
    steps, left = [], list(accuracies)

    def evaluate(session, beat, asked_to_stop):
        accuracy = left.pop(0) if len(left) > 1 else left[0]
        steps.append(int(session.run(tf.train.get_global_step())))
        beat()
        if accuracy is None:
            os.kill(os.getpid(), signal.SIGTERM)
        if asked_to_stop():
            return None
        return 30, {'Accuracy': accuracy, 'Recall_5': 1.0, 'loss': -accuracy}

    evaluate.steps = steps
    return evaluate


def best_of(folder):
    return json.loads((folder / 'best.json').read_text())


def kept(folder):
    return sorted(path.name for path in (folder / 'best').glob('*.index'))


@pytest.mark.parametrize('run', [{}, {'steps_per_run': 4}], ids=['one', 'several'])
def test_validations_change_no_bit_and_are_told(tmp_path, capsys, run):
    poison = {'on_nan': 'skip', 'poison_step': 3}
    train(tmp_path / 'without', steps=9, **poison)
    capsys.readouterr()
    evaluate = answers(0.25, 0.5, 0.5, 0.25)
    asked = {'eval_every_epochs': 0.5, 'eval_split_name': 'test', 'keep_best': 'Accuracy'}
    # Half an epoch is two steps.
    assert train(tmp_path / 'with', 9, evaluate=evaluate, validation=asked, **poison, **run) == 0
    assert evaluate.steps == [2, 4, 6, 8, 9]
    assert_equal(values(tmp_path / 'with'), values(tmp_path / 'without'))
    lines = [line for line in capsys.readouterr().out.splitlines() if 'validation at' in line]
    assert re.fullmatch(
        r'validation at step 4, epoch 1.00: Accuracy 0.5000, Recall_5 1.0000, loss -0.5000 on 30 '
        r'images \(\d\.\d s\), the best so far',
        lines[1],
    )
    assert lines[2].endswith('; the best Accuracy is 0.5000 of step 4')
    rows = [json.loads(line) for line in (tmp_path / 'with' / 'metrics.jsonl').open()]
    found = [row for row in rows if row.get('kind') == 'validation']
    assert [row['step'] for row in found] == evaluate.steps
    wanted = {'epoch': 0.5, 'Accuracy': 0.25, 'Recall_5': 1.0, 'loss': -0.25, 'images': 30}
    assert wanted.items() <= found[0].items() and found[0]['secs'] >= 0
    # In a run of its own for TensorBoard, as eval_image_classifier.py writes it.
    assert tags_of(tmp_path / 'with' / 'eval')['Accuracy'] == [0.25, 0.5, 0.5, 0.25, 0.25]
    best = best_of(tmp_path / 'with')
    assert (best['metric'], best['value'], best['step'], best['epoch']) == ('Accuracy', 0.5, 4, 1.0)
    assert best['checkpoint'] == 'best/model.ckpt-4' and best['since'] == [6, 8, 9]
    assert kept(tmp_path / 'with') == ['model.ckpt-4.index']
    assert values(tmp_path / 'with' / 'best')['global_step'] == 4


def tags_of(folder):
    (events,) = folder.glob('events.out.tfevents.*')
    found = {}
    for event in tf.train.summary_iterator(str(events)):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(value.simple_value)
    return found


def test_a_signal_in_a_validation_leaves_it_to_the_next_start(tmp_path, capsys):
    asked = {'eval_every_steps': 3, 'eval_split_name': 'test', 'keep_best': 'loss'}
    evaluate = answers(0.5, None)
    assert train(tmp_path, 9, evaluate=evaluate, validation=asked) == 128 + signal.SIGTERM
    assert evaluate.steps == [3, 6] and best_of(tmp_path)['since'] == []
    assert 'the validation after step 6 is left to the next start' in capsys.readouterr().out
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith('model.ckpt-6')
    evaluate = answers(0.25, 0.75)
    assert train(tmp_path, 9, evaluate=evaluate, validation=asked) == 0
    assert evaluate.steps == [6, 9]
    # The value of the first start was better than the next one, and lived on.
    assert (best_of(tmp_path)['step'], best_of(tmp_path)['value']) == (9, -0.75)
    rows = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
    assert [row['step'] for row in rows if 'kind' in row] == [3, 6, 9]


@pytest.mark.parametrize(
    ('rule', 'steps', 'said'),
    [
        ({'early_stop_patience': 2}, [2, 4, 6, 8], 'none of the last 2 validations was better'),
        ({'stop_threshold': 0.7}, [2, 4], 'is as good as --stop_threshold=0.7'),
    ],
)
def test_a_run_ends_early_where_it_is_told_to(tmp_path, capsys, rule, steps, said):
    asked = {'eval_every_steps': 2, 'eval_split_name': 'test', **rule}
    evaluate = answers(0.5, 0.75, 0.75, 0.25)
    assert train(tmp_path, 30, evaluate=evaluate, validation=asked) == 0
    assert evaluate.steps == steps
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith(f'model.ckpt-{steps[-1]}')
    out = capsys.readouterr().out
    assert f'stopping after step {steps[-1]}: ' in out and said in out
    assert not (tmp_path / 'best').exists()
    flags = chosen(tmp_path, 30, asked)
    held = agreement.best_validation(cluster.SingleProcess(), flags, steps[-1])
    assert said in held.end(flags.validation)


def test_records_that_cannot_be_validated_end_the_run_saved(tmp_path):
    def evaluate(session, beat, asked_to_stop):
        raise errors.DataError('a bad record')

    with pytest.raises(errors.DataError, match='a bad record'):
        train(tmp_path, evaluate=evaluate, validation={'eval_every_steps': 3})
    assert values(tmp_path)['global_step'] == 3
