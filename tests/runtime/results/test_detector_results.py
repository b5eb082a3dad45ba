"""What a detector says of a picture, from all its anchors."""

import numpy as np
import pytest

from runtime.results import detector
from slim.errors import NonFiniteLossError

pytestmark = pytest.mark.once

SIZE, FRAME, NAMES = np.array([200, 50]), (100, 100), ['Pedestrian', 'Cyclist', 'Car']


def of_picture(boxes, scores):
    values = np.array(boxes, np.float32), np.array(scores, np.float32), np.array([2, 2])
    return detector.of_picture((*values, 'ä.png'.encode(), SIZE), FRAME, NAMES)


def test_boxes_are_in_pixels_of_the_picture():
    found = of_picture([[0, 10, 100, 20], [50, 50, 60, 60]], [0.5, 0.001])
    assert found.name == 'ä.png'
    assert found.detections.boxes.tolist() == [[0, 20, 50, 40]]
    assert found.detections.types == ['Car']


@pytest.mark.parametrize(('side', 'score'), [(np.nan, 0.5), (np.inf, 0.5), (100, np.nan)])
def test_numbers_that_are_not_finite_are_no_detections(side, score):
    with pytest.raises(NonFiniteLossError, match=r'ä.png: .* not finite'):
        of_picture([[0, 10, side, 20], [50, 50, 60, 60]], [score, 0.1])
