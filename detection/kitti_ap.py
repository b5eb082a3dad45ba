"""KITTI's average precision, as the official tool computes it, for boxes in the picture.

    results = kitti_ap.evaluate(truths, detections)
    results['car']['moderate'].ap40

The tool goes over each picture once for every threshold. Here one walk over the objects of a
picture does all 41 at once, as rows of an array, and passes by what no detection overlaps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from detection import overlaps
from detection.truth import PictureDetections, PictureTruth


@dataclasses.dataclass(frozen=True)
class Level:
    """Which objects count; those outside of the limits are ignored, found or not."""

    min_height: float  # pixels
    max_occluded: int
    max_truncated: float


LEVELS = {
    'easy': Level(40, 0, 0.15),
    'moderate': Level(25, 1, 0.30),
    'hard': Level(25, 2, 0.50),
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A class that is evaluated; names are compared without case."""

    overlap: float  # IoU above which an object is found
    neighbour: str | None  # objects of this type are ignored, for they look alike


KINDS = {
    'car': Kind(0.7, 'van'),
    'pedestrian': Kind(0.5, 'person_sitting'),
    'cyclist': Kind(0.5, None),
}


@dataclasses.dataclass(frozen=True)
class Rules:
    """Where the tool's versions differ: what a box of little height is."""

    least_height_counts: bool  # An object of exactly the least height counts.
    low_detections_ignored: bool  # Detections below the least height are no false positives.


RULES = {
    '2017': Rules(least_height_counts=False, low_detections_ignored=True),
    '2012': Rules(least_height_counts=True, low_detections_ignored=True),
    # The copy behind the published figures of SqueezeDet.
    'squeezedet': Rules(least_height_counts=True, low_detections_ignored=False),
}

_POINTS = 41  # recall 0, 1/40 .. 1
_VALID, _IGNORED, _OTHER = 1, 0, -1


@dataclasses.dataclass(frozen=True)
class Result:
    """One class at one level."""

    objects: int  # that count
    thresholds: int
    precision: np.ndarray  # float64 [41], made monotone from the right
    detections: int  # of this class, at all; the tool leaves out a class that has none

    @property
    def ap11(self) -> float:
        """Mean over recall 0, 0.1 .. 1: official until October 2019."""
        return float(np.mean(self.precision[::4]))

    @property
    def ap40(self) -> float:
        """Mean over recall 1/40 .. 1: official since then."""
        return float(np.mean(self.precision[1:]))


@dataclasses.dataclass(frozen=True)
class _Picture:
    """What one class needs of a picture; only its detections that some object may be found by."""

    truth: np.ndarray  # [T, 4]: those of the class or its neighbour
    own: np.ndarray  # bool [T]: of the class itself
    height: np.ndarray  # [T]
    occluded: np.ndarray
    truncated: np.ndarray
    boxes_height: np.ndarray  # [D], of detections
    named: np.ndarray  # bool [D]: of the class
    scores: np.ndarray  # [D]
    iou: np.ndarray  # [T, D]
    excused: np.ndarray  # bool [D]: lies in a region that nobody labelled


def evaluate(
    truths: Sequence[PictureTruth],
    detections: Sequence[PictureDetections],
    rules: str = '2017',
    kinds: Sequence[str] = tuple(KINDS),
) -> dict[str, dict[str, Result]]:
    """Average precision of a set of pictures.

    Args:
      truths: one for each picture.
      detections: one for each picture, in the same order.
      rules: a key of `RULES`.
      kinds: keys of `KINDS`.

    Returns:
      the result by class and level.
    """
    results: dict[str, dict[str, Result]] = {}
    detections = [found.comparable() for found in detections]
    for kind in kinds:
        pictures = [
            _picture(truth, found, kind) for truth, found in zip(truths, detections, strict=True)
        ]
        results[kind] = {
            level: _result(pictures, KINDS[kind], LEVELS[level], RULES[rules]) for level in LEVELS
        }
    return results


def _picture(truth: PictureTruth, found: PictureDetections, kind: str) -> _Picture:
    types = np.array([name.lower() for name in truth.types], dtype=object)
    own, neighbour = types == kind, types == KINDS[kind].neighbour
    chosen = own | neighbour
    boxes = truth.boxes[chosen]
    regions = truth.boxes[types == 'dontcare']
    named = np.array([name.lower() == kind for name in found.types], bool)
    shared = overlaps.intersections(found.boxes, regions)
    area = overlaps.areas(found.boxes)[:, np.newaxis]
    covered = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
    return _Picture(
        boxes,
        own[chosen],
        boxes[:, 3] - boxes[:, 1],
        truth.occluded[chosen],
        truth.truncated[chosen],
        np.abs(found.boxes[:, 3] - found.boxes[:, 1]),
        named,
        found.scores,
        overlaps.ious(boxes, found.boxes),
        (covered > KINDS[kind].overlap).any(axis=1),
    )


