"""The generated sample of street scenes as records."""

from __future__ import annotations

import os

from datasets import kitti
from datasets.conversion import detection_writer, kitti_folders, resumable, scenes
from datasets.conversion.conversion import Conversion, Settings
from datasets.conversion.detection_writer import LabelForm
from datasets.conversion.progress_bar import Progress
from datasets.conversion.set_writer import Workplace
from datasets.records import description
from datasets.records.description import Description

NAME = 'scenes'


def convert(found: object, place: Workplace, settings: Settings, progress: Progress) -> Description:
    """Draws the scenes and writes the splits 'train' and 'val'."""
    del found
    numbers = {'train': settings.scenes_train, 'val': settings.scenes_val}
    progress(
        f'drawing {sum(numbers.values())} scenes of {settings.scene_width}x{settings.scene_height} '
        'pixels'
    )
    scenes.write(
        place.unpacked, numbers, settings.scene_height, settings.scene_width, settings.scene_seed
    )
    converted = detection_writer.convert(
        NAME,
        place.unpacked,
        place.records,
        {split: kitti_folders.read_split(place.unpacked, split) for split in numbers},
        LabelForm(detection_writer.label_map(kitti.CLASSES)),
        kitti.CLASSES,
        progress=progress,
    )
    # The first is written when all records are in their place; the second names files that go.
    for name in (description.FILE_NAME, resumable.REPORT):
        os.unlink(os.path.join(place.records, name))
    return converted.description


CONVERSION = Conversion(
    NAME,
    find=lambda source_dir: None,
    convert=convert,
    file_patterns=tuple(kitti.FILE_PATTERN % split for split in ('train', 'val')),
    settings=('scenes_train', 'scenes_val', 'scene_height', 'scene_width', 'scene_seed'),
    generated=True,
)
