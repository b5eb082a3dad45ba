"""Whether detections that something else has computed are those of a detector, and how nearly.

Rounding alone changes which of two equally good boxes comes first, what is dropped at an IoU of
just 0.4, and which box is the last one of the best. So lists are not compared place by place. What
is asked is: how much would the detector's own numbers have to move for this to be its answer?
"""

from __future__ import annotations

import numpy as np

from detection import overlaps, suppression
from detection.suppression import SAME_OBJECT, THRESHOLD, TOP


def of_detections(
    found: np.ndarray, boxes: np.ndarray, class_scores: np.ndarray, frame: tuple[int, int]
) -> float:
    """The least tolerance by which detections of one picture are those of `suppression`.

    Args:
      found: [N, 6]: xmin, ymin, xmax, ymax in pixels of the frame, score, class. The best first; a
        score of 0 is no detection.
      boxes: [A, 4], of all anchors of the detector, in the same form.
      class_scores: [A, C], of each class; an anchor's score is the highest.
      frame: height and width in pixels.

    Returns:
      the largest of what is wrong: scores as they are, places as shares of the frame's sides,
      overlaps by how far edges would have to move, as shares of the frame's sides.
    """
    if not np.isfinite(found).all():
        return float('inf')
    found = found[found[:, 4] > 0]
    scores = class_scores.max(axis=1)
    candidates = suppression.best(scores)
    descending = np.sort(scores)[::-1]
    if len(scores) > TOP:
        lowest, next_best = descending[TOP - 1], descending[TOP]
    else:
        lowest = next_best = THRESHOLD
    wrong = [0.0, float(len(found) > TOP)]
    if len(found):
        same = _distances(found, boxes, class_scores, frame)
        wrong += [
            same.min(axis=1).max(),  # Each is one of the anchors' boxes,
            (lowest - found[:, 4]).max(),  # one of the best,
            np.diff(found[:, 4]).max(initial=0.0),  # in the right order,
            _rivals(found, frame).max(),  # and none beside another one of the same object.
        ]
    if len(candidates):
        # Each box that is missing has one that drops it, or is among the best just so.
        excused = scores[candidates] - next_best
        if len(found):
            dropped = _drops(found, boxes[candidates], class_scores[candidates], frame)
            excused = np.minimum.reduce(
                [excused, dropped.min(axis=0), same[:, candidates].min(axis=0)]
            )
        wrong.append(excused.max())
    return float(max(wrong))


def of_all_boxes(
    found: np.ndarray, boxes: np.ndarray, class_scores: np.ndarray, frame: tuple[int, int]
) -> float:
    """The largest difference of the boxes of all anchors, [A, 6], to the detector's."""
    if len(found) != len(boxes) or not np.isfinite(found).all():
        return float('inf')
    places = np.abs(found[:, :4] - boxes) / _sides(frame)
    classes = found[:, 5].astype(np.int64)
    if classes.min() < 0 or classes.max() >= class_scores.shape[1]:
        return float('inf')
    scores = np.abs(found[:, 4] - class_scores[np.arange(len(found)), classes])
    return float(max(places.max(), scores.max()))


def share_found(
    found: np.ndarray,
    boxes: np.ndarray,
    class_scores: np.ndarray,
    frame: tuple[int, int],
    near: float = 0.02,
) -> float:
    """The share of the detector's own detections that are among `found`: of the same class, with
    edges that are `near`, as a share of the frame's sides. 1 where it has none."""
    classes = class_scores.argmax(axis=1)
    own = suppression.detections(boxes, class_scores.max(axis=1), classes)
    found = found[found[:, 4] > 0]
    away = np.abs(boxes[own][:, np.newaxis] - found[:, :4]) / _sides(frame)
    alike = (away.max(axis=-1) <= near) & (classes[own][:, np.newaxis] == found[:, 5])
    return float(alike.any(axis=1).mean()) if len(own) else 1.0


def _distances(
    found: np.ndarray, boxes: np.ndarray, class_scores: np.ndarray, frame: tuple[int, int]
) -> np.ndarray:
    """Of each detection to each anchor, the larger of places and scores: [N, A]."""
    places = (np.abs(found[:, np.newaxis, :4] - boxes) / _sides(frame)).max(axis=-1)
    return np.maximum(places, np.abs(found[:, 4:5] - _scores(found, class_scores)))


def _drops(
    found: np.ndarray, boxes: np.ndarray, class_scores: np.ndarray, frame: tuple[int, int]
) -> np.ndarray:
    """How far each detection is from dropping each anchor, 0 where it does: [N, A]."""
    best, of_class = class_scores.max(axis=1), _scores(found, class_scores)
    too_little = SAME_OBJECT - overlaps.ious(found[:, :4], boxes)
    return np.maximum.reduce(
        [
            too_little * _least_side(found, boxes, frame),  # They are one object,
            best - of_class,  # of one class,
            best - found[:, 4:5],  # and the detection is the better box of it.
            np.zeros_like(too_little),
        ]
    )


def _rivals(found: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """How much too near each two detections of a class are, and 0 for others: [N, N]."""
    too_much = overlaps.ious(found[:, :4], found[:, :4]) - SAME_OBJECT
    too_much *= (found[:, 5:6] == found[:, 5]) & ~np.eye(len(found), dtype=bool)
    return too_much.clip(0) * _least_side(found, found[:, :4], frame)


def _scores(found: np.ndarray, class_scores: np.ndarray) -> np.ndarray:
    """Of each detection's class, the scores of all anchors: [N, A]; infinite for no such class."""
    classes = found[:, 5].astype(np.int64)
    known = (classes >= 0) & (classes < class_scores.shape[1])
    scores = class_scores.T[np.where(known, classes, 0)].astype(np.float64)
    scores[~known] = -np.inf
    return scores


def _least_side(found: np.ndarray, boxes: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """The shortest side of both boxes as a share of the frame's, [N, A]: an IoU that is wrong by
    some share is set right by moving an edge by about that share of it."""
    least = [
        ((some[:, 2:4] - some[:, :2]) / _sides(frame)[:2]).min(axis=1).clip(0)
        for some in (found, boxes)
    ]
    return np.minimum(least[0][:, np.newaxis], least[1])


def _sides(frame: tuple[int, int]) -> np.ndarray:
    """Of the frame in pixels, for corner forms."""
    return np.array([frame[1], frame[0]] * 2, np.float64)
