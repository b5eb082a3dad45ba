"""What flags name, found or refused before anything is built; and put into words."""

import dataclasses
import json
import types

import pytest
import tensorflow.compat.v1 as tf

from datasets import dataset_factory
from runtime import lookup, options
from runtime.checkpoints import starting
from runtime.training import announcement
from slim import errors


def describe(folder, name):
    about = {'name': name, 'num_classes': 4, 'has_background': False}
    content = {**about, 'splits': {'train': {'num_samples': 3}}}
    (folder / 'dataset.json').write_text(json.dumps(content))


@pytest.mark.parametrize(('offset', 'left'), [(0, 4), (3, 1)])
def test_an_offset_leaves_classes(tmp_path, offset, left):
    describe(tmp_path, 'four')
    chosen = options.Export(model_name='lenet', dataset_dir=str(tmp_path), labels_offset=offset)
    assert lookup.for_export(chosen).num_classes == left
    # A sidecar's number of logits has the offset in it.
    assert lookup.for_export(chosen, num_classes=7).num_classes == 7


@pytest.mark.parametrize('offset', [4, 5, 2**31 - 1, -1])
def test_an_offset_that_leaves_none_is_refused(tmp_path, offset):
    describe(tmp_path, 'f' * 100)
    chosen = options.Export(model_name='lenet', dataset_dir=str(tmp_path), labels_offset=offset)
    with pytest.raises(errors.UsageError, match=f'--labels_offset={offset} .*must be 0 to 3') as no:
        lookup.for_export(chosen)
    assert len(str(no.value)) < 300


def test_exported_classes_have_the_names_of_training_or_of_the_set(tmp_path):
    describe(tmp_path, 'four')
    of_set = options.Export(dataset_dir=str(tmp_path))
    trained = ('none', 'a', 'b')
    shifted = options.Export(dataset_dir=str(tmp_path), labels_offset=1)
    assert lookup.labels_for_export(shifted, 2, trained) == ('a', 'b')
    assert lookup.labels_for_export(of_set, 3, trained) == trained
    assert lookup.labels_for_export(of_set, 2, trained) is None
    names = lookup.labels_for_export(options.Export(), 1001, None)
    assert names and names[0] == 'background' and names[2].startswith('goldfish')
    without = lookup.labels_for_export(options.Export(labels_offset=1), 1000, None)
    assert without == names[1:]
    assert lookup.labels_for_export(options.Export(), 10, None) is None
    # As predictions have them, those of labels.txt too.
    (tmp_path / 'labels.txt').write_text('0:ash\n1:birch\n2:cedar\n3:elm\n')
    assert lookup.labels_for_export(shifted, 3, None) == ('birch', 'cedar', 'elm')


def prediction(flags=None, **run):
    return options.Prediction(
        flags or options.PredictionInputOptions(),
        options.NetworkOptions('lenet'),
        options.AverageOptions(),
        options.PredictionRunOptions(**run),
        options.DeviceOptions(),
    )


def test_predicted_classes_are_those_of_training_or_of_the_set_that_is_named(tmp_path):
    def names(given=(), trained=None, **run):
        found = lookup.for_prediction(prediction(**run), trained, given)
        return found.network.num_classes, found.class_names

    describe(tmp_path, 'four')
    trained = types.SimpleNamespace(
        num_classes=2, dataset_name='three', label_names=('none', 'a', 'b')
    )
    of_set = {'given': ['dataset_dir'], 'dataset_dir': str(tmp_path)}
    assert names(trained=trained, labels_offset=1) == (2, ('a', 'b'))
    assert names(trained=trained, **of_set) == (4, None)
    (tmp_path / 'labels.txt').write_text('0:p\n1:q\n2:r\n3:s\n')
    assert names(trained=trained, labels_offset=1, **of_set) == (3, ('q', 'r', 's'))
    (tmp_path / 'mine.txt').write_text('x\ny\n')
    assert names(trained=trained, labels_file=str(tmp_path / 'mine.txt')) == (2, ('x', 'y'))
    count, known = names(labels_offset=1)
    assert count == 1000 and known[1].startswith('goldfish')


