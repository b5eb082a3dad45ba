"""The trainer in this process, with a network of two layers: what it computes and saves."""

import contextlib
import importlib.util
import io
import json
import os
import shutil
import signal
import types

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import tiny

from mobilenet import mobilenet_trainer
from mobilenet.configs import archs
from mobilenet.configs import dataset as dataset_configs
from mobilenet.training import engine as engine_lib
from mobilenet.training import record, state
from runtime.workers import cluster
from slim import errors


def saved(folder, name='model.ckpt-0002'):
    """Everything in a checkpoint, by name."""
    reader = tf.train.load_checkpoint(str(folder / name))
    names = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in names if 'OBJECT_GRAPH' not in name}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def interrupt_at(monkeypatch, step, number=signal.SIGTERM):
    """The process gets the signal while it makes this step."""
    train = engine_lib.Engine.train

    def interrupted(self, next_batch, stop):
        if int(self.optimizer.iterations.numpy()) + 1 == step:
            os.kill(os.getpid(), number)
        return train(self, next_batch, stop)

    monkeypatch.setattr(engine_lib.Engine, 'train', interrupted)


@pytest.mark.slow
def test_stopped_and_resumed_is_as_in_one_go(train, tmp_path, monkeypatch, capsys):
    """Weights, slots, averages, step, best value and history, bit for bit."""
    settings = {'ma_decay_rate': 0.9, 'optimizer_name': 'rmsprop', 'label_smoothing': 0.1}
    whole = train('whole', **settings)
    train('parts', epochs=1, **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=10)
        resumed = train('parts', resume_checkpoint=True, **settings)
        assert len(resumed.epoch) == 1
    out = capsys.readouterr().out
    assert 'SIGTERM: stopped after step 10' in out and '--resume_checkpoint' in out
    assert 'interrupted.ckpt-10.index' in os.listdir(tmp_path / 'parts')
    resumed = train('parts', resume_checkpoint=True, **settings)
    assert 'resuming from' in capsys.readouterr().out
    assert_equal(saved(tmp_path / 'whole'), saved(tmp_path / 'parts'))
    assert resumed.history == whole.history and resumed.epoch == whole.epoch == [0, 1]
    assert not any('interrupted' in name for name in os.listdir(tmp_path / 'parts'))
    # At its end, the same command has nothing to do.
    capsys.readouterr()
    again = train('parts', resume_checkpoint=True, **settings)
    assert 'nothing left to do: 2 epochs are done' in capsys.readouterr().out
    assert again.history == whole.history


@pytest.fixture(scope='module')
def finished(train_in, tmp_path_factory):
    """Folder and history of a run of five epochs with averages; not to be changed."""
    folder = tmp_path_factory.mktemp('finished') / 'run'
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        history = train_in(folder, **FINISHED)
    return types.SimpleNamespace(folder=folder, history=history, out=out.getvalue())


FINISHED = {'epochs': 5, 'lr': 0.01, 'ma_decay_rate': 0.5}


def test_what_a_run_tells_and_leaves(finished):
    folder, history, out = finished.folder, finished.history.history, finished.out
    assert 'Epoch 1/5' in out and 'Epoch 5/5' in out
    assert 'data set digits' in out and '5 epochs of 7 steps of 200 images' in out
    assert tuple(history) == ('loss', 'accuracy', 'val_loss', 'val_accuracy', 'lr')
    assert all(len(values) == 5 for values in history.values())
    assert history['val_accuracy'][-1] > 0.5
    written = json.loads((folder / 'history.json').read_text())
    assert written == {'epoch': [1, 2, 3, 4, 5], **history}
    best = int(np.argmin(history['val_loss'])) + 1
    assert f'lowest loss after epoch {best}: {folder}/model.ckpt-{best:04d}' in out
    assert tf.train.latest_checkpoint(str(folder)).endswith('model.ckpt-0005')
    for part, tag in (('train', 'epoch_loss'), ('validation', 'epoch_accuracy')):
        (events,) = (folder / part).iterdir()
        tags = [
            value.tag
            for event in tf.compat.v1.train.summary_iterator(str(events))
            for value in event.summary.value
        ]
        assert tags.count(tag) == 5
    run_file = json.loads((folder / 'run.json').read_text())
    assert run_file['starts'][0]['flags']['lr'] == 0.01


def test_the_averages_are_evaluated_and_saved_as_the_model(finished, digits):
    newest = str(finished.folder / 'model.ckpt-0005')
    model = tiny.model()
    tf.train.Checkpoint(model=model).read(newest).expect_partial()
    config = dataset_configs.DigitsConfig(
        data_dir=digits, split='validation', batch_size=360, image_size=16, one_hot=False
    )
    ((images, labels),) = mobilenet_trainer.get_dataset(config)

    def accuracy():
        return np.mean(np.argmax(model(images), axis=-1) == labels.numpy())

    averages = model.get_weights()
    assert accuracy() == finished.history.history['val_accuracy'][-1]
    # The last weights lie beside them, and the run's own model has gone on with those.
    last = finished.history.model.get_weights()
    assert not np.array_equal(averages[0], last[0])
    beside = [v for n, v in saved(finished.folder, newest).items() if n.startswith('averages/')]
    assert any(np.array_equal(value, last[0]) for value in beside)


