"""Seconds to score detections on as many pictures as KITTI has, on one core.

  python3 benchmarks/detection_scoring.py
  python3 benchmarks/detection_scoring.py --pictures 1000 --detections 64

Objects are as many and of the kinds that a picture of KITTI has on average; four of five are found,
by boxes a few pixels off, and what is left of the detections is wrong. Prints processor seconds.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
# Objects for each picture in KITTI's training set.
RATES = {
    'Car': 3.87,
    'Van': 0.35,
    'Truck': 0.13,
    'Pedestrian': 0.59,
    'Person_sitting': 0.02,
    'Cyclist': 0.2,
    'DontCare': 1.5,
}
WRONG = ('Car', 'Pedestrian', 'Cyclist')


def make_set(pictures: int, detections: float):
    """Truths and detections, about `detections` for a picture."""
    import numpy as np

    from detection.truth import PictureDetections, PictureTruth

    random = np.random.RandomState(0)

    def boxes(number: int):
        corner = random.uniform(0, 1, [number, 2]) * [1142, 250]
        return np.concatenate([corner, corner + random.uniform(20, 100, [number, 2])], axis=1)

    truths, found = [], []
    for picture in range(pictures):
        types = [kind for kind, rate in RATES.items() for _ in range(random.poisson(rate))]
        real = boxes(len(types))
        truths.append(
            PictureTruth(
                f'{picture:06}',
                real,
                types,
                random.choice([0.0, 0.0, 0.2, 0.4], len(types)),
                random.randint(0, 3, len(types)),
                np.zeros(len(types), bool),
            )
        )
        seen = [n for n, kind in enumerate(types) if kind in WRONG and random.uniform() < 0.8]
        wrong = max(0, random.poisson(detections) - len(seen))
        near = real[seen] + random.normal(0, 2, [len(seen), 4])
        kinds = [types[n] for n in seen] + list(random.choice(WRONG, wrong))
        found.append(
            PictureDetections(
                np.concatenate([near, boxes(wrong)]), kinds, random.uniform(0, 1, len(kinds))
            )
        )
    return truths, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--pictures', type=int, default=7500)
    parser.add_argument('--detections', type=float, default=7.35, help='for each picture')
    chosen = parser.parse_args()
    os.environ['OMP_NUM_THREADS'] = '1'
    from detection import kitti_ap, voc_ap

    truths, found = make_set(chosen.pictures, chosen.detections)
    print(f'{sum(len(one.types) for one in found)} detections on {len(found)} pictures')
    start = time.process_time()
    kitti = kitti_ap.evaluate(truths, found)
    print(f'KITTI, 3 classes at 3 levels: {time.process_time() - start:.1f} s')
    start = time.process_time()
    voc_ap.evaluate(truths, found, WRONG)
    print(f'Pascal VOC, 3 classes: {time.process_time() - start:.1f} s')
    print({kind: round(levels['moderate'].ap40, 4) for kind, levels in kitti.items()})


if __name__ == '__main__':
    main()