@pytest.mark.parametrize(
    ('flag', 'value', 'says'),
    [('preprocessing_name', 'vgg', 'inception'), ('eval_image_size', 64, 32)],
)
def test_flags_say_what_an_exported_file_takes_where_it_does_not(flag, value, says):
    def found(held, given, labels=None):
        model = types.SimpleNamespace(
            path='net.bin',
            takes='images',
            preprocessing_name='inception',
            image_size=32,
            use_grayscale=False,
            labels=labels,
            run=None,
        )
        setattr(model, flag.removeprefix('eval_'), held)
        flags = options.PredictionInputOptions(**{flag: given})
        return lookup.for_exported(prediction(flags, labels_offset=1), model, 2, [])

    assert found(says, None, ('a', 'b')).class_names == ('a', 'b')
    assert found(None, value).network.image_size == (value if flag == 'eval_image_size' else 32)
    with pytest.raises(errors.UsageError, match=f'give --{flag}'):
        found(None, None)
    with pytest.raises(errors.UsageError, match=f'--{flag}={value}, but net.bin takes {says}'):
        found(says, value)
    assert found(says, says).class_names is None


def test_pictures_of_mnist_have_one_channel():
    with tf.Graph().as_default():
        encoded = tf.placeholder(tf.string, [])
        for name, channels in (('mnist', 1), ('a set of ones own', 3)):
            image = dataset_factory.get_decoder(name)(encoded)
            assert image.shape.as_list() == [None, None, channels]


def test_features_have_no_classifier():
    chosen = options.Export(model_name='lenet', output='features')
    assert lookup.for_export(chosen, num_classes=7).num_classes == 0


def test_names_of_one_preprocessing():
    assert lookup.same_preprocessing('inception', 'mobilenet_v2')
    assert lookup.same_preprocessing('vgg', 'resnet_v1_50')
    assert not lookup.same_preprocessing('vgg', 'inception')
    assert not lookup.same_preprocessing('nothing', 'nothing else')


def test_a_name_that_is_not_there_is_the_users_or_the_sidecars():
    lookup.check_names('mobilenet_v2', 'vgg')
    with pytest.raises(errors.UsageError, match="Did you mean 'mobilenet_v2'"):
        lookup.check_names('mobilnet_v2')
    with pytest.raises(errors.UsageError, match="Unknown preprocessing 'vg'"):
        lookup.check_names('mobilenet_v2', 'vg')
    with pytest.raises(
        errors.CheckpointError, match=r'run/model\.ckpt-3\.json, unless --ignore_'
    ) as no:
        lookup.check_names('of_the_future', source='run/model.ckpt-3.json')
    assert len(str(no.value)) < 300


def test_a_size_that_is_not_the_networks_own_shows():
    export = options.Export(model_name='mobilenet_v1_025')
    own = lookup.for_export(export, 10)
    assert lookup.shown('mobilenet_v1_025', own) == (
        f'mobilenet_v1_025 with 10 classes at {own.image_size} x {own.image_size} pixels'
    )
    other = dataclasses.replace(own, image_size=own.image_size + 32)
    assert f'(its own: {own.image_size}), preprocessing vgg' in lookup.shown('x', other, 'vgg')


