"""Learning rates against the classic suite's numbers, in numpy and in the graph."""

import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from absl import flags as absl_flags

from runtime import flags, options
from runtime.training import schedules
from slim import errors

_CASES = json.loads((pathlib.Path(__file__).parents[2] / 'data' / 'optimization.json').read_text())
# The polynomial was computed in float32, ours is in float64.
_TOLERANCE = 1e-5


def made(num_samples=1000, batch_size=10, total_steps=1000, **flags):
    length = schedules.RunLength(total_steps, batch_size, num_samples)
    return schedules.schedule(options.ScheduleOptions(**flags), length)


def golden_cases():
    for case in _CASES['learning_rate']:
        flags = dict(case['flags'])
        # A step holds the batches of all workers; the classic flags said how many there are.
        workers = flags.pop('num_workers', 1) * flags.pop('replicas_to_aggregate', 1)
        flags.pop('sync_replicas', None)
        batch_size = flags.pop('batch_size', 96) * workers
        if 'raises' not in case and 'note' not in case:
            yield pytest.param(case, flags, batch_size, id=str(case['flags']))


@pytest.mark.parametrize(('case', 'flags', 'batch_size'), list(golden_cases()))
def test_rates_are_the_classic_ones(case, flags, batch_size):
    schedule = made(case['num_samples'], batch_size, **flags)
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = schedule.tensor(step)
        for number, expected in case['values']:
            assert schedule.rate(number) == pytest.approx(expected, rel=_TOLERANCE, abs=1e-12)
            assert session.run(rate, {step: number}) == pytest.approx(
                schedule.rate(number), rel=1e-6
            )


# The published run on four cards and its end on one, computed from their description.
_RECIPES = {
    'mobilenet_v3_large': (
        4,
        {
            0: 0,
            1: 7.5e-5,
            1_000: 0.075,
            2_000: 0.15,
            3_999: 0.299925,
            4_000: 0.29999179,
            100_000: 0.29489813,
            600_000: 0.15021461,
            900_000: 0.044161856,
            1_080_000: 0.0074613686,
            1_200_000: 6.141032e-7,
            1_201_094: 0,
        },
    ),
    'mobilenet_v3_large_finetune': (
        1,
        {
            1_080_000: 0.0037930892,
            1_100_000: 0.0026581936,
            1_150_000: 6.9391196e-4,
            1_200_599: 1.0280814e-6,
        },
    ),
}


@pytest.mark.parametrize('name', _RECIPES)
def test_recipes_have_the_published_rates(name):
    workers, rates = _RECIPES[name]
    values = absl_flags.FlagValues()
    flags.define(options.Training, values)
    path = pathlib.Path(__file__).parents[3] / 'recipes' / f'{name}.cfg'
    values(['train', f'--flagfile={path}'])
    chosen = flags.read(options.Training, values)
    length = schedules.run_length(chosen, 1_281_167, workers)
    schedule = schedules.schedule(chosen.schedule, length, workers)
    for step, rate in rates.items():
        # To a millionth of it, and where it is small to seven digits as they are printed.
        assert schedule.rate(step) == pytest.approx(rate, rel=1e-6, abs=1e-12), step
    assert length.images_per_step == {4: 1280, 1: 640}[workers]
    assert length.total_steps in (1_201_094, 1_200_600)


@pytest.mark.parametrize('kind', options.LEARNING_RATE_DECAY_TYPES)
def test_graph_and_numpy_agree(kind):
    schedule = made(learning_rate_decay_type=kind, warmup_epochs=1.5, decay_epochs='2,4')
    steps = np.arange(0, 1200, 37)
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = schedule.tensor(step)
        in_graph = [session.run(rate, {step: number}) for number in steps]
    np.testing.assert_allclose(in_graph, [schedule.rate(n) for n in steps], rtol=1e-6)


@pytest.mark.parametrize('kind', ['fixed', 'cosine', 'step'])
def test_warm_up_ends_exactly_at_the_target_rate(kind):
    schedule = made(learning_rate=0.3, learning_rate_decay_type=kind, warmup_epochs=5)
    assert schedule.rate(0) == 0.0
    assert schedule.rate(250) == pytest.approx(0.15)
    assert schedule.rate(499) < schedule.rate(500) == pytest.approx(0.3, rel=1e-7)


def test_cosine_falls_to_the_end_rate_at_the_last_step():
    schedule = made(learning_rate=1.0, end_learning_rate=0.1, learning_rate_decay_type='cosine')
    middle = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))
    assert [schedule.rate(n) for n in (0, 250, 500, 1000, 2000)] == pytest.approx(
        [1.0, middle, 0.55, 0.1, 0.1]
    )


def test_step_decay_multiplies_at_each_epoch():
    schedule = made(
        learning_rate=1.0,
        learning_rate_decay_type='step',
        learning_rate_decay_factor=0.1,
        decay_epochs='2, 3.5',
    )
    assert [schedule.rate(n) for n in (0, 199, 200, 349, 350, 900)] == pytest.approx(
        [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    )


def test_a_set_smaller_than_a_decay_period_has_finite_rates():
    schedule = made(num_samples=30, batch_size=96)
    rates = [schedule.rate(n) for n in range(5)]
    assert rates == pytest.approx([0.045 * 0.98**n for n in range(5)])


@pytest.mark.parametrize('epochs', ['', 'a,b', '5,3', '0,2', '1,inf', 'nan'])
def test_decay_epochs_that_are_no_rising_numbers(epochs):
    with pytest.raises(errors.UsageError, match='decay_epochs'):
        made(learning_rate_decay_type='step', decay_epochs=epochs)


def test_unknown_decay_type():
    with pytest.raises(ValueError, match=r'\[bogus\] was not recognized'):
        made(learning_rate_decay_type='bogus')


@pytest.mark.parametrize(('scaling', 'factor'), [('linear', 4), ('sqrt', 2), ('none', 1)])
def test_the_rate_scales_with_the_workers_and_the_warm_up_ends_at_the_scaled_rate(scaling, factor):
    flags = options.ScheduleOptions(
        learning_rate=0.1, learning_rate_decay_type='fixed', warmup_epochs=5, lr_scaling=scaling
    )
    # Four workers of 10 images: an epoch of 1,000 images is 25 steps, the climb 125.
    length = schedules.RunLength(1000, images_per_step=40, images_per_epoch=1000)
    schedule = schedules.schedule(flags, length, workers=4)
    rates = [schedule.rate(step) for step in (0, 25, 124, 125, 500)]
    top = 0.1 * factor
    assert rates == pytest.approx([0, 0.2 * top, 0.992 * top, top, top], rel=1e-6)


def test_decay_follows_the_images_of_all_workers():
    flags = options.ScheduleOptions(learning_rate=1.0, num_epochs_per_decay=2, lr_scaling='none')
    one = schedules.schedule(flags, schedules.RunLength(1000, 10, 1000), workers=1)
    four = schedules.schedule(flags, schedules.RunLength(250, 40, 1000), workers=4)
    assert [four.rate(step) for step in (0, 49, 50, 249)] == [
        one.rate(step) for step in (0, 199, 200, 999)
    ]
