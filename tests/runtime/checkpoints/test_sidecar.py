"""The file beside a checkpoint: written and read back, and whatever a stranger puts there."""

import dataclasses
import importlib
import json
import math
import os
import pathlib
import random
from typing import ClassVar

import pytest

from runtime import options
from runtime.checkpoints import settling, sidecar
from slim import errors

ABOUT = sidecar.Sidecar(
    model_name='mobilenet_v2',
    num_classes=10,
    labels_offset=1,
    has_background=True,
    preprocessing_name='inception',
    use_grayscale=False,
    image_size=96,
    dtype='fp32',
    moving_average_decay=0.9,
    dataset_name='flowers of mine',
    dataset_num_classes=11,
    label_names=('background', *(f'class {n}' for n in range(10))),
    step=70,
    suite_version='0.1.0',
    tensorflow_version='2.21.0',
)


@pytest.fixture
def prefix(tmp_path):
    return str(tmp_path / 'model.ckpt-70')


def put(prefix, content):
    path = pathlib.Path(prefix + '.json')
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def written(prefix, **changes):
    sidecar.write(prefix, ABOUT)
    path = pathlib.Path(prefix + '.json')
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(values))
    return path


def test_what_is_written_is_read_back_and_no_other_file_stays(prefix, tmp_path):
    assert sidecar.read(prefix) is None
    sidecar.write(prefix, ABOUT)
    sidecar.write(prefix, ABOUT)
    assert sidecar.read(prefix) == ABOUT
    assert os.listdir(tmp_path) == ['model.ckpt-70.json']


def test_the_version_is_that_of_the_project():
    project = pathlib.Path(__file__).parents[3] / 'pyproject.toml'
    assert f"\nversion = '{sidecar.SUITE_VERSION}'\n" in project.read_text()


def test_what_a_run_tells(capsys):
    class Dataset:
        name, num_classes, has_background = 'digits', 3, False
        labels_to_names: ClassVar = {0: 'zero', 1: 'one', 2: 'two'}

    class Network:
        num_classes, image_size = 2, 32

    class Parts:
        dataset, network = Dataset, Network

    flags = {field.name: field.type for field in dataclasses.fields(options.Training)}
    chosen = options.Training(**{name: getattr(options, kind)() for name, kind in flags.items()})
    about = sidecar.of_training(chosen, Parts)
    assert (about.model_name, about.preprocessing_name) == ('mobilenet_v2', 'mobilenet_v2')
    assert (about.num_classes, about.image_size, about.dataset_num_classes) == (2, 32, 3)
    assert about.label_names == ('zero', 'one', 'two')
    assert about.moving_average_decay == 0.9999
    Dataset.labels_to_names = dict.fromkeys(range(3), 'x' * 50000)
    assert sidecar.of_training(chosen, Parts).label_names is None
    mine = dataclasses.replace(chosen, network=options.TrainingNetworkOptions('my net/2'))
    assert sidecar.of_training(mine, Parts) is None
    assert "model_name is 'my net/2'" in capsys.readouterr().out


