"""A detector from generated scenes to average precision, as a user runs it."""

from __future__ import annotations

import json
import re

import numpy as np
import processes
import pytest
import tensorflow.compat.v1 as tf

TRAIN, EVALUATE = 'train_object_detector.py', 'eval_object_detector.py'


@pytest.mark.slow
def test_scenes_are_learned_resumed_and_scored(script, detector, tmp_path):
    run = tmp_path / 'run'
    assert f'saved {detector}/run/model.ckpt-2' in (detector / 'stdout').read_text()
    processes.copy_of_run(detector / 'run', run)
    common = processes.detector_flags(detector)
    resumed = ('--batch_norm_decay=0.5', f'--train_dir={run}', '--max_number_of_steps=4')
    assert f'saved {run}/model.ckpt-4' in script(TRAIN, *common, *resumed).stdout
    held = dict(tf.train.list_variables(str(run)))
    assert held['MobileNet/conv_predict/weights'] == [3, 3, 256, 72]
    # Momentum, as SqueezeDet has it.
    assert 'MobileNet/conv_predict/weights/Momentum' in held
    bias = tf.train.load_variable(str(run), 'MobileNet/conv_predict/biases')
    assert np.abs(bias).max() > 0
    # Frame and width are those of the training.
    data = ('--dataset_name=scenes', f'--dataset_dir={detector / "scenes"}', '--device=cpu')
    evaluate = (EVALUATE, *data, '--batch_size=2', f'--checkpoint_path={run}')
    shown = script(*evaluate, f'--eval_dir={run}/eval').stdout
    assert 'images: 3/3' in shown
    assert 'kitti/car/moderate/ap40: ' in shown
    result = json.loads((run / 'eval' / 'eval_results.json').read_text())
    assert result['step'] == 4
    assert 0 <= result['voc/mean/area'] <= 1
    page = (run / 'eval' / 'pictures.html').read_text()
    assert page.count('<figure>') == 3
    truths = [re.search(r'(\d+) objects', line) for line in page.splitlines()]
    assert sum(int(found[1]) for found in truths if found) > 0
    files = sorted((run / 'eval' / 'data').glob('*.txt'))
    assert len(files) == 3
    lines = [line.split() for file in files for line in file.read_text().splitlines()]
    assert lines
    for fields in lines:
        assert len(fields) == 16
        assert fields[0] in ('Car', 'Pedestrian', 'Cyclist')
    # A network of other width is not that of the checkpoint.
    other = (*evaluate, '--image_height=64', '--image_width=160', '--width_multiplier=0.5')
    refused = script(*other, '--ignore_sidecar', code=1)
    assert len(refused.stderr.splitlines()) == 1
    refused = script(*other, code=2)
    assert '--width_multiplier=0.5, but the checkpoint was trained with 0.25' in refused.stderr
