"""KITTI's object detection benchmark: cars, pedestrians and cyclists in 7,481 pictures of streets.

A. Geiger, P. Lenz, R. Urtasun, "Are we ready for Autonomous Driving? The KITTI Vision Benchmark
Suite", CVPR 2012. Records are PNG files in `train_000.tfrecord` and its sisters; boxes are in
pixels of the picture.
"""

from __future__ import annotations

from datasets import detection_set
from datasets.detection_set import DetectionSet, ObjectRecords
from datasets.records.description import Description, Split
from datasets.records.kitti_labels import CLASSES

FILE_PATTERN = '%s_*.tfrecord'
# Of a split of the 7,481 pictures in halves; a set that was written here says its own sizes.
SPLITS_TO_SIZES = {'train': 3740, 'val': 3741}
PUBLISHED = Description(
    name='kitti',
    num_classes=len(CLASSES),
    has_background=False,
    splits={name: Split(size) for name, size in SPLITS_TO_SIZES.items()},
    label_names=CLASSES,
)


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> DetectionSet:
    """Describes a split of the records, 'train' or 'val' by custom."""
    records = ObjectRecords(PUBLISHED, FILE_PATTERN)
    return detection_set.get_split(records, split_name, dataset_dir, file_pattern, reader)
