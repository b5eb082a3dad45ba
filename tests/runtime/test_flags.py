"""Flags: the classic names and defaults, checks, refusals, reading back."""

import dataclasses
import json
import math
import pathlib
import random

import pytest
from absl import flags as absl_flags

from runtime import app, flags, options
from runtime.training import schedules
from slim import errors

pytestmark = pytest.mark.once

_CLASSIC = json.loads((pathlib.Path(__file__).parents[1] / 'data' / 'flags.json').read_text())


def parsed(group, *arguments):
    values = absl_flags.FlagValues()
    flags.define(group, values)
    values(['script', *arguments])
    return flags.read(group, values)


@pytest.mark.parametrize(
    ('script', 'group'),
    [
        ('train_image_classifier.py', options.Training),
        ('eval_image_classifier.py', options.Evaluation),
    ],
)
def test_every_classic_flag_is_there_with_its_default(script, group):
    values = absl_flags.FlagValues()
    flags.define(group, values)
    for name, (fork_default, classic_default) in _CLASSIC[script].items():
        assert name in values, name
        expected = fork_default
        if name in ('preprocessing_name', 'max_num_batches'):
            # The fork's default contradicts its own help: the network's own, and every record.
            expected = classic_default
        assert values[name].default == expected, name


def test_groups_are_read_back_as_frozen_dataclasses():
    chosen = parsed(options.Training, '--learning_rate=0.5', '--optimizer=sgd', '--use_grayscale')
    assert chosen.schedule == options.ScheduleOptions(learning_rate=0.5)
    assert chosen.optimizer == options.OptimizerOptions(optimizer='sgd')
    assert chosen.input == options.TrainingInputOptions(use_grayscale=True)
    with pytest.raises(AttributeError):
        chosen.schedule.learning_rate = 1.0


def test_given_lists_only_what_stands_on_the_command_line():
    values = absl_flags.FlagValues()
    flags.define(options.Evaluation, values)
    values(['script', '--batch_size=7'])
    assert flags.given(values) == {'batch_size': 7}


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('--optimizer=rmsprob', "Did you mean 'rmsprop'"),
        ('--learning_rate_decay_type=cosin', "Did you mean 'cosine'"),
        ('--device=tpu', 'auto, hpu, gpu, cpu'),
        ('--batch_size=0', 'at least 1'),
        ('--learning_rate=nan', 'above 0'),
        ('--learning_rate=0', 'above 0'),
        ('--label_smoothing=1.5', 'at most 1'),
        ('--max_number_of_steps=ten', 'ten'),
        ('--num_ps_tasks=1', 'use Horovod'),
        ('--worker_replicas=2', 'use Horovod'),
        ('--quantize_delay=100', 'contrib'),
        ('--precision=bf16', '--dtype'),
        ('--trainable_scopes=', 'names nothing'),
        ('--trainable_scopes=,', 'names nothing'),
        ('--checkpoint_exclude_scopes= , ,', 'names nothing'),
        ('--labels_offset=-1', 'at least 0'),
        ('--seed=2147483648', 'at most 2147483647'),
        ('--save_interval_secs=99999999999999999999', 'at most 2147483647'),
        ('--learning_rate=inf', 'finite'),
        ('--adam_beta1=nan', 'finite'),
    ],
)
def test_wrong_and_refused_values_say_the_way_out(argument, message):
    with pytest.raises(absl_flags.IllegalFlagValueError, match=message):
        parsed(options.Training, argument)


@pytest.mark.parametrize(
    'argument', ['--num_ps_tasks=0', '--quantize_delay=-1', '--precision=fp32']
)
def test_refused_flags_may_be_given_with_their_defaults(argument):
    assert parsed(options.Training, argument) == parsed(options.Training)


@pytest.fixture
def of_training():
    """Flags of a training, apart from absl's own, which other tests of this process use."""
    known = absl_flags.FlagValues()
    flags.define(options.Training, known)
    return known


def test_unknown_flags_and_stray_words_are_usage_errors(of_training):
    with pytest.raises(errors.UsageError, match='Did you mean: optimizer'):
        app.parse_flags(['script', '--optimzer=sgd'], of_training)
    with pytest.raises(errors.UsageError, match="Unexpected argument 'sgd'"):
        app.parse_flags(['script', 'sgd'], of_training)


@pytest.mark.parametrize(
    ('argument', 'suggestion'),
    [
        ('--image_size=32', 'train_image_size'),
        ('--scopes=a', 'trainable_scopes'),
        ('--the_batch_size=3', 'batch_size'),
    ],
)
def test_a_flag_of_fewer_or_more_words_is_suggested(of_training, argument, suggestion):
    with pytest.raises(errors.UsageError, match=f'Did you mean: .*{suggestion}'):
        app.parse_flags(['script', argument], of_training)


def test_many_choices_are_listed_in_part():
    many = [f'network_number_{n}' for n in range(100)]
    listed = errors.did_you_mean('zebra', many)
    assert listed.startswith('Choose from: network_number_0, network_number_1, ')
    assert listed.endswith(', ....')
    assert len(listed) < 200
    assert errors.did_you_mean('zebra', ['a', 'b']) == 'Choose from: a, b.'
    assert len(str(errors.unknown_name('network', 'z' * 9000, ['y' * 9000]))) < 300


