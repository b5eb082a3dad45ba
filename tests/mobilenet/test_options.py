"""The trainer's flags: names and defaults of the first release, and the digits' recipe."""

import types

import pytest
from absl import flags as absl_flags

from mobilenet import mobilenet_trainer
from mobilenet.configs import dataset as dataset_configs
from mobilenet.configs import defaults
from mobilenet.training import options
from runtime import app, flags
from runtime import options as runtime_options
from slim import errors

pytestmark = pytest.mark.once

DEFAULTS = {
    'model_name': 'mobilenet_v1',
    'dataset_name': 'imagenette',
    'model_dir': './tmp',
    'data_dir': None,
    'resume_checkpoint': False,
    'optimizer_name': 'rmsprop',
    'learning_scheduler_name': 'exponential',
    'op_momentum': 0.9,
    'op_decay_rate': 0.9,
    'lr': 0.008,
    'lr_decay_rate': 0.97,
    'lr_decay_epochs': 2.4,
    'label_smoothing': 0.0,
    'ma_decay_rate': None,
    'dropout_rate': 0.2,
    'std_weight_decay': 4e-5,
    'truncated_normal_stddev': 0.09,
    'batch_norm_decay': 0.9997,
    'batch_size': 4,
    'epochs': 5,
}


def chosen(*arguments):
    """The options of a command line, by name, and what counts as given."""
    known = absl_flags.FlagValues()
    flags.define(options.Trainer, known)
    app.parse_flags(['trainer', *arguments], known)
    settled, given = mobilenet_trainer._chosen(known)
    return runtime_options.values(settled), given


def test_flags_and_defaults():
    values, given = chosen('--data_dir=/data/x')
    assert {name: values[name] for name in DEFAULTS} == {**DEFAULTS, 'data_dir': '/data/x'}
    assert given == {'data_dir'}
    assert defaults.LR_CONFIG_DEFAULT == {
        'initial_lr': 0.008,
        'decay_epochs': 2.4,
        'decay_rate': 0.97,
        'warmup_epochs': 5,
        'staircase': True,
    }
    assert (defaults.LR_NAME_DEFAULT, defaults.OP_NAME_DEFAULT) == ('exponential', 'rmsprop')
    assert defaults.OP_CONFIG_DEFAULT['epsilon'] == 0.002


def test_the_digits_have_a_recipe_for_what_is_not_given():
    recipe = dataset_configs.DIGITS_RECIPE
    values, given = chosen()
    assert values == {
        **runtime_options.values(options.default()),
        **recipe,
        'dataset_name': 'digits',
    }
    assert {'lr', 'dataset_name', 'width_multiplier'} <= given
    values, _ = chosen('--dataset_name=digits', '--epochs=3', '--model_name=mobilenet_v2')
    assert (values['epochs'], values['model_name']) == (3, 'mobilenet_v2')
    assert values['lr'] == recipe['lr']
    # The rate goes with its schedule.
    values, _ = chosen('--learning_scheduler_name=exponential')
    assert values['lr'] == 0.008
    values, _ = chosen('--dataset_name=imagenette')
    assert values == {**runtime_options.values(options.default())}


def test_any_object_with_some_of_the_flags_will_do():
    params = types.SimpleNamespace(dataset_name='imagenette', lr=0.1, unknown=3)
    settled, given = mobilenet_trainer._chosen(params)
    assert given == {'dataset_name', 'lr'} and settled.classic.lr == 0.1
    rates = mobilenet_trainer._rate_params(settled, given)
    assert rates['base_lr'] == rates['initial_lr'] == 0.1
    assert 'base_lr' not in mobilenet_trainer._rate_params(settled, set())


@pytest.mark.parametrize('word', ['--lr=0', '--batch_size=0', '--width_multiplier=-1'])
def test_limits(word):
    with pytest.raises(errors.UsageError, match=r'must be'):
        chosen(word)
