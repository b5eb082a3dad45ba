"""Turns KITTI or Pascal VOC into TFRecords for the object detector.

  python3 tools/tf_convert_data.py --dataset_name=kitti --dataset_root=/data/kitti \\
      --split=train,val --output_dir=/data/kitti_records
  python3 tools/tf_convert_data.py --dataset_root=/data/VOCdevkit --year=0712 --split=trainval \\
      --output_dir=/data/voc_records

KITTI: --dataset_root holds training/image_2, training/label_2 and ImageSets/SPLIT.txt, itself or in
KITTI/ or data/KITTI/; tools/kitti_random_split_train_val.py writes the lists. Pascal VOC: it holds
VOC2007/ or VOC2012/, itself or in VOCdevkit/. --output_dir gets SPLIT_000.tfrecord ... and, last of
all, dataset.json. After an interruption the same command goes on where it was.

Exit codes: 0 done, 1 failure, 2 wrong command line, 3 wrong data, or done, but some pictures were
left out (--on_error=skip); conversion_report.json in the output folder lists them.
"""

from __future__ import annotations

import os
import sys

if __name__ == '__main__':  # The packages lie beside the folder of this script.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from absl import flags

from runtime import app
from runtime.flags import define_path
from slim.errors import UsageError

SOME_SKIPPED = 3

_DATASET_NAME = flags.DEFINE_enum(
    'dataset_name', 'pascalvoc', ['kitti', 'pascalvoc'], 'Which data set.'
)
_DATASET_ROOT = define_path('dataset_root', 'Folder of the data set.')
_YEAR = flags.DEFINE_enum('year', '0712', ['2007', '2012', '0712'], 'pascalvoc: which years.')
_SPLIT = flags.DEFINE_string(
    'split', 'trainval', 'Which splits, all that are wanted: train,val writes two.'
)
_OUTPUT_DIR = define_path('output_dir', 'Folder for the TFRecords.', written=True, default='./')
_CLASSES = flags.DEFINE_string(
    'classes',
    'Pedestrian,Cyclist,Car',
    'kitti: the types that are to be found; the first has label 0. Objects of other types are kept '
    'for the evaluation, which leaves them out of account.',
)
_ON_ERROR = flags.DEFINE_enum(
    'on_error',
    'fail',
    ['fail', 'skip'],
    'Whether an unreadable picture or a wrong label file stops the run or is left out.',
)
_NUM_WORKERS = flags.DEFINE_integer(
    'num_workers', None, 'Processes; all cores where it is not given.', lower_bound=1
)


def main() -> int:
    """Reads the flags and converts; returns the exit code."""
    if not _DATASET_ROOT.value:
        raise UsageError('--dataset_root is missing. Give it the folder of the data set.')
    if _DATASET_NAME.value != 'kitti' and _CLASSES.present:
        raise UsageError('--classes is for kitti; Pascal VOC has its 20.')
    if _DATASET_NAME.value == 'kitti' and _YEAR.present:
        raise UsageError('--year is for pascalvoc.')

    from datasets.conversion import detection_conversions, worker_pool

    converted = detection_conversions.convert(
        _DATASET_NAME.value,
        _DATASET_ROOT.value,
        _OUTPUT_DIR.value,
        _SPLIT.value.split(','),
        year=_YEAR.value,
        classes=_CLASSES.value.split(','),
        skip_bad=_ON_ERROR.value == 'skip',
        num_workers=_NUM_WORKERS.value or worker_pool.available_cores(),
    )
    for split_name, split in converted.splits.items():
        print(f'{split_name}: {split.num_samples} pictures in {split.num_shards} files')
    return SOME_SKIPPED if converted.num_skipped else 0


if __name__ == '__main__':
    app.run(main)
