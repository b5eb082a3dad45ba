"""What the flags of a detector's training name."""

import dataclasses
import json

import pytest

from datasets.records import framing
from runtime import detection_lookup, options
from runtime.options import detection
from slim.errors import DataError

pytestmark = pytest.mark.once


@pytest.fixture
def flags(tmp_path):
    """Of a training on a set of one record."""
    splits = {'train': {'num_samples': 1, 'num_shards': 1, 'max_boxes': 1}}
    about = {'name': 'kitti', 'num_classes': 3, 'has_background': False, 'splits': splits}
    (tmp_path / 'dataset.json').write_text(json.dumps(about))
    with (tmp_path / 'train_000.tfrecord').open('wb') as file:
        framing.write_record(file, b'')
    return options.DetectionTraining(
        detection.DetectionDatasetOptions(dataset_dir=str(tmp_path)),
        detection.DetectionTrainingInputOptions(),
        detection.DetectorTrainingOptions(weight_decay=0.25),
        detection.DetectionScheduleOptions(),
        detection.DetectionOptimizerOptions(),
        detection.DetectionAverageOptions(),
        options.FineTuningOptions(),
        detection.DetectionRunOptions(),
        options.CloneOptions(),
        options.ClusterOptions(),
        options.DeviceOptions(),
    )


@pytest.mark.parametrize(('optimizer', 'in_the_loss'), [('momentum', 0.25), ('lars', 0.0)])
def test_weights_decay_once(flags, monkeypatch, optimizer, in_the_loss):
    given = {}
    monkeypatch.setattr(
        detection_lookup.detectors, 'get_detector_fn', lambda *_, **how: given.update(how)
    )
    detection_lookup.for_training(
        dataclasses.replace(flags, optimizer=detection.DetectionOptimizerOptions(optimizer))
    )
    assert given['weight_decay'] == in_the_loss


def test_a_split_without_pictures_is_refused(flags, tmp_path):
    (tmp_path / 'train_000.tfrecord').write_bytes(b'')
    with pytest.raises(DataError, match='dataset_split_name=train: the split holds no pictures'):
        detection_lookup.for_training(flags)
