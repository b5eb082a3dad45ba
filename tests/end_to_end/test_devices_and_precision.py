"""Devices and precision through the scripts: bf16 on the CPU, checkpoints, the doctor."""

import json

import numpy as np
import processes
import pytest
import tensorflow as tf


@pytest.mark.slow
def test_precision_may_change_on_resume_and_checkpoints_stay_float32(
    script, digits, trained, tmp_path
):
    folder = tmp_path / 'run'
    processes.copy_of_run(trained, folder)
    assert '), fp32' in (trained / 'stdout').read_text()

    def train(dtype, steps):
        return script(
            'train_image_classifier.py',
            f'--dataset_dir={digits}',
            f'--train_dir={folder}',
            f'--max_number_of_steps={steps}',
            f'--dtype={dtype}',
            '--train_image_size=32',
            *processes.SMALL,
            fresh=dtype == 'bf16',
        ).stdout

    for dtype, steps in (('bf16', 8), ('fp32', 9)):
        assert f'), {dtype}' in train(dtype, steps)
    types = {}
    for step in (6, 8, 9):
        reader = tf.train.load_checkpoint(str(folder / f'model.ckpt-{step}'))
        types[step] = reader.get_variable_to_dtype_map()
        assert set(types[step].values()) == {tf.float32, tf.int64}
        for name in types[step]:
            assert np.isfinite(reader.get_tensor(name)).all(), name
    assert types[6] == types[8] == types[9]

    shown = script(
        'eval_image_classifier.py',
        f'--dataset_dir={digits}',
        f'--checkpoint_path={folder}',
        f'--eval_dir={tmp_path / "eval"}',
        '--dtype=bf16',
        '--eval_image_size=32',
        *processes.SMALL,
    ).stdout
    assert 'images: 360/360' in shown
    assert json.loads((tmp_path / 'eval' / 'eval_results.json').read_text())['step'] == 9


@pytest.mark.slow
def test_the_doctor_says_what_is_missing_and_what_mends_it(script):
    shown = script('doctor.py', '--device=cpu', fresh=True).stdout
    assert '--device=cpu can train here' in shown
    assert 'repaired' in shown
    assert 'ok image operation built' in ' '.join(shown.split())
    shown = script('doctor.py', '--device=hpu', code=1).stdout
    assert 'no Gaudi card' in shown
    assert 'pip install ".[gaudi]"' in shown
    assert '--device=hpu cannot train here' in shown
