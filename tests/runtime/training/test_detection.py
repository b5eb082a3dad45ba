"""What training a detector adds to the runtime: clipping, the decay by steps, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime import lookup, options
from runtime.options import detection
from runtime.training import clipping, schedules
from slim import errors

pytestmark = pytest.mark.once


def test_each_gradient_is_clipped_by_itself():
    with tf.Graph().as_default(), tf.Session() as session:
        pairs = [(tf.constant([3.0, 4.0]), 'long'), (tf.constant([0.3, 0.4]), 'short')]
        by_default = clipping.clipped(detection.DetectionOptimizerOptions(), pairs)
        never = detection.DetectionOptimizerOptions(clip_gradient_norm=0.0)
        shorter = session.run([gradient for gradient, _ in by_default])
        as_they_are = session.run([gradient for gradient, _ in clipping.clipped(never, pairs)])
    np.testing.assert_allclose(shorter, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(as_they_are, [[3, 4], [0.3, 0.4]], rtol=1e-6)


@pytest.mark.parametrize(('images', 'batch'), [(3740, 20), (7, 3), (400, 7)])
def test_the_rate_is_halved_at_exactly_the_step(images, batch):
    length = schedules.RunLength(90_000, batch, images)
    flags = schedules.decaying_every(detection.DetectionScheduleOptions(), 10_000, length)
    rate = schedules.schedule(flags, length).rate
    steps = (0, 9_999, 10_000, 19_999, 20_000, 89_999)
    assert [rate(step) for step in steps] == pytest.approx(
        [0.01, 0.01, 0.005, 0.005, 0.0025, 0.01 / 256]
    )


def test_a_detector_is_no_classifier():
    chosen = options.Export(model_name='mobilenetdet', dataset_name='cifar10')
    with pytest.raises(errors.UsageError, match=r'mobilenetdet finds boxes.*train_object_detector'):
        lookup.for_export(chosen)