def test_the_best_checkpoint_and_the_newest_stay(tmp_path):
    run_state = state.State(str(tmp_path), make_engine(tiny.model()), 7)
    run_state.save_interrupted()
    for epoch in range(1, 7):
        run_state.progress.epochs.assign(epoch)
        run_state.progress.best_epoch.assign(min(epoch, 2))
        run_state.save_epoch()
    kept = sorted(path.stem for path in tmp_path.glob('*.index'))
    assert kept == [f'model.ckpt-000{epoch}' for epoch in (2, 4, 5, 6)]
    assert len(list(tmp_path.glob('*.data-*'))) == 4


def test_averages_decay_from_the_first_values():
    model = tiny.model(3, 8, batch_norm=False, dropout=0.0)
    optimizer = tf_keras.optimizers.legacy.SGD(0.1)
    engine = make_engine(model, optimizer, average_decay=0.75)
    expected = [weight.numpy() for weight in model.trainable_variables]
    batch = batch_of(6, 8, 3)
    for _ in range(3):
        engine.train(lambda: batch)
        expected = [
            0.75 * average + 0.25 * weight.numpy()
            for average, weight in zip(expected, model.trainable_variables, strict=True)
        ]
    for average, value in zip(engine.averages.values, expected, strict=True):
        np.testing.assert_allclose(average.numpy(), value, rtol=1e-5, atol=1e-7)


def make_engine(model, optimizer=None, **settings):
    optimizer = optimizer or tf_keras.optimizers.legacy.SGD(0.0)
    alone = cluster.SingleProcess()
    return engine_lib.Engine(model, optimizer, tf.distribute.get_strategy(), alone, **settings)


def batch_of(count, size, classes):
    random = np.random.RandomState(3)
    images = random.uniform(-1, 1, [count, size, size, 3]).astype(np.float32)
    return tf.constant(images), tf.constant(random.randint(0, classes, [count]), tf.int64)


def test_smoothed_labels_and_their_loss():
    """(1 - s) of the label, s over all classes, the highest label included; and the penalty."""
    model = tiny.model(4, 8, batch_norm=False, dropout=0.0)
    images, _ = batch_of(4, 8, 4)
    labels = tf.constant([0, 1, 2, 3], tf.int64)
    shares = np.eye(4) * 0.8 + 0.2 / 4
    logs = np.log(model(images).numpy())
    penalty = 1e-4 * np.sum(model.get_layer('Conv2d_0').get_weights()[0] ** 2)
    expected = -np.sum(shares * logs, axis=-1).mean() + penalty
    engine = make_engine(model, label_smoothing=0.2)
    engine.train(lambda: (images, labels))
    assert engine.read_sums().mean_loss == pytest.approx(expected, rel=1e-5)
    # In evaluation the filling of the last batch does not count.
    real = tf.constant([True, True, False, False])
    result = engine.evaluate(iter([(images, labels, real)]))
    half = -np.sum(shares * logs, axis=-1)[:2].mean() + penalty
    assert (result.images, result.mean_loss) == (2, pytest.approx(half, rel=1e-5))
    assert result.accuracy == np.mean(np.argmax(logs, -1)[:2] == [0, 1])


def test_dropout_follows_the_step():
    images, labels = batch_of(8, 8, 3)

    def losses(first_step):
        model = tiny.model(3, 8, batch_norm=False, dropout=0.5)
        model.set_weights([np.full_like(weight, 0.1) for weight in model.get_weights()])
        model.get_layer('top/SpatialSqueeze').set_weights(
            [np.random.RandomState(0).normal(size=[8, 3]), np.zeros(3)]
        )
        engine = make_engine(model)
        engine.optimizer.iterations.assign(first_step)
        found = []
        for _ in range(2):
            engine.train(lambda: (images, labels))
            found.append(engine.read_sums().mean_loss)
            engine.clear_sums()
        return found

    first = losses(0)
    assert first[0] != first[1]
    assert losses(0) == first and losses(1)[0] == first[1]


def test_another_run_is_not_overwritten(finished, train, tmp_path, capsys):
    shutil.copytree(finished.folder, tmp_path / 'run')
    before = saved(tmp_path / 'run', 'model.ckpt-0005')
    with pytest.raises(errors.OutputError, match=r'holds a run already .*--resume_checkpoint'):
        train()
    with pytest.raises(errors.CheckpointError, match=r'holds no checkpoint; leave the flag out'):
        train('empty', resume_checkpoint=True)
    assert not (tmp_path / 'empty').exists()
    resumed = {**FINISHED, 'resume_checkpoint': True}
    with pytest.raises(errors.CheckpointError, match=r'has averages .*--ma_decay_rate'):
        train(**{**resumed, 'ma_decay_rate': None})
    with pytest.raises(errors.CheckpointError, match=r'does not fit: .*--width_multiplier'):
        train(**{**resumed, 'image_size': 32})
    with pytest.raises(errors.CheckpointError, match=r'7 steps an epoch, .* 14: give --batch'):
        train(**{**resumed, 'batch_size': 100})
    assert_equal(before, saved(tmp_path / 'run', 'model.ckpt-0005'))
    capsys.readouterr()
    train(**{**resumed, 'label_smoothing': 0.3})
    told = capsys.readouterr().out
    assert '--label_smoothing has changed since the start before: 0.0 -> 0.3' in told
    (tmp_path / 'run' / 'model.ckpt-0005.data-00000-of-00001').write_bytes(b'cut off')
    train(**{**resumed, 'epochs': 4})
    told = capsys.readouterr().out
    assert 'model.ckpt-0005 cannot be read' in told
    assert 'resuming from' in told and 'model.ckpt-0004, step 28' in told