@pytest.mark.parametrize(
    'content',
    [
        '',
        'model_checkpoint_path: "x"',
        b'\xff\xfe\x00',
        '[' * 100_000,
        '{"a":' * 50_000,
        '9' * 100_000,
        '"' + 'x' * 2_000_000 + '"',
    ],
    ids=['empty', 'state file', 'bytes', 'deep list', 'deep object', 'long number', 'large'],
)
def test_a_damaged_file_is_one_line_with_its_name_and_the_way_out(prefix, content):
    path = put(prefix, content)
    with pytest.raises(errors.CheckpointError, match='--ignore_sidecar') as refused:
        sidecar.read(prefix)
    assert path.name in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    'changes',
    [
        {'model_name': '../../etc/passwd'},
        {'model_name': 'x\x1b[31m'},
        {'model_name': ''},
        {'preprocessing_name': None},
        {'image_size': 0},
        {'image_size': True},
        {'image_size': 96.5},
        {'image_size': 8193},
        {'num_classes': 0},
        {'labels_offset': -1},
        {'use_grayscale': 'no'},
        {'moving_average_decay': 1.5},
        {'moving_average_decay': math.nan},
        {'label_names': {'0': 'a'}},
        {'label_names': [1, 2]},
        {'label_names': ['a'] * 3000},
        {'dataset_name': 'n' * 1000},
        {'step': '70'},
        {'kind': 'tf-slim-suite checkpoint 2'},
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_named(prefix, changes):
    path = written(prefix, **changes)
    with pytest.raises(errors.CheckpointError, match='--ignore_sidecar') as refused:
        sidecar.read(prefix)
    message = errors.printable(str(refused.value))
    assert path.name in message and len(message) < 300
    assert next(iter(changes)) in message or 'version' in message


@pytest.mark.parametrize('content', ['{"kind": "of another program"}', '[]', '3', 'null'])
def test_a_file_of_another_program_is_left_alone(prefix, content, capsys):
    path = put(prefix, content)
    assert sidecar.read(prefix) is None
    assert path.name in capsys.readouterr().out


def test_a_pipe_or_folder_in_its_place_is_not_waited_for(prefix):
    os.mkfifo(prefix + '.json')
    with pytest.raises(errors.CheckpointError):
        sidecar.read(prefix)
    os.remove(prefix + '.json')
    os.mkdir(prefix + '.json')
    with pytest.raises(errors.CheckpointError):
        sidecar.read(prefix)


DETECTOR = sidecar.DetectorSidecar(
    model_name='mobilenet_v1_025',
    num_classes=3,
    dtype='fp32',
    moving_average_decay=0.0,
    dataset_name='scenes',
    label_names=('Pedestrian', 'Cyclist', 'Car'),
    step=4,
    suite_version='0.1.0',
    tensorflow_version='2.21.0',
    width_multiplier=0.5,
    image_height=64,
    image_width=96,
)


def test_a_detectors_sidecar_is_told_from_a_classifiers_which_other_scripts_take(prefix):
    assert not sidecar.is_of_detector(prefix)
    assert sidecar.read_detector(prefix) is None
    sidecar.write(prefix, DETECTOR)
    assert sidecar.is_of_detector(prefix)
    assert sidecar.read_detector(prefix) == DETECTOR
    with pytest.raises(errors.CheckpointError, match=r'is of a detector.*eval_object_detector\.py'):
        sidecar.read(prefix)
    values = json.loads(pathlib.Path(prefix + '.json').read_text())
    for name, value in {'width_multiplier': 0, 'image_width': 9000, 'image_height': '64'}.items():
        put(prefix, json.dumps({**values, name: value}))
        with pytest.raises(errors.CheckpointError, match=f'{name} is .*--ignore_sidecar'):
            sidecar.read_detector(prefix)
    sidecar.write(prefix, ABOUT)
    assert not sidecar.is_of_detector(prefix)
    with pytest.raises(errors.CheckpointError, match=r'is of a classif.*eval_image_classifier\.py'):
        sidecar.read_detector(prefix)


def test_unknown_keys_are_passed_over(prefix):
    written(prefix, of_the_future=[1])
    assert sidecar.read(prefix) == ABOUT


# Flags against the sidecar.


def same(name, other):
    return {name, other} <= {'inception', 'mobilenet_v2'}


def evaluation(**given):
    groups = {
        'dataset': options.EvaluationDatasetOptions,
        'input': options.EvaluationInputOptions,
        'network': options.NetworkOptions,
        'averages': options.AverageOptions,
        'run': options.EvaluationRunOptions,
        'workers': options.WorkerOptions,
        'device': options.DeviceOptions,
    }
    return options.Evaluation(
        **{
            name: kind(
                **{f.name: given[f.name] for f in dataclasses.fields(kind) if f.name in given}
            )
            for name, kind in groups.items()
        }
    )


def settled(about=ABOUT, **given):
    return settling.settle(evaluation(**given), given, about, same)


def test_flags_that_were_not_given_are_those_of_the_training():
    chosen = settled(batch_size=7)
    assert (chosen.network.model_name, chosen.input.eval_image_size) == ('mobilenet_v2', 96)
    assert (chosen.input.preprocessing_name, chosen.input.use_grayscale) == ('inception', False)
    assert (chosen.dataset.labels_offset, chosen.input.batch_size) == (1, 7)
    assert chosen.averages.moving_average_decay == 0.9999
    export = settling.settle(options.Export(), (), ABOUT, same)
    assert (export.model_name, export.image_size, export.labels_offset) == ('mobilenet_v2', 96, 1)


def test_without_a_sidecar_flags_are_what_they_were():
    assert settled(about=None) == evaluation()


def test_a_run_without_averages_is_evaluated_without_them_unless_they_are_asked_for():
    without = dataclasses.replace(ABOUT, moving_average_decay=0.0)
    assert settled(without).averages.moving_average_decay == 0.0
    asked = settled(without, moving_average_decay=0.9)
    assert asked.averages.moving_average_decay == 0.9
    assert settled(moving_average_decay=0.0).averages.moving_average_decay == 0.0


@pytest.mark.parametrize(
    ('flag', 'value'),
    [
        ('model_name', 'mobilenet_v1'),
        ('preprocessing_name', 'vgg'),
        ('use_grayscale', True),
        ('labels_offset', 0),
        ('eval_image_size', 224),
    ],
)
def test_a_contradiction_names_both_values_and_the_way_out(flag, value):
    with pytest.raises(errors.UsageError, match=f'--{flag}={value}.*--ignore_sidecar') as refused:
        settled(**{flag: value})
    assert len(str(refused.value)) < 300


def test_the_same_value_or_another_name_of_it_is_no_contradiction():
    chosen = settled(
        model_name='mobilenet_v2', preprocessing_name='mobilenet_v2', eval_image_size=96
    )
    assert chosen.input.preprocessing_name == 'mobilenet_v2'


def detection(**given):
    groups = {field.name: field.type for field in dataclasses.fields(options.DetectionEvaluation)}
    module = importlib.import_module('runtime.options.detection')
    chosen = options.DetectionEvaluation(
        **{name: getattr(module, kind)() for name, kind in groups.items()}
    )
    return settling.settle(options.with_values(chosen, given), given, DETECTOR)


def test_a_detectors_evaluation_takes_network_width_frame_and_averages():
    chosen = detection(batch_size=7)
    assert (chosen.network.model_name, chosen.network.width_multiplier) == ('mobilenet_v1_025', 0.5)
    assert (chosen.input.image_height, chosen.input.image_width) == (64, 96)
    assert (chosen.input.batch_size, chosen.averages.moving_average_decay) == (7, None)
    averaged = dataclasses.replace(DETECTOR, moving_average_decay=0.99)
    assert settling.settle(detection(), (), averaged).averages.moving_average_decay == 0.99
    for flag, value in {'width_multiplier': 0.25, 'image_width': 1242}.items():
        with pytest.raises(errors.UsageError, match=f'--{flag}={value}, but the checkpoint'):
            detection(**{flag: value})
    assert detection(width_multiplier=0.5, image_height=64) == detection()


class Flowers:
    num_classes, has_background = 11, True
    labels_to_names: ClassVar = dict(enumerate(ABOUT.label_names))


def test_the_data_set_beside_that_of_the_training():
    assert settling.check_dataset(ABOUT, Flowers) == ''
    assert settling.check_dataset(None, Flowers) == ''

    class Renamed(Flowers):
        labels_to_names: ClassVar = {**Flowers.labels_to_names, 3: 'rose\n'}

    warning = settling.check_dataset(ABOUT, Renamed)
    assert 'label 3' in warning and 'class 2' in warning and '\n' not in warning

    class Without(Flowers):
        has_background = False

    with pytest.raises(errors.UsageError, match='background'):
        settling.check_dataset(ABOUT, Without)


# Everything at random: taken, or refused with one short line.

_STRANGE = (
    None, True, False, 0, -1, 1, 96, 2**31, 10**18, 0.5, 1e308, '', 'inception', '../x', 'a' * 300,
    '\x00', '\ud83d', '\u202e', 'é', [], ['a'], {}, {'a': []},
)  # fmt: skip


def _mutated(rng, values):
    """A sidecar's text with some values replaced and some bytes changed."""
    changed = dict(values)
    for _ in range(rng.randrange(3)):
        changed[rng.choice(list(values))] = rng.choice(_STRANGE)
    if rng.random() < 0.2:
        changed.pop(rng.choice(list(changed)))
    text = bytearray(json.dumps(changed).encode())
    for _ in range(rng.randrange(3)):
        action, place = rng.randrange(3), rng.randrange(len(text) + 1)
        if action == 0:
            del text[place : place + rng.randrange(40)]
        elif action == 1:
            text[place:place] = rng.choice([b'{', b'[', b'"', b'\\u0000', b'\xff', b'9' * 30, b','])
        elif place < len(text):
            text[place] = rng.randrange(256)
    return bytes(text)


def _random_flags(rng):
    given = {}
    for flag, values in {
        'model_name': ('mobilenet_v2', 'vgg_16', 'x' * 5000, '\n'),
        'preprocessing_name': ('inception', 'vgg', '', '\x1b' * 400),
        'use_grayscale': (True, False),
        'labels_offset': (0, 1, 2**31 - 1),
        'eval_image_size': (96, 1, 224),
        'moving_average_decay': (0.0, 0.9999),
    }.items():
        if rng.random() < 0.3:
            given[flag] = rng.choice(values)
    return given


def _try_at_random(prefix, rounds):
    rng = random.Random(13)
    sidecar.write(prefix, ABOUT)
    values = json.loads(pathlib.Path(prefix + '.json').read_text())
    outcomes = {'taken': 0, 'refused': 0}
    for _ in range(rounds):
        put(prefix, _mutated(rng, values))
        try:
            settled(sidecar.read(prefix), **_random_flags(rng))
            outcomes['taken'] += 1
        except errors.SuiteError as error:
            line = errors.printable(str(error))
            assert len(line) < 300, line
            outcomes['refused'] += 1
    assert min(outcomes.values()) > rounds / 20, outcomes


def test_random_sidecars_and_flags_are_taken_or_refused_in_one_line(prefix):
    _try_at_random(prefix, 2_000)


@pytest.mark.slow
@pytest.mark.once
def test_more_random_sidecars_and_flags(prefix):
    _try_at_random(prefix, 10_000)
