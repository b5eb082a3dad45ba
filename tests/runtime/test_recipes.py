"""The flag files under recipes/, read by the flags of the training script."""

import pathlib
import re

import pytest
from absl import flags as absl_flags

import demo_mobilenetv2
from runtime import app, flags, options
from runtime.training import schedules

pytestmark = pytest.mark.once

FOLDER = pathlib.Path(__file__).parents[2] / 'recipes'
RECIPES = sorted(FOLDER.glob('*.cfg'))
IMAGENET, DIGITS = 1_281_167, 1_437


def parse(path, *more):
    """The flags of a recipe, and the names of those that it gives."""
    known = absl_flags.FlagValues()
    absl_flags.DEFINE_string('flagfile', '', 'file of flags', flag_values=known)
    flags.define(options.Training, known)
    app.parse_flags(['train_image_classifier.py', f'--flagfile={path}', *more], known)
    return flags.read(options.Training, known), flags.given(known)


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read_by_the_flags_and_says_where_it_is_from(path):
    chosen, given = parse(path)
    assert chosen.network.model_name == given['model_name']
    head = path.read_text().split('\n--')[0]
    for word in ('Source: ', 'Published: ', 'Measured here: '):
        assert re.search(rf'^# {word}\S', head, re.MULTILINE), word
    assert f'--flagfile=recipes/{path.name}' in head
    for path_flag in ('dataset_dir', 'train_dir', 'checkpoint_path'):
        assert path_flag not in given
    changed, _ = parse(path, '--batch_size=7')
    assert changed.input.batch_size == 7


# Recipe: images of an epoch, and rates at steps.
RATES = {
    'mobilenet_v2': (IMAGENET, {0: 0.045, 33_000: 0.045, 33_400: 0.0441, 4_003_800: 0.00398}),
    'mobilenet_v2_8_workers': (IMAGENET, {0: 0.36, 4_175: 0.3528, 500_475: 0.0319}),
    'mobilenet_v1': (IMAGENET, {0: 0.045, 50_050: 0.0423, 2_001_800: 0.00379}),
    'resnet_v1_50': (
        IMAGENET,
        {0: 0.1, 150_000: 0.1, 150_200: 0.01, 300_300: 0.001, 400_400: 1e-4, 450_410: 1e-4},
    ),
    'finetune': (3_320, {0: 0.01, 1000: 0.01}),
    'digits': (DIGITS, {0: 0.0, 56: 0.00498, 112: 0.00998, 1000: 0.00551, 2000: 1e-4}),
}


@pytest.mark.parametrize('name', RATES)
def test_the_rates_of_a_recipe(name):
    images, rates = RATES[name]
    chosen, _ = parse(FOLDER / f'{name}.cfg')
    workers = chosen.workers.num_workers
    length = schedules.run_length(chosen, images, workers)
    schedule = schedules.schedule(chosen.schedule, length, workers)
    for step, rate in rates.items():
        assert schedule.rate(step) == pytest.approx(rate, rel=5e-3), step


@pytest.mark.parametrize(
    ('name', 'recipe'),
    [
        ('mobilenet_v2', demo_mobilenetv2.PUBLISHED_RECIPE),
        ('mobilenet_v2_8_workers', demo_mobilenetv2.PUBLISHED_RECIPE),
        ('digits', demo_mobilenetv2.SAMPLE_RECIPE),
    ],
)
def test_the_launcher_has_the_same_recipe(name, recipe):
    _, given = parse(FOLDER / f'{name}.cfg')
    of_training = flags.names(options.Training)
    expected = {flag: value for flag, value in recipe.items() if flag in of_training}
    assert {flag: given.get(flag) for flag in expected} == expected


def test_a_misspelt_flag_is_seen(tmp_path):
    path = tmp_path / 'mine.cfg'
    path.write_text('# Source: me\n--model_name=lenet\n--bach_size=3\n')
    with pytest.raises(ValueError, match=r"'bach_size'.*batch_size"):
        parse(path)
