"""Whether probabilities are what they say: of all predicted with 0.8, are 80 % right?"""

from __future__ import annotations

import dataclasses

import numpy as np

from runtime.results.reports.rows import Rows

BINS = 15


@dataclasses.dataclass(frozen=True)
class Calibration:
    """By the probability of the predicted class, in BINS bins of equal width."""

    images: np.ndarray  # int64 [BINS]
    confidence: np.ndarray  # float64 [BINS], mean probability; NaN for an empty bin
    accuracy: np.ndarray  # float64 [BINS], share that is right; NaN likewise

    @property
    def expected_error(self) -> float:
        """ECE: the mean distance of accuracy and confidence, weighted by images (Guo et al. 2017).

        NaN without images.
        """
        full = self.images > 0
        if not full.any():
            return float('nan')
        distance = np.abs(self.accuracy - self.confidence)[full]
        return float(np.average(distance, weights=self.images[full]))

    @property
    def mean_confidence(self) -> float:
        full = self.images > 0
        if not full.any():
            return float('nan')
        return float(np.average(self.confidence[full], weights=self.images[full]))


def calibrate(rows: Rows) -> Calibration:
    """Of the rows with finite logits."""
    told = np.isfinite(rows.probabilities[:, 0])
    confidence = rows.probabilities[told, 0].astype(np.float64)
    # Bins hold their upper end, so that 1 is in the last one.
    places = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    images = np.bincount(places, minlength=BINS)
    with np.errstate(invalid='ignore'):
        return Calibration(
            images,
            np.bincount(places, confidence, BINS) / images,
            np.bincount(places, rows.right[told], BINS) / images,
        )
