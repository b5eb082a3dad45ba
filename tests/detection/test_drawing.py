"""Boxes drawn into pictures, and pages of such pictures."""

import os

import numpy as np
import pytest
from PIL import Image

from detection import drawing, sheet
from detection.truth import PictureDetections, PictureTruth
from slim.errors import OutputError, UsageError

pytestmark = pytest.mark.once

GROUND = np.full((60, 120, 3), 50, np.uint8)


def test_a_box_has_its_colour_and_its_place():
    boxes = np.array([[10, 30, 41, 51], [70, 5, 999, 20], [60, 50, 50, 40], [200, 1, 300, 9]])
    drawn = drawing.draw(GROUND, boxes, ['', 'Car \u4f60', 'a', 'b'], ['truth', 0, 1, 2])
    assert (GROUND == 50).all() and drawn.shape == GROUND.shape
    for row, column in ((30, 10), (50, 40), (30, 25), (40, 10)):  # corners and sides
        assert tuple(drawn[row, column]) == drawing.COLOURS['truth']
    assert (drawn[29, 9:42] == 0).all()  # the dark line around it
    assert (drawn[33:48, 13:38] == 50).all()  # inside
    assert tuple(drawn[10, 119]) == drawing.CLASS_COLOURS[0]  # cut off at the edge
    assert (drawn[40:50, 50:60] == 50).all()  # inverted: nothing
    plain = drawing.draw(GROUND, boxes, [''] * 4, ['truth', 0, 1, 2])
    assert (drawn[:20, 70:] != plain[:20, 70:]).any()  # the text
    with pytest.raises(KeyError):
        drawing.draw(GROUND, boxes[:1], [''], ['nothing'])
    with pytest.raises(ValueError, match='shorter'):
        drawing.draw(GROUND, boxes[:1], [], ['truth'])
    assert (drawing.draw(GROUND, np.zeros((0, 4)), [], []) == GROUND).all()


@pytest.fixture
def entry():
    truth = PictureTruth(
        '<7>',
        np.array([[10.0, 30, 41, 51], [60, 30, 80, 50]]),
        ['Car', 'DontCare'],
        np.zeros(2),
        np.zeros(2, np.int64),
        np.zeros(2, bool),
    )
    found = PictureDetections(
        np.array([[90.0, 30, 110, 50], [20, 5, 40, 15]]), ['Car', 'Car'], np.array([0.9, 0.1])
    )
    return sheet.entry(GROUND, truth, found)


def test_truth_and_what_was_found(entry):
    assert entry.caption == '<7>: 1 objects, 1 found'
    assert tuple(entry.image[40, 10]) == drawing.COLOURS['truth']
    assert tuple(entry.image[40, 60]) == drawing.COLOURS['ignored']
    assert tuple(entry.image[45, 90]) == drawing.COLOURS['detection']
    assert (entry.image[5, 20:40] == 50).all()  # the score is too low


def test_pages(entry, tmp_path):
    page = tmp_path / 'page.html'
    sheet.write(str(page), 'Found & lost', [entry, entry])
    text = page.read_text()
    assert text.count('<img') == 2 and 'Found &amp; lost' in text and '&lt;7&gt;' in text
    sheet.write(str(tmp_path / 'page.png'), 'x', [entry, entry])
    with Image.open(tmp_path / 'page.png') as opened:
        assert opened.size == (120, 128)
    with pytest.raises(UsageError, match=r'\.html or \.png'):
        sheet.write(str(tmp_path / 'page.txt'), 'x', [entry])
    with pytest.raises(UsageError, match='no pictures'):
        sheet.write(str(page), 'x', [])
    with pytest.raises(OutputError, match='cannot be written'):
        sheet.write(str(tmp_path / 'none' / 'page.png'), 'x', [entry])
    assert sorted(os.listdir(tmp_path)) == ['page.html', 'page.png']