def test_a_flag_as_long_as_a_book_is_one_short_line(of_training):
    for argument in ('--' + 'a' * 100_000, '--optimizer=' + '7' * 4000, 'b' * 100_000):
        with pytest.raises(errors.UsageError) as refused:
            app.parse_flags(['script', argument], of_training)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ('failure', 'code'),
    [
        (errors.UsageError('no'), 2),
        (errors.CheckpointError('no'), 1),
        (errors.OutputError('no'), 1),
        (errors.DataError('no'), 3),
        (errors.NonFiniteLossError('no'), 4),
        (errors.DeviceError('no'), 5),
        (errors.DataError('a file named "\x1b[31m\n\u202e"'), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_expected_failures_are_one_line_and_an_exit_code(failure, code, capsys):
    def main():
        raise failure

    with pytest.raises(SystemExit) as stopped:
        app.run(main, ['/some/where/script.py'])
    assert stopped.value.code == code
    printed = capsys.readouterr().err
    assert printed.startswith('script.py: ')
    assert printed.count('\n') == 1
    assert printed[:-1].isprintable()


def test_the_exit_code_of_main_is_the_scripts():
    with pytest.raises(SystemExit) as stopped:
        app.run(lambda: 143, ['script'])
    assert stopped.value.code == 143


_GROUPS = (options.Training, options.Evaluation, options.Export, options.LaunchOptions)


def fields(group):
    for field, kind in flags._fields(group):
        yield from fields(kind) if dataclasses.is_dataclass(kind) else [(group, field)]


PATHS = {
    field.name: (group, field.metadata['path'])
    for top in _GROUPS
    for group, field in fields(top)
    if field.name.endswith(('_dir', '_path', '_file'))
}


@pytest.mark.parametrize('name', PATHS)
def test_every_path_may_begin_in_the_home_folder(name, monkeypatch):
    monkeypatch.setenv('HOME', '/home/me')
    group, _ = PATHS[name]
    assert getattr(parsed(group, f'--{name}=~/a b'), name) == '/home/me/a b'
    assert getattr(parsed(group, f'--{name}=a~/b'), name) == 'a~/b'
    for argument in ('~nobody-of-that-name/run', '\udcff'):
        with pytest.raises(absl_flags.IllegalFlagValueError):
            parsed(group, f'--{name}={argument}')


def test_what_is_written_is_known_and_cannot_be_empty():
    written = [name for name, (_, kind) in PATHS.items() if kind == 'written']
    assert sorted(written) == ['eval_dir', 'mpi_log_dir', 'output_file', 'report_dir', 'train_dir']
    for name in written:
        with pytest.raises(absl_flags.IllegalFlagValueError, match='must not be empty'):
            parsed(PATHS[name][0], f'--{name}=')


# Command lines at random: taken, or refused with one short line.

_VALUES = (
    '0', '1', '7', '-1', '2147483647', '2147483648', '1e9', '1e-320', '0.5', 'nan', '-inf', '1e999',
    '9' * 5000, '', ',', ' ', 'true', 'no', 'rmsprop', 'cosine', '30,60', '60,30', ',,1', '1,nan',
    'x' * 3000, 'a\nb', '\x1b[31m', '\x00', '\u202e', '\udcff', '\u0663', '{}', '%s', '../..', '~',
)  # fmt: skip


def _random_command_line(rng, names):
    for _ in range(rng.randrange(1, 4)):
        name = rng.choice(names)
        if rng.random() < 0.1:
            name = rng.choice((name[:-1], name + 's', 'no' + name, 'x' * 50, '', '-', '\x00', 'é'))
        value = rng.choice(_VALUES)
        yield rng.choice((f'--{name}={value}', f'--{name}', f'-{name}={value}', value))


def _try_at_random(rounds):
    rng = random.Random(13)
    outcomes = {'taken': 0, 'refused': 0}
    tables = {}
    for group in (options.Training, options.Evaluation, options.Export):
        tables[group] = absl_flags.FlagValues()
        flags.define(group, tables[group])
    for _ in range(rounds):
        group, values = rng.choice(list(tables.items()))
        try:
            app.parse_flags(['script', *_random_command_line(rng, list(values))], values)
            chosen = flags.read(group, values)
            if group is options.Training:
                length = schedules.run_length(chosen, 1000, 2)
                rate = schedules.schedule(chosen.schedule, length, 2).rate(5)
                assert not math.isnan(rate)
            outcomes['taken'] += 1
        except errors.SuiteError as error:
            line = errors.printable(str(error))
            assert len(line) < 300, line
            outcomes['refused'] += 1
        for name in values:
            values[name].value = values[name].default
            values[name].present = 0
    assert min(outcomes.values()) > rounds / 20, outcomes


@pytest.mark.slow
def test_random_command_lines_are_taken_or_refused_in_one_line():
    _try_at_random(2_000)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_more_random_command_lines():
    _try_at_random(10_000)
