"""Detections as lines of a KITTI result file, which the official tool reads."""

from __future__ import annotations

from detection.truth import PictureDetections

# What a detector of boxes in the picture does not know. An angle of -10 switches off what needs it.
_BEFORE = '-1 -1 -10'  # truncated, occluded, alpha
_AFTER = '-1 -1 -1 -1000 -1000 -1000 -10'  # size in metres, place, rotation


def lines(found: PictureDetections) -> list[str]:
    """Sixteen fields for each detection: type, the box in pixels of the picture, score last."""
    return [
        f'{kind} {_BEFORE} {" ".join(f"{side:.2f}" for side in box)} {_AFTER} {score:.6f}'
        for kind, box, score in zip(found.types, found.boxes, found.scores, strict=True)
    ]
