"""Draws street-like scenes with cars, pedestrians and cyclists, in the form of KITTI.

  python3 tools/generate_scenes.py --output_dir=/tmp/scenes --num_train=40 --num_val=20

writes training/image_2, training/label_2 and ImageSets/{train,val}.txt, which
tools/tf_convert_data.py --dataset_name=kitti reads. Straight to records goes
download_and_convert_data.py --dataset_name=scenes. The same --seed gives the same scenes.
"""

from __future__ import annotations

import os
import sys

if __name__ == '__main__':  # The packages lie beside the folder of this script.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from absl import flags

from runtime import app
from runtime.flags import define_path
from slim.errors import OutputError, UsageError

_OUTPUT_DIR = define_path('output_dir', 'Folder for the scenes; a new or empty one.', written=True)
_NUM_TRAIN = flags.DEFINE_integer('num_train', 400, 'Pictures to train on.', lower_bound=1)
_NUM_VAL = flags.DEFINE_integer('num_val', 200, 'Pictures for validation.', lower_bound=1)
_HEIGHT = flags.DEFINE_integer('height', 375, 'Of a picture, in pixels.')
_WIDTH = flags.DEFINE_integer('width', 1242, 'Of a picture, in pixels.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of what is drawn.')


def main() -> None:
    if not _OUTPUT_DIR.value:
        raise UsageError('--output_dir is missing. Give it a folder.')
    if os.path.isdir(_OUTPUT_DIR.value) and os.listdir(_OUTPUT_DIR.value):
        raise OutputError(f'{_OUTPUT_DIR.value} is not empty. Give another folder.')

    from datasets.conversion import scenes

    numbers = {'train': _NUM_TRAIN.value, 'val': _NUM_VAL.value}
    scenes.write(_OUTPUT_DIR.value, numbers, _HEIGHT.value, _WIDTH.value, _SEED.value)
    print(f'{sum(numbers.values())} scenes in {_OUTPUT_DIR.value}')


if __name__ == '__main__':
    app.run(main)