def test_a_loss_that_is_not_finite_ends_the_run(train, tmp_path):
    with pytest.raises(errors.NonFiniteLossError, match=r'no checkpoint was written.* --lr'):
        train(optimizer_name='sgd', lr=1e30, warmup_epochs=0.0)
    assert not list((tmp_path / 'run').glob('*.index'))


def test_bad_input(train, tmp_path, digits, monkeypatch):
    with pytest.raises(errors.UsageError, match=r'lower --batch_size'):
        train(batch_size=2000)
    with pytest.raises(errors.UsageError, match=r"'digit'. Did you mean 'digits'"):
        train(dataset_name='digit')
    with pytest.raises(errors.UsageError, match=r'--data_dir. Nothing is downloaded'):
        train(dataset_name='mnist')
    with pytest.raises(errors.DataError, match=r"no split 'tset', it has train, validation"):
        train(eval_split='tset')
    with pytest.raises(errors.UsageError, match=r'--lr_boundaries=1;2: give numbers'):
        train(lr_boundaries='1;2')
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, 'find_spec', lambda name: None)
        with pytest.raises(errors.UsageError, match=r'matplotlib is not installed.*extra plot'):
            train(plot=True)
    assert not (tmp_path / 'run').exists()
    # A wrong label is found by its record, wherever TensorFlow meets it.
    from test_datasets import write_set

    (tmp_path / 'own').mkdir()
    write_set(tmp_path / 'own', [0, 1, 7, 1], 3, splits=('train', 'validation'))
    with pytest.raises(errors.DataError, match=r'record 2 .*label 7, but the classes .* 0 to 2'):
        train(data_dir=str(tmp_path / 'own'), dataset_name='own', batch_size=2)


def test_without_matplotlib_no_plot_and_with_it_one(tmp_path, monkeypatch):
    drawn, ticks = [], []
    axes = types.SimpleNamespace(
        plot=lambda x, y, label: drawn.append((label, list(x), y)),
        set_xlabel=lambda _: None,
        set_ylabel=lambda _: None,
        legend=lambda: None,
        locator_params=lambda **values: ticks.append(values),
    )
    figure = types.SimpleNamespace(
        add_subplot=lambda *_: axes, savefig=lambda path: open(path, 'w').close()
    )
    module = types.SimpleNamespace(Figure=lambda **_: figure)
    monkeypatch.setattr(record.importlib, 'import_module', lambda name: module)
    path = record.plot(str(tmp_path), {'loss': [2.0, 1.0], 'val_loss': [3.0, 2.0]}, [0, 1])
    assert os.path.exists(path) and path.endswith('history.png')
    assert drawn == [('training', [1, 2], [2.0, 1.0]), ('evaluation', [1, 2], [3.0, 2.0])]
    assert ticks == [{'axis': 'x', 'integer': True}] * 2


def test_a_short_evaluation_is_an_error(train, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_lib.Engine, 'evaluate', lambda *_: engine_lib.Sums(1.0, 2.0, 4.0))
    with pytest.raises(errors.DataError, match=r'hold 4 images, but the split should have 360:'):
        train('short', epochs=1)
    assert not list((tmp_path / 'short').glob('model.ckpt*'))


def test_models_by_name_and_configurations_of_the_wrong_class():
    assert mobilenet_trainer._get_model_builder().keys() == archs.MODEL_CONFIGS.keys()
    config = archs.MobileNetV1Config(width_multiplier=0.25)
    data = dataset_configs.DigitsConfig(image_size=32)
    with pytest.raises(errors.UsageError, match=r'Did you mean'):
        mobilenet_trainer.build_model('mobilnet_v1', config, data)
    with pytest.raises(errors.UsageError, match=r'MobileNetV1Config'):
        mobilenet_trainer.build_model('mobilenet_v2', config, data)
    with pytest.raises(errors.UsageError, match=r'-0.5'):
        mobilenet_trainer.build_model(
            'mobilenet_v1', archs.MobileNetV1Config(width_multiplier=-0.5), data
        )
    model = mobilenet_trainer.build_model('mobilenet_v1', data, config)  # As it once was.
    assert model.input_shape == (None, 32, 32, 3) and model.output_shape == (None, 10)
    assert config.num_classes == 1001  # The caller's is left alone.
