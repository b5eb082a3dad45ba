"""KITTI's or Pascal VOC's folders to records, by the name of the set."""

from __future__ import annotations

import os
from collections.abc import Sequence

from datasets.conversion import detection_writer, kitti_folders, voc_folders
from datasets.conversion.detection_writer import LabelForm
from datasets.conversion.progress_bar import Progress, tell
from datasets.conversion.resumable import Converted
from datasets.records import kitti_labels, record_files, voc_annotations
from slim.errors import DataError, UsageError

_VOC_BACKGROUND = 'none'


def convert(
    name: str,
    dataset_root: str,
    output_dir: str,
    splits: Sequence[str],
    *,
    year: str = '0712',
    classes: Sequence[str] = kitti_labels.CLASSES,
    skip_bad: bool = False,
    num_workers: int = 1,
    progress: Progress = tell,
) -> Converted:
    """Writes the splits of 'kitti' or 'pascalvoc'; see `detection_writer.convert`.

    `year` is for Pascal VOC ('2007', '2012' or '0712'), `classes` for KITTI. Raises UsageError,
    DataError or OutputError before a file is written, if that can be known.
    """
    if not os.path.isdir(dataset_root):
        raise DataError(f'There is no folder {dataset_root!r}. Give it with --dataset_root.')
    for split in splits:
        if not split.replace('_', '').replace('-', '').isalnum() or list(splits).count(split) > 1:
            raise UsageError(f'--split={",".join(splits)}: {split!r} is no name of one split')
    if name == 'kitti':
        root = kitti_folders.find_root(dataset_root)
        images = {split: kitti_folders.read_split(root, split, skip_bad) for split in splits}
        form = LabelForm(detection_writer.label_map(classes))
        label_names: tuple[str, ...] = tuple(classes)
    else:
        images = {
            split: voc_folders.read_split(dataset_root, year, split, skip_bad) for split in splits
        }
        form = LabelForm(detection_writer.label_map(voc_annotations.CLASSES, first=1), is_voc=True)
        label_names = (_VOC_BACKGROUND, *voc_annotations.CLASSES)
    converted = detection_writer.convert(
        name,
        dataset_root,
        output_dir,
        images,
        form,
        label_names,
        skip_bad=skip_bad,
        num_workers=num_workers,
        progress=progress,
    )
    for split_name, written in converted.splits.items():
        if written.reencoded:
            progress(
                f'{split_name}: {len(written.reencoded)} pictures were not RGB or gray PNG or JPEG '
                f'and were encoded anew: {record_files.listed(written.reencoded)}'
            )
        for skipped in written.skipped:
            progress(f'{split_name}: left out: {skipped.path}: {skipped.reason}')
    return converted