def _result(pictures: list[_Picture], kind: Kind, level: Level, rules: Rules) -> Result:
    counted = [_count(picture, level, rules) for picture in pictures]
    number = sum(int((truth == _VALID).sum()) for truth, _ in counted)
    walks = [
        _Walk(picture, truth, detection, kind.overlap)
        for picture, (truth, detection) in zip(pictures, counted, strict=True)
    ]
    hits = np.concatenate([walk.scores_of_hits() for walk in walks]) if walks else np.zeros(0)
    thresholds = _thresholds(hits, number)
    true_positives = np.zeros(len(thresholds), np.int64)
    taken = np.zeros(len(thresholds), np.int64)
    charged = []  # Scores of detections that are wrong unless they are taken.
    for walk in walks:
        charged.append(walk.scores[walk.charged])
        if walk.candidates.any():
            hit, gone = walk.at(thresholds)
            true_positives += hit
            taken += gone
    wrong = np.sort(np.concatenate(charged)) if charged else np.zeros(0)
    false_positives = len(wrong) - np.searchsorted(wrong, thresholds, side='left') - taken
    precision: np.ndarray = np.zeros(_POINTS)
    total = true_positives + false_positives
    precision[: len(thresholds)] = np.divide(
        true_positives, total, out=np.zeros(len(total)), where=total > 0
    )
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    found = sum(int(picture.named.sum()) for picture in pictures)
    return Result(number, len(thresholds), precision, found)


def _count(picture: _Picture, level: Level, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """_VALID, _IGNORED or _OTHER for each object and each detection."""
    low = picture.height < level.min_height
    if not rules.least_height_counts:
        low = picture.height <= level.min_height
    outside = low | (picture.occluded > level.max_occluded)
    outside |= picture.truncated > level.max_truncated
    truth = np.where(picture.own & ~outside, _VALID, _IGNORED)
    detection = np.where(picture.named, _VALID, _OTHER)
    if rules.low_detections_ignored:
        # Of whatever class: the tool looks at the height first.
        detection[picture.boxes_height < level.min_height] = _IGNORED
    return truth, detection


class _Walk:
    """The tool's walk over a picture: objects in their order, each takes a detection."""

    def __init__(
        self, picture: _Picture, truth: np.ndarray, detection: np.ndarray, overlap: float
    ) -> None:
        self.truth, self.iou, self.scores = truth, picture.iou, picture.scores
        self.valid = detection == _VALID
        self.charged = self.valid & ~picture.excused
        # Which detections an object may take.
        self.candidates = (picture.iou > overlap) & (detection != _OTHER)

    def scores_of_hits(self) -> np.ndarray:
        """Scores at which objects are found, if nothing is held back: each takes the surest."""
        free = np.ones(len(self.scores), bool)
        hits = []
        for number in np.flatnonzero(self.candidates.any(axis=1)):
            possible = self.candidates[number] & free
            if not possible.any():
                continue
            surest = np.argmax(np.where(possible, self.scores, -np.inf))
            free[surest] = False
            if self.truth[number] == _VALID and self.valid[surest]:
                hits.append(self.scores[surest])
        return np.array(hits)

    def at(self, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each threshold: objects found, and charged detections that some object has taken.

        Each object takes the valid detection that overlaps it most, and one that is ignored only
        where there is none.
        """
        free = self.scores >= thresholds[:, np.newaxis]
        every = np.arange(len(thresholds))
        hits = np.zeros(len(thresholds), np.int64)
        gone = np.zeros(len(thresholds), np.int64)
        for number in np.flatnonzero(self.candidates.any(axis=1)):
            possible = free & self.candidates[number]
            # Valid ones by their overlap, above 0; of those that are ignored, the first.
            worth = np.where(self.valid, self.iou[number], -1.0)
            worth = np.where(possible, worth, -2.0)
            chosen = np.argmax(worth, axis=1)
            some = possible[every, chosen]
            free[every[some], chosen[some]] = False
            if self.truth[number] == _VALID:
                hits += some & self.valid[chosen]
            gone += some & self.charged[chosen]
        return hits, gone


def _thresholds(scores: np.ndarray, number: int) -> np.ndarray:
    """The scores at which recall comes nearest to 0, 1/40 .. 1, at most 41 of them.

    Args:
      scores: of the objects that are found.
      number: of objects that count.
    """
    scores = np.sort(scores)[::-1]
    chosen, recall = [], 0.0
    for place, score in enumerate(scores):
        last = place == len(scores) - 1
        here = (place + 1) / number
        beyond = here if last else (place + 2) / number
        if beyond - recall < recall - here and not last:
            continue
        chosen.append(score)
        recall += 1 / (_POINTS - 1)
    return np.array(chosen)
