"""When validations are due, and when a run is over."""

import pytest

from runtime import options
from runtime.checkpoints import best
from runtime.training import schedules, validation

pytestmark = pytest.mark.once


def made(total=20, held=None, **asked):
    length = schedules.RunLength(total, images_per_step=32, images_per_epoch=100)
    return validation.Validation(options.ValidationOptions(**asked), length, None, held)


@pytest.mark.parametrize(
    ('asked', 'steps'),
    [
        ({'eval_every_steps': 7}, [7, 14, 20]),
        ({'eval_every_steps': 100}, [20]),
        # 3.125 steps each: those in which an epoch becomes whole.
        ({'eval_every_epochs': 1.0}, [4, 7, 10, 13, 16, 19, 20]),
        ({'eval_every_epochs': 0.8}, [3, 5, 8, 10, 13, 15, 18, 20]),
        ({'eval_every_epochs': 0.01}, list(range(1, 21))),
    ],
)
def test_when_it_is_due(asked, steps):
    made_so = made(**asked)
    assert [step for step in range(21) if made_so.due(step)] == steps
    for step in range(20):
        assert made_so.next_due(step) == min(due for due in steps if due > step)


def test_what_a_resumed_run_has_missed():
    held = best.Best('Accuracy', 0.5, 5, 1.0, None, since=(10,))
    assert [step for step in range(21) if made(eval_every_steps=5).missed(step)] == [5, 10, 15, 20]
    assert [s for s in range(21) if made(eval_every_steps=5, held=held).missed(s)] == [15, 20]


def test_what_is_left_of_a_run():
    length = schedules.RunLength(20, 32, 100)
    asked = options.ValidationOptions(eval_every_steps=5, early_stop_patience=2)

    def nothing_left(step, since=(), asked=asked):
        held = best.Best('Accuracy', 0.5, 5, 1.0, None, since)
        return validation.nothing_left(asked, length, step, held)

    assert not nothing_left(15, (10,))
    assert nothing_left(15, (10, 15))
    assert not nothing_left(20, (10,)) and nothing_left(20, (10,), options.ValidationOptions())
    assert nothing_left(20, (20,)) and nothing_left(21)
    assert not validation.nothing_left(asked, length, 20, None)
