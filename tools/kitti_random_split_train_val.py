"""Divides KITTI's labelled pictures into a training and a validation part, at random.

  python3 tools/kitti_random_split_train_val.py --kitti_root=/data/kitti

Writes ImageSets/trainval.txt (all pictures of training/image_2), train.txt and val.txt, one name
without its suffix per line. The same --seed gives the same parts.
"""

from __future__ import annotations

import os
import sys

if __name__ == '__main__':  # The packages lie beside the folder of this script.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from absl import flags

from runtime import app
from runtime.flags import define_path

_KITTI_ROOT = define_path(
    'kitti_root', 'Folder with training/ in it, itself or in KITTI/ or data/KITTI/.', default='./'
)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the draw.')
_TRAIN_FRACTION = flags.DEFINE_float(
    'train_fraction', 0.5, 'Part of the pictures that is for training.'
)


def main() -> None:
    from datasets.conversion import kitti_folders

    root = kitti_folders.find_root(_KITTI_ROOT.value)
    sizes = kitti_folders.write_lists(root, _SEED.value, _TRAIN_FRACTION.value)
    for split_name, size in sizes.items():
        print(f'{kitti_folders.list_path(root, split_name)}: {size} pictures')


if __name__ == '__main__':
    app.run(main)
