"""What a detector's evaluation says of pictures, by all anchors; whole and damaged records."""

import io
import types

import numpy as np
import pytest
from PIL import Image

from datasets import detection_factory
from datasets.records import detection_format, framing, kitti_labels
from runtime import detection_lookup
from runtime.results import detector
from slim.errors import DataError, NonFiniteLossError

pytestmark = pytest.mark.once

SIZE, FRAME, NAMES = np.array([200, 50]), (100, 100), ('Pedestrian', 'Cyclist', 'Car')


def of_picture(boxes, scores, name='ä.png'):
    values = np.array(boxes, np.float32), np.array(scores, np.float32), np.array([2, 2])
    return detector.of_picture((*values, name.encode(), SIZE), FRAME, NAMES)


def test_boxes_are_in_pixels_of_the_picture():
    found = of_picture([[0, 10, 100, 20], [50, 50, 60, 60]], [0.5, 0.001])
    assert found.name == 'ä.png'
    assert found.detections.boxes.tolist() == [[0, 20, 50, 40]]
    assert found.detections.types == ['Car']


@pytest.mark.parametrize(('side', 'score'), [(np.nan, 0.5), (np.inf, 0.5), (100, np.nan)])
def test_numbers_that_are_not_finite_are_no_detections(side, score):
    with pytest.raises(NonFiniteLossError, match=r'ä.png: .* not finite'):
        of_picture([[0, 10, side, 20], [50, 50, 60, 60]], [score, 0.1])


@pytest.fixture
def dataset(tmp_path):
    """Makes a set of one file, without dataset.json, with a Car in each picture of these names."""

    def make(*names, damage=None):
        file = io.BytesIO()
        Image.new('RGB', (50, 200)).save(file, 'PNG')
        car = kitti_labels.PictureObject('Car', (0.0, 20.0, 50.0, 40.0), line=1)
        path = tmp_path / 'val_000.tfrecord'
        with path.open('wb') as records:
            for name in names:
                image = b'no image' if name == damage else file.getvalue()
                labels = {kind: label for label, kind in enumerate(NAMES)}
                record = detection_format.encode(image, 'PNG', 200, 50, 3, name, [car], labels)
                framing.write_record(records, record)
        return detection_factory.get_dataset('kitti', 'val', str(tmp_path))

    return make


def test_a_record_that_is_damaged_stops_or_is_left_out(dataset):
    records = dataset('a.png', 'b.png', 'c.png')
    (path,) = records.data_sources
    with open(path, 'r+b') as file:
        size = len(file.read()) // 3
        file.seek(size + 30)
        file.write(b'????')
    with pytest.raises(DataError, match=r'val_000.tfrecord, record 1 .*: its bytes do not fit'):
        detector.truths(records)
    left = detector.truths(records, skip_damaged=True)
    assert [truth.name for truth in left] == ['a.png', 'c.png']


def test_pictures_that_were_left_out_are_not_drawn(dataset, tmp_path):
    records = dataset('a.png', 'b.png', 'c.png', damage='b.png')
    found = [of_picture([[0, 10, 100, 20]] * 2, [0.5, 0.5], name) for name in ('a.png', 'c.png')]
    labels = detector.truths(records, skip_damaged=True)
    detector.draw(labels, found, records, 3, str(tmp_path), skip_damaged=True)
    page = (tmp_path / detector.PICTURES_FILE).read_text()
    assert page.count('<figure>') == 2
    assert 'a.png: 1 objects' in page and 'c.png: 1 objects' in page


def test_records_of_others_have_no_names(dataset):
    labels = detector.truths(dataset('', ''))
    assert [truth.name for truth in labels] == ['000000', '000001']


def test_sides_are_no_pixel_longer_than_their_corners_say(dataset):
    labels = detector.truths(dataset('a.png', 'b.png'))
    # IoU 1 and 0.49; with a pixel more on each side, 0.52.
    boxes = {'a.png': [0, 10, 100, 20], 'b.png': [0, 10, 100, 14.9]}
    found = [of_picture([box] * 2, [0.5, 0.4], name) for name, box in boxes.items()]
    tags = detector.score(labels, found, NAMES, '2017')
    assert tags['voc/Car/area'] == tags['voc/mean/area'] == 0.5


def test_the_background_is_no_kind_of_object():
    def kinds(names, has_background):
        network = detection_lookup.Network(lambda images: (images, {}), len(names), names)
        dataset = types.SimpleNamespace(has_background=has_background)
        return detection_lookup.Parts(dataset, network, lambda: None, '').kinds

    assert kinds(('none', 'dog'), True) == ('dog',)
    assert kinds(NAMES, False) == NAMES
