"""Validation between the steps of a run, the best checkpoint, and what follows from them."""

import json
import re
import subprocess
import sys

import numpy as np
import processes
import pytest
import tensorflow as tf

VALIDATED = ['--eval_split_name=validation', '--eval_every_steps=2', '--keep_best=loss']


def rows(folder):
    found = [json.loads(line) for line in (folder / 'metrics.jsonl').open()]
    return [row for row in found if row.get('kind') == 'validation']


@pytest.mark.slow
@pytest.mark.once
def test_validations_change_no_bit_and_say_what_the_evaluation_says(
    script, digits, trained, tmp_path
):
    def train(*flags):
        return script(
            'train_image_classifier.py',
            f'--dataset_dir={digits}',
            f'--train_dir={tmp_path / "run"}',
            *processes.TRAINED,
            *VALIDATED,
            *flags,
        ).stdout

    out = train('--early_stop_patience=100', '--steps_per_run=3')
    assert 'validation: 360 images of split validation, every 2 steps' in out
    assert re.findall(r'^validation at step (\d)', out, re.M) == ['2', '4', '6']
    plain, validated = (tf.train.load_checkpoint(str(path)) for path in (trained, tmp_path / 'run'))
    names = plain.get_variable_to_shape_map()
    assert names == validated.get_variable_to_shape_map()
    for name in names:
        found, expected = validated.get_tensor(name), plain.get_tensor(name)
        np.testing.assert_array_equal(found, expected, err_msg=name)

    best = json.loads((tmp_path / 'run' / 'best.json').read_text())
    script(
        'eval_image_classifier.py',
        f'--dataset_dir={digits}',
        f'--checkpoint_path={tmp_path / "run" / "best"}',
        *('--eval_interval_secs=1', '--timeout_secs=1'),  # Once, as without them.
        f'--eval_dir={tmp_path / "eval"}',
        '--batch_size=16',
    )
    alone = json.loads((tmp_path / 'eval' / 'eval_results.json').read_text())
    (row,) = (row for row in rows(tmp_path / 'run') if row['step'] == best['step'])
    assert (alone['step'], alone['loss']) == (best['step'], best['value'])
    told = (row['images'], row['Accuracy'], row['Recall_5'], row['loss'])
    assert told == (alone['images'], alone['accuracy'], alone['recall_5'], alone['loss'])

    ended = train('--max_number_of_steps=9', '--stop_threshold=1000')
    assert re.search(r'is at step 6: the run has ended: loss .* --stop_threshold=1000', ended)


def test_flags_that_do_not_go_together_are_told_first(script, digits, tmp_path):
    flags = [f'--dataset_dir={digits}', f'--train_dir={tmp_path / "run"}', *processes.PLAIN]
    refused = script('train_image_classifier.py', *flags, '--keep_best=loss', code=2)
    assert '--keep_best=loss has no effect without validations' in refused.stderr
    refused = script('train_image_classifier.py', *flags, '--keep_best=accuracy', code=2)
    assert 'Accuracy' in refused.stderr
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
@pytest.mark.once
def test_two_workers_share_a_validation_and_stop_together(cache, digits, tmp_path):
    pytest.importorskip('horovod', reason='Horovod is not installed; make horovod builds it')
    command = [
        *processes.mpirun(2),
        sys.executable,
        str(processes.ROOT / 'train_image_classifier.py'),
        '--use_horovod',
        f'--dataset_dir={digits}',
        f'--train_dir={tmp_path}',
        '--max_number_of_steps=100',
        '--train_image_size=32',
        *processes.PLAIN,
        *VALIDATED,
        '--stop_threshold=1000',
    ]
    finished = subprocess.run(
        command,
        env=processes.worker_environment(cache),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.count('validation at step 2') == 1
    assert 'stopping after step 2: loss' in finished.stdout
    (row,) = rows(tmp_path)
    assert row['images'] == 360
    assert (tmp_path / 'best' / 'model.ckpt-2.index').exists()
