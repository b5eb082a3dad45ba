"""Turns a data set's original archives into TFRecords, which the other scripts read.

  python3 download_and_convert_data.py --dataset_name=cifar10 --dataset_dir=/data/cifar10
  python3 download_and_convert_data.py --dataset_name=flowers --dataset_dir=/data/flowers \\
      --source_dir=/data/archives
  python3 download_and_convert_data.py --dataset_name=folder --dataset_dir=/data/pets \\
      --source_dir=/data/pictures_of_pets

Data sets: cifar10, flowers, imagenette, mnist, visualwakewords, folder for class folders of your
own, and scenes for generated pictures of streets with boxes, which need no download. ImageNet has
preprocess_imagenet.py, KITTI and Pascal VOC have tools/tf_convert_data.py. Without --source_dir the
archives are downloaded into DATASET_DIR/downloads, where a start that broke off is taken up.
--dataset_dir gets the records, labels.txt and, last of all, dataset.json. Exit codes: 0 done,
1 failure, 2 wrong command line, 3 wrong data.
"""

from __future__ import annotations

from absl import flags

from runtime import app, startup
from runtime.flags import define_path
from slim.errors import UsageError

_DATASET_NAME = flags.DEFINE_string('dataset_name', None, 'Which data set.')
_DATASET_DIR = define_path('dataset_dir', 'Folder for the TFRecords.', written=True)
_SOURCE_DIR = define_path(
    'source_dir',
    'Folder of the original archives, or of what was in them; without it they are downloaded.',
)
_SETTINGS = {
    flag.name: flag
    for flag in (
        flags.DEFINE_float(
            'small_object_area_threshold',
            0.005,
            'visualwakewords: smallest object that counts, as a part of the area of the image.',
        ),
        flags.DEFINE_string(
            'foreground_class_of_interest',
            'person',
            'visualwakewords: class of COCO whose objects make an image positive.',
        ),
        flags.DEFINE_float(
            'validation_fraction',
            None,
            'folder: part of each class that is held back for validation, where the source has no '
            'folders train/ and validation/ (0.1 if not given).',
        ),
        flags.DEFINE_integer('split_seed', 0, 'folder: seed of the draw of that part.'),
        flags.DEFINE_bool(
            'upright',
            False,
            'flowers, imagenette, folder: turn pictures as their EXIF data say. Training reads '
            'them as they lie in the file.',
        ),
        flags.DEFINE_integer('scenes_train', 400, 'scenes: pictures to train on.'),
        flags.DEFINE_integer('scenes_val', 200, 'scenes: pictures for validation.'),
        flags.DEFINE_integer('scene_height', 375, 'scenes: height of a picture in pixels.'),
        flags.DEFINE_integer('scene_width', 1242, 'scenes: width of a picture in pixels.'),
        flags.DEFINE_integer('scene_seed', 0, 'scenes: seed of what is drawn.'),
        flags.DEFINE_float(
            'max_megapixels',
            178.9,
            'flowers, imagenette, folder: refuse larger pictures, which a small file may claim to '
            'hold. What is above 178.9 is written smaller, as training could not decode it.',
        ),
    )
}


def main() -> None:
    for flag in (_DATASET_NAME, _DATASET_DIR):
        if not flag.value:
            raise UsageError(f'--{flag.name} is missing (--help lists every flag)')

    startup.import_tensorflow_quietly()
    from datasets.conversion import conversion, conversions

    about = conversions.convert(
        _DATASET_NAME.value,
        _DATASET_DIR.value,
        _SOURCE_DIR.value,
        conversion.Settings(**{name: flag.value for name, flag in _SETTINGS.items()}),
        given=[name for name, flag in _SETTINGS.items() if flag.present],
    )
    for split_name, split in about.splits.items():
        print(f'{split_name}: {split.num_samples} images')
    print(f'{about.name}: {about.num_classes} classes in {_DATASET_DIR.value}')


if __name__ == '__main__':
    app.run(main)
