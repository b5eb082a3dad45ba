"""Pascal VOC 2007 and 2012: objects of 20 classes in photographs.

M. Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010. Records are
JPEG files in `trainval_000.tfrecord` and its sisters; boxes are parts of the picture's sides. Label
0 stands for none of the classes and occurs in no record.
"""

from __future__ import annotations

from datasets import detection_set
from datasets.detection_set import DetectionSet, ObjectRecords
from datasets.records import voc_annotations
from datasets.records.description import Description, Split

FILE_PATTERN = '%s_*.tfrecord'
BACKGROUND_NAME = 'none'
# Of the years 2007 and 2012 together.
SPLITS_TO_SIZES = {'train': 8218, 'val': 8333, 'trainval': 16551, 'test': 4952}
PUBLISHED = Description(
    name='pascalvoc',
    num_classes=1 + len(voc_annotations.CLASSES),
    has_background=True,
    splits={name: Split(size) for name, size in SPLITS_TO_SIZES.items()},
    label_names=(BACKGROUND_NAME, *voc_annotations.CLASSES),
)


def get_split(
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> DetectionSet:
    """Describes a split of the records."""
    records = ObjectRecords(PUBLISHED, FILE_PATTERN, relative=True)
    return detection_set.get_split(records, split_name, dataset_dir, file_pattern, reader)
