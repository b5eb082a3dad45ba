"""The generated sample of street scenes, in the form of KITTI; see `conversion/scenes.py`."""

from __future__ import annotations

from datasets import detection_set, kitti
from datasets.detection_set import DetectionSet, ObjectRecords


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> DetectionSet:
    """Describes the split 'train' or 'val' of the records; their dataset.json says the sizes."""
    records = ObjectRecords(None, kitti.FILE_PATTERN)
    return detection_set.get_split(records, split_name, dataset_dir, file_pattern, reader)
