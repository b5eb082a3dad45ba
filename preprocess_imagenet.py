"""Turns the extracted archives of ILSVRC-2012, or any tree of class folders, into TFRecords.

python3 preprocess_imagenet.py --raw_data_dir=RAW --local_scratch_dir=OUT

RAW holds train/ and validation/ (or img_train/ and img_val/): one folder of images per class;
validation may be flat, with the class of each file in RAW/synset_labels.txt. OUT gets
train/train-00000-of-01024 ..., validation/validation-00000-of-00128 ... and dataset.json, which the
other scripts read.
"""

from __future__ import annotations

from absl import flags

from slim import app, startup
from slim.errors import UsageError

_RAW_DATA_DIR = flags.DEFINE_string('raw_data_dir', None, 'Folder with train/ and validation/.')
_LOCAL_SCRATCH_DIR = flags.DEFINE_string('local_scratch_dir', None, 'Folder for the TFRecords.')
_TRAIN_SHARDS = flags.DEFINE_integer('train_shards', 1024, 'Files to write for training.')
_VALIDATION_SHARDS = flags.DEFINE_integer('validation_shards', 128, 'Files for validation.')
flags.DEFINE_bool(
    'gcs_upload', False, 'Has no effect: nothing is uploaded. Old commands pass --nogcs_upload.'
)


def main() -> None:
    for flag in (_RAW_DATA_DIR, _LOCAL_SCRATCH_DIR):
        if not flag.value:
            raise UsageError(f'--{flag.name} is missing. Give it a folder.')

    startup.import_tensorflow_quietly()
    from datasets import imagenet_writer

    about = imagenet_writer.convert(
        _RAW_DATA_DIR.value,
        _LOCAL_SCRATCH_DIR.value,
        _TRAIN_SHARDS.value,
        _VALIDATION_SHARDS.value,
    )
    for split_name, split in about.splits.items():
        print(f'{split_name}: {split.num_samples} images in {split.num_shards} shards')


if __name__ == '__main__':
    app.run(main)
