"""From thousands of scored boxes to the few that are said: the best, and one for each object."""

from __future__ import annotations

import numpy as np

from detection import overlaps

# A picture has at most so many detections.
TOP = 64
# Least score, where there are no more than TOP boxes anyway.
THRESHOLD = 0.005
# Two boxes of one class with a higher IoU are one object.
SAME_OBJECT = 0.4


def best(scores: np.ndarray, top: int = TOP, threshold: float = THRESHOLD) -> np.ndarray:
    """Numbers of the boxes to look at, best score first; of equal scores, the first.

    The `top` best where there are more boxes than that; otherwise those with scores above
    `threshold`.
    """
    order = np.argsort(-scores, kind='stable')
    return order[:top] if len(order) > top else order[scores[order] > threshold]


def suppress(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, same_object: float = SAME_OBJECT
) -> np.ndarray:
    """Non-maximum suppression, class by class: drops a box whose IoU with a better one that is kept
    is above `same_object`. What was dropped drops nothing.

    Args:
      boxes: corner form [N, 4].
      scores: [N].
      classes: int [N].
      same_object: IoU, 0..1.

    Returns:
      numbers of the boxes that are kept, best score first; of equal scores, the first.
    """
    order = np.argsort(-scores, kind='stable')
    rival = overlaps.ious(boxes[order], boxes[order]) > same_object
    rival &= classes[order][:, np.newaxis] == classes[order]
    kept = np.ones(len(order), bool)
    for place in range(len(order)):
        if kept[place]:
            kept[place + 1 :] &= ~rival[place, place + 1 :]
    return order[kept]


def detections(
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    top: int = TOP,
    threshold: float = THRESHOLD,
    same_object: float = SAME_OBJECT,
) -> np.ndarray:
    """Numbers of the anchors that a picture's detections are from, best score first.

    The arguments are those of `best` and `suppress`, for all anchors of one picture.
    """
    candidates = best(scores, top, threshold)
    kept = suppress(boxes[candidates], scores[candidates], classes[candidates], same_object)
    return candidates[kept]
