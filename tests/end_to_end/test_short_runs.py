"""Fine-tuning with the statistics of the checkpoint, and short runs with statistics anew."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from processes import TRAINED

SCRIPT = 'train_image_classifier.py'


def variables(folder):
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(folder)))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.once
@pytest.mark.slow
def test_frozen_statistics_are_the_checkpoints_and_the_rest_learns(
    script, digits, trained, tmp_path
):
    flags = [f'--dataset_dir={digits}', *TRAINED, '--max_number_of_steps=2', '--freeze_batch_norm']
    refused = script(SCRIPT, *flags, f'--train_dir={tmp_path / "fresh"}', code=2)
    assert 'name it by --checkpoint_path' in refused.stderr
    out = script(
        SCRIPT, *flags, f'--train_dir={tmp_path / "run"}', f'--checkpoint_path={trained}'
    ).stdout
    assert 'steps are few' not in out
    before, after = variables(trained), variables(tmp_path / 'run')
    for name, value in after.items():
        if name.endswith(('/moving_mean', '/moving_variance')):
            np.testing.assert_array_equal(value, before[name], err_msg=name)
            average = after[f'{name}/ExponentialMovingAverage']
            np.testing.assert_array_equal(average, value, err_msg=name)
        elif name.endswith('/weights'):
            assert not np.array_equal(value, before[name]), name


@pytest.mark.slow
@pytest.mark.once
def test_statistics_anew_do_not_depend_on_stops_and_leave_the_weights_alone(
    script, digits, trained, tmp_path, exhaustive
):
    def train(folder, steps):
        return script(
            SCRIPT,
            f'--dataset_dir={digits}',
            f'--train_dir={tmp_path / folder}',
            *TRAINED,
            f'--max_number_of_steps={steps}',
            '--recalibrate_batch_norm=3',
        ).stdout

    out = train('whole', 6)
    assert 'statistics of batch norm computed anew over 3 batches' in out
    assert 'steps are few' not in out
    whole, usual = variables(tmp_path / 'whole'), variables(trained)
    assert whole.keys() == usual.keys()
    for name, value in whole.items():
        assert np.array_equal(usual[name], value) != ('/moving_' in name), name
    # Without, test_accumulate.py has a run that is stopped and computes its statistics anew.
    if exhaustive:
        train('parts', 4)
        train('parts', 6)
        for name, value in variables(tmp_path / 'parts').items():
            np.testing.assert_array_equal(whole[name], value, err_msg=name)
