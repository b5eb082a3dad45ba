"""Intersections of boxes outside of the graph, for whoever filters and scores. Corner form."""

from __future__ import annotations

import numpy as np


def areas(boxes: np.ndarray, inclusive: bool = False) -> np.ndarray:
    """Areas of boxes [..., 4] in square pixels; 0 where corners are in wrong order.

    `inclusive`: the last pixel belongs to the box, so that each side is one longer (Pascal VOC).
    """
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2] + inclusive, 0)
    return sides[..., 0] * sides[..., 1]


def intersections(first: np.ndarray, second: np.ndarray, inclusive: bool = False) -> np.ndarray:
    """Shared area of each of [N, 4] with each of [M, 4]: [N, M]."""
    low = np.maximum(first[:, np.newaxis, :2], second[np.newaxis, :, :2])
    high = np.minimum(first[:, np.newaxis, 2:], second[np.newaxis, :, 2:])
    sides = np.maximum(high - low + inclusive, 0)
    return sides[..., 0] * sides[..., 1]


def ious(first: np.ndarray, second: np.ndarray, inclusive: bool = False) -> np.ndarray:
    """Intersection over union of each of [N, 4] with each of [M, 4]: [N, M]."""
    shared = intersections(first, second, inclusive)
    union = areas(first, inclusive)[:, np.newaxis] + areas(second, inclusive) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