def test_fine_tuning_says_from_what_into_what(tmp_path, capsys):
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.create_global_step()
        session.run(step.initializer)
        step.load(7, session)
        prefix = tf.train.Saver().save(session, str(tmp_path / 'model.ckpt'))
    groups = {field.name: field.type for field in dataclasses.fields(options.Training)}
    chosen = options.Training(**{name: getattr(options, kind)() for name, kind in groups.items()})
    tuning = options.FineTuningOptions(checkpoint_exclude_scopes='Net/Logits')
    chosen = dataclasses.replace(chosen, tuning=tuning)
    announcement.fine_tuning(starting.Start(None), chosen, 'x')
    assert capsys.readouterr().out == ''
    announcement.fine_tuning(
        starting.Start(None, warm_start_from=prefix), chosen, 'net at 32 x 32 pixels'
    )
    assert capsys.readouterr().out == (
        f'fine-tuning from {prefix}, step 7: its last weights without Net/Logits, into '
        'net at 32 x 32 pixels, preprocessing mobilenet_v2\n'
    )


VALIDATION = {'eval_every_steps': 5, 'eval_split_name': 'test'}


@pytest.mark.parametrize(
    ('asked', 'said'),
    [
        ({'eval_split_name': 'test'}, '--eval_split_name=test has no effect without'),
        ({'keep_best': 'loss'}, '--keep_best=loss has no effect without validations'),
        ({'early_stop_patience': 2}, '--early_stop_patience=2 has no effect'),
        ({'stop_threshold': 0.0}, '--stop_threshold=0.0 has no effect'),
        ({'recalibrate_before_eval': True}, '--recalibrate_before_eval=True has no effect'),
        (
            {**VALIDATION, 'recalibrate_before_eval': True},
            '--recalibrate_before_eval: give --recalibrate_batch_norm',
        ),
        ({'eval_every_steps': 5}, 'give --eval_split_name'),
        ({'eval_every_epochs': 1.0}, 'give --eval_split_name'),
        ({**VALIDATION, 'eval_every_epochs': 1.0}, 'give one of the two'),
        ({**VALIDATION, 'eval_split_name': 'train'}, 'is the split that is trained on'),
    ],
)
def test_flags_of_validations_that_do_not_go_together(asked, said):
    chosen = types.SimpleNamespace(
        validation=options.ValidationOptions(**asked),
        dataset=options.DatasetOptions(),
        run=options.TrainingRunOptions(),
    )
    with pytest.raises(errors.UsageError, match=said) as refused:
        lookup.for_validation(chosen, None)
    assert '\n' not in str(refused.value)


def test_a_validation_has_the_images_of_another_split_in_the_form_of_training(tmp_path):
    about = {'name': 'four', 'num_classes': 4, 'has_background': False}
    splits = {'train': {'num_samples': 3}, 'test': {'num_samples': 2}, 'none': {'num_samples': 4}}
    (tmp_path / 'dataset.json').write_text(json.dumps({**about, 'splits': splits}))
    for name in splits:
        with tf.io.TFRecordWriter(str(tmp_path / f'{name}-00000-of-00001')) as file:
            if name != 'none':
                file.write(b'')

    def parts(split):
        chosen = types.SimpleNamespace(
            validation=options.ValidationOptions(eval_every_steps=5, eval_split_name=split),
            dataset=options.DatasetOptions(dataset_name='four', dataset_dir=str(tmp_path)),
            network=options.TrainingNetworkOptions(model_name='lenet'),
            input=options.TrainingInputOptions(),
        )
        trained = types.SimpleNamespace(network=lookup.Network(None, 3, 40))
        return lookup.for_validation(chosen, trained)

    found = parts('test')
    assert (found.dataset.split_name, found.dataset.num_samples) == ('test', 2)
    assert (found.network.num_classes, found.network.image_size) == (3, 40)
    with pytest.raises(errors.DataError, match='none: the split holds no images'):
        parts('none')
    untrained = options.DatasetOptions(
        dataset_name='four', dataset_split_name='none', dataset_dir=str(tmp_path)
    )
    with pytest.raises(errors.DataError, match='name=none: the split holds no images'):
        lookup.for_training(types.SimpleNamespace(dataset=untrained))
    silent = types.SimpleNamespace(validation=options.ValidationOptions())
    assert lookup.for_validation(silent, None) is None
