"""Turns the extracted archives of ILSVRC-2012, or any tree of class folders, into TFRecords.

python3 preprocess_imagenet.py --raw_data_dir=RAW --local_scratch_dir=OUT

RAW holds train/ and validation/ (or val/; or img_train/ and img_val/): one folder of images per
class; validation may be flat, with the class of each file in RAW/synset_labels.txt, and alone. OUT
gets train/train-00000-of-01024 ..., validation/validation-00000-of-00128 ... and dataset.json,
which the other scripts read. After an interruption the same command goes on where it was.

Exit codes: 0 done, 1 failure, 2 wrong command line, 3 wrong data, or done, but unreadable files
were left out (--on_error=skip); OUT/conversion_report.json lists them.
"""

from __future__ import annotations

from absl import flags

from runtime import app
from runtime.flags import define_path
from slim.errors import UsageError

SOME_SKIPPED = 3

_RAW_DATA_DIR = define_path('raw_data_dir', 'Folder with train/ and validation/.')
_LOCAL_SCRATCH_DIR = define_path('local_scratch_dir', 'Folder for the TFRecords.', written=True)
_TRAIN_SHARDS = flags.DEFINE_integer('train_shards', 1024, 'Files to write for training.')
_VALIDATION_SHARDS = flags.DEFINE_integer('validation_shards', 128, 'Files for validation.')
_BOUNDING_BOX_DIR = define_path(
    'bounding_box_dir',
    'Folder of XML files with boxes: n01440764/n01440764_18.xml, val/ILSVRC2012_val_00000001.xml. '
    'Without it records have no boxes.',
)
_NUM_WORKERS = flags.DEFINE_integer(
    'num_workers', None, 'Processes; all cores where it is not given.', lower_bound=1
)
_ON_ERROR = flags.DEFINE_enum(
    'on_error', 'fail', ['fail', 'skip'], 'Whether an unreadable file stops the run or is left out.'
)
_GRAY_TO_RGB = flags.DEFINE_bool(
    'gray_to_rgb', False, 'Encode gray images anew as RGB. Training reads both.'
)
_UPRIGHT = flags.DEFINE_bool(
    'upright',
    False,
    'Turn pictures as their EXIF data say. Training reads them as they lie in the file.',
)
_MAX_MEGAPIXELS = flags.DEFINE_float(
    'max_megapixels',
    178.9,
    'Refuse larger pictures, which a small file may claim to hold. What is above 178.9 is written '
    'smaller, as training could not decode it.',
)
_DATASET_NAME = flags.DEFINE_string(
    'dataset_name',
    None,
    'What dataset.json calls the set. Not given: imagenet for its 1,000 synsets, else the name of '
    'the folder.',
)
flags.DEFINE_bool(
    'gcs_upload', False, 'Has no effect: nothing is uploaded. Old commands pass --nogcs_upload.'
)


def main() -> int:
    """Reads the flags and converts; returns the exit code."""
    for flag in (_RAW_DATA_DIR, _LOCAL_SCRATCH_DIR):
        if not flag.value:
            raise UsageError(f'--{flag.name} is missing. Give it a folder.')

    if _UPRIGHT.value and _BOUNDING_BOX_DIR.value:
        raise UsageError(
            '--upright and --bounding_box_dir exclude each other: the boxes are for the pictures '
            'as they lie in their files.'
        )
    if not _MAX_MEGAPIXELS.value > 0:
        raise UsageError(f'--max_megapixels={_MAX_MEGAPIXELS.value:g} must be above 0.')

    from datasets.conversion import imagenet_writer, worker_pool
    from datasets.records.image_files import Rules

    converted = imagenet_writer.convert(
        _RAW_DATA_DIR.value,
        _LOCAL_SCRATCH_DIR.value,
        _TRAIN_SHARDS.value,
        _VALIDATION_SHARDS.value,
        _DATASET_NAME.value,
        bounding_box_dir=_BOUNDING_BOX_DIR.value,
        rules=Rules(
            skip_bad=_ON_ERROR.value == 'skip',
            rgb_only=_GRAY_TO_RGB.value,
            upright=_UPRIGHT.value,
            max_megapixels=_MAX_MEGAPIXELS.value,
        ),
        num_workers=_NUM_WORKERS.value or worker_pool.available_cores(),
    )
    for split_name, split in converted.splits.items():
        print(f'{split_name}: {split.num_samples} images in {split.num_shards} shards')
    return SOME_SKIPPED if converted.num_skipped else 0


if __name__ == '__main__':
    app.run(main)
