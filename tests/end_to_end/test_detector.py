"""A detector from generated scenes to average precision, as a user runs it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

TRAIN, EVALUATE = 'train_object_detector.py', 'eval_object_detector.py'
_FRAME = ('--image_height=64', '--image_width=160', '--width_multiplier=0.25', '--batch_size=2')


@pytest.mark.slow
def test_scenes_are_learned_resumed_and_scored(script, tmp_path):
    data, run = tmp_path / 'scenes', tmp_path / 'run'
    script(
        'download_and_convert_data.py',
        *('--dataset_name=scenes', f'--dataset_dir={data}', '--scenes_train=4', '--scenes_val=3'),
        *('--scene_height=64', '--scene_width=160'),
    )
    common = ('--dataset_name=scenes', f'--dataset_dir={data}', '--device=cpu', *_FRAME)
    for steps in (2, 4):
        shown = script(
            TRAIN, *common, f'--train_dir={run}', f'--max_number_of_steps={steps}'
        ).stdout
        assert f'saved {run}/model.ckpt-{steps}' in shown
    held = dict(tf.train.list_variables(str(run)))
    assert held['MobileNet/conv_predict/weights'] == [3, 3, 256, 72]
    # Momentum, as SqueezeDet has it.
    assert 'MobileNet/conv_predict/weights/Momentum' in held
    bias = tf.train.load_variable(str(run), 'MobileNet/conv_predict/biases')
    assert np.abs(bias).max() > 0
    shown = script(EVALUATE, *common, f'--checkpoint_path={run}', f'--eval_dir={run}/eval').stdout
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
    other = (EVALUATE, *common[:-2], '--width_multiplier=0.5', f'--checkpoint_path={run}')
    refused = script(*other, '--ignore_sidecar', code=1)
    assert len(refused.stderr.splitlines()) == 1
    refused = script(*other, code=2)
    assert '--width_multiplier=0.5, but the checkpoint was trained with 0.25' in refused.stderr
