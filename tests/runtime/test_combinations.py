"""Flags of a training that contradict each other are one line."""

import pytest

from runtime.options import combinations
from slim import errors

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ('flags', 'said'),
    [
        ({'use_horovod': True, 'num_clones': 2}, '--num_clones with --use_horovod'),
        ({'use_horovod': True, 'steps_per_run': 2}, '--steps_per_run with --use_horovod'),
        ({'accumulate_steps': 2, 'steps_per_run': 2}, '--accumulate_steps with --steps_per_run'),
        (
            {'accumulate_steps': 2, 'cross_replica_batch_norm': True},
            '--accumulate_steps with --cross_replica_batch_norm',
        ),
        ({'save_histograms': True, 'steps_per_run': 2}, '--save_histograms with --steps_per_run'),
        (
            {'save_histograms': True, 'accumulate_steps': 2},
            '--save_histograms with --accumulate_steps',
        ),
        (
            {'freeze_batch_norm': True, 'recalibrate_batch_norm': 5},
            '--freeze_batch_norm keeps .* --recalibrate_batch_norm',
        ),
        (
            {'freeze_batch_norm': True, 'cross_replica_batch_norm': True},
            '--freeze_batch_norm .* --cross_replica_batch_norm',
        ),
    ],
)
def test_contradictions(train_flags, flags, said):
    combinations.check(train_flags())
    for flag in flags:  # Each of them alone is right.
        combinations.check(train_flags(**{flag: flags[flag]}))
    with pytest.raises(errors.UsageError, match=said):
        combinations.check(train_flags(**flags))
