"""What is in a picture, and what was found there: plain data between data sets, network and scorer.

Boxes are (xmin, ymin, xmax, ymax) in pixels of the picture itself, 0-based, without a +1 anywhere.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class PictureTruth:
    """The labelled objects of one picture, in the order of its file.

    KITTI's regions of type DontCare are rows like the others. Pascal VOC has no `truncated` share
    and no `occluded`: zeros there; KITTI has no `difficult`: False there.
    """

    name: str  # of the picture, without folder and ending
    boxes: np.ndarray  # float64 [N, 4]
    types: list[str]  # N names, as in the labels' file
    truncated: np.ndarray  # float64 [N], 0 (inside) .. 1, -1 for DontCare
    occluded: np.ndarray  # int64 [N], 0 visible, 1 partly, 2 largely, 3 unknown, -1 for DontCare
    difficult: np.ndarray  # bool [N]


@dataclasses.dataclass(frozen=True)
class PictureDetections:
    """What a detector found in one picture, in any order."""

    boxes: np.ndarray  # float64 [N, 4]
    types: list[str]  # N names
    scores: np.ndarray  # float64 [N], higher is surer

    def comparable(self) -> PictureDetections:
        """Those with a score. NaN is above and below nothing, so it has no place in an order."""
        told = np.flatnonzero(~np.isnan(self.scores))
        if len(told) == len(self.scores):
            return self
        types = [self.types[number] for number in told]
        return PictureDetections(self.boxes[told], types, self.scores[told])
