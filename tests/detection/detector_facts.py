"""The contract's numbers of the detector: anchors, targets, losses and detections of three pictures
of KITTI, under a prediction made from a name alone."""

from __future__ import annotations

import hashlib
import json
import pathlib

import numpy as np

DATA = pathlib.Path(__file__).parents[1] / 'data' / 'detection'
FACTS = json.loads((DATA / 'detector.json').read_text())
HEIGHT, WIDTH, SHAPES, CLASSES = 375, 1242, 9, 3


def prediction() -> np.ndarray:
    """float32 [3, 12, 39, 72]."""
    digest = hashlib.sha256(b'20211222/detector/prediction').digest()
    random = np.random.RandomState(int.from_bytes(digest[:4], 'little'))
    return (0.5 * random.normal(0, 1, [3, 12, 39, 72])).astype(np.float32)


def objects() -> tuple[np.ndarray, np.ndarray]:
    """Corners float64 [3, 4, 4] in pixels of 375 x 1242, and classes int64 [3, 4], filled up."""
    corners, labels = np.zeros([3, 4, 4]), -np.ones([3, 4], np.int64)
    for picture, target in enumerate(FACTS['targets']):
        width, height = target['width_height']
        for place, row in enumerate(target['objects']):
            scale = [WIDTH / width, HEIGHT / height] * 2
            corners[picture, place] = np.multiply(row['box_in_file'], scale)
            labels[picture, place] = row['class']
    return corners, labels
