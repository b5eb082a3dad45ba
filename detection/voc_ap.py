"""Average precision of Pascal VOC: over eleven recalls (VOC07), and the area below the curve (since
2010)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from detection import overlaps
from detection.truth import PictureDetections, PictureTruth

_FOUND = 0.5  # IoU from which on an object is found


@dataclasses.dataclass(frozen=True)
class Result:
    """One class."""

    objects: int  # that count: not difficult ones
    hits: np.ndarray  # bool, of all detections that count, best score first

    @property
    def voc07(self) -> float:
        return eleven_points(self.hits, self.objects)

    @property
    def area(self) -> float:
        return area(self.hits, self.objects)


def evaluate(
    truths: Sequence[PictureTruth],
    detections: Sequence[PictureDetections],
    kinds: Sequence[str],
    inclusive: bool = True,
) -> dict[str, Result]:
    """Each class over the whole set.

    Detections come by score over all pictures, those of equal score in the pictures' order. Each is
    for the object of its class that it overlaps most: a hit where that IoU is 0.5 or more and the
    object has none yet. Detections of difficult objects do not count.

    Args:
      truths: one for each picture.
      detections: one for each picture, in the same order.
      kinds: names of types, with their case.
      inclusive: sides are one pixel longer than the difference of corners, as in VOC's tool.
    """
    detections = [found.comparable() for found in detections]
    return {kind: _evaluate(truths, detections, kind, inclusive) for kind in kinds}


def _evaluate(
    truths: Sequence[PictureTruth],
    detections: Sequence[PictureDetections],
    kind: str,
    inclusive: bool,
) -> Result:
    scores, pictures, objects, overlap, difficult = [], [], [], [], []
    number = 0
    for place, (truth, found) in enumerate(zip(truths, detections, strict=True)):
        own = np.array([name == kind for name in truth.types], bool)
        named = np.array([name == kind for name in found.types], bool)
        hard = truth.difficult[own].astype(bool)
        number += int((~hard).sum())
        count = int(named.sum())
        if not count:
            continue
        iou = np.zeros([count, 1])
        if own.any():
            iou = overlaps.ious(found.boxes[named], truth.boxes[own], inclusive)
        best = np.argmax(iou, axis=1)
        scores.append(found.scores[named])
        pictures.append(np.full(count, place))
        objects.append(best)
        overlap.append(iou[np.arange(count), best])
        difficult.append(hard[best] if own.any() else np.zeros(count, bool))
    if not scores:
        return Result(number, np.zeros(0, bool))
    order = np.argsort(-np.concatenate(scores), kind='stable')
    picture, best = np.concatenate(pictures)[order], np.concatenate(objects)[order]
    meets = np.concatenate(overlap)[order] >= _FOUND
    hard = np.concatenate(difficult)[order] & meets
    hits = np.zeros(len(order), bool)
    # Of the detections that meet one object, the first is the hit.
    meeting = np.flatnonzero(meets & ~hard)
    pairs = np.stack([picture[meeting], best[meeting]], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    hits[meeting[first]] = True
    return Result(number, hits[~hard])


def _curve(hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of hits and precision after each detection, made monotone from the right."""
    hits = np.asarray(hits, bool)
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    return found, np.maximum.accumulate(precision[::-1])[::-1]


def eleven_points(hits: np.ndarray, objects: int) -> float:
    """Mean over recall 0, 0.1 .. 1 of the highest precision there or further on.

    Recalls are compared as whole numbers: 3 of 10 is 0.3, which floating steps are not.

    Args:
      hits: bool, whether each detection has found an object, best score first.
      objects: number of objects.
    """
    if not objects or not len(hits):
        return 0.0
    found, precision = _curve(hits)
    # The first detection with found / objects >= k / 10; there precision is the highest to come.
    places = np.searchsorted(found * 10, np.arange(11) * objects)
    return float(np.append(precision, 0.0)[places].mean())


def area(hits: np.ndarray, objects: int) -> float:
    """Area below the monotone curve of precision over recall; the arguments are those above."""
    if not objects or not len(hits):
        return 0.0
    found, precision = _curve(hits)
    return float(np.sum(np.diff(found, prepend=0) * precision) / objects)
