"""Label lines of KITTI and annotations of Pascal VOC, right ones and wrong ones."""

import pytest

from datasets.records import kitti_labels, voc_annotations
from datasets.records.kitti_labels import PictureObject
from slim.errors import DataError

pytestmark = pytest.mark.once

CAR = 'Car 0.25 1 -1.5 100.50 150.25 300.75 250.00 1.5 1.6 4.1 2.0 1.7 15.0 -1.4'
INVERTED = 'DontCare -1 -1 -10 781.17 175.52 780.37 174.72 -1 -1 -1 -1000 -1000 -1000 -10'


def parse(*lines, own_types=()):
    return kitti_labels.parse('\n'.join(lines).encode(), 'a/000007.txt', own_types)


def test_lines_are_read():
    car, region = parse(CAR, '', f'{INVERTED}\r')
    assert car == PictureObject('Car', (100.5, 150.25, 300.75, 250.0), 0.25, 1, 0, 1)
    assert (region.type, region.occluded, region.line) == ('DontCare', -1, 3)
    assert car.has_area and not region.has_area
    assert parse() == [] == parse('')  # a picture without objects


def changed(field, value):
    fields = CAR.split()
    fields[field] = value
    return ' '.join(fields)


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        (CAR.rpartition(' ')[0], ['14 fields, not 15']),
        (f'{CAR} 0.9', ['16 fields']),
        (changed(5, 'high'), ["top is 'high', not a number"]),
        (changed(1, 'nan'), ["truncated is 'nan'"]),
        (changed(13, 'inf'), ["z is 'inf'"]),
        (changed(4, '1_0'), ["left is '1_0'"]),
        (changed(2, '1.5'), ['occluded is 1.5']),
        (changed(2, '4'), ['occluded is 4']),
        (changed(4, '300.75'), ['box 300.75 150.25 300.75 250 of Car has no area']),
        (changed(7, '100'), ['has no area']),
        (changed(0, 'Bus'), ["'Bus'", 'Pedestrian', '--classes']),
        (changed(0, 'car'), ["'car'"]),
    ],
)
def test_a_wrong_line_is_named(line, words):
    with pytest.raises(DataError) as raised:
        parse(CAR, line)
    for word in ('a/000007.txt, line 2: ', *words):
        assert word in str(raised.value)


def test_own_types_and_what_is_no_text():
    assert parse(changed(0, 'Bus'), own_types=['Bus'])[0].type == 'Bus'
    with pytest.raises(DataError, match='line 2: it is no text'):
        kitti_labels.parse(CAR.encode() + b'\n\xff', 'x.txt')


@pytest.mark.parametrize('width', [298, 299.7])
def test_boxes_out_of_the_picture(width):
    objects = parse(CAR, 'DontCare -1 -1 -10 -9 0 9999 9 -1 -1 -1 -1000 -1000 -1000 -10')
    kitti_labels.check_inside(objects, 300, 249, 'x.txt')  # rounded sides may be a pixel further
    with pytest.raises(DataError, match=r'line 1: the box 100.5 150.25 300.75 250 of Car reaches'):
        kitti_labels.check_inside(objects, width, 249, 'x.txt')


def voc(name='dog', xmin='48', extra='<difficult>1</difficult><truncated>1</truncated>'):
    return (
        '<annotation><size><width>353</width><height>500</height></size>'
        f'<object><name>{name}</name>{extra}<bndbox><xmin>{xmin}</xmin><ymin>240</ymin>'
        '<xmax>195</xmax><ymax>371</ymax></bndbox><part><name>head</name><bndbox><xmin>9</xmin>'
        '</bndbox></part></object></annotation>'
    ).encode()


def test_annotations_of_voc_count_from_one():
    found = voc_annotations.parse(voc(), 'x.xml')
    assert found == [PictureObject('dog', (47.0, 239.0, 195.0, 371.0), 1.0, 0, 1, 1)]
    plain = voc_annotations.parse(voc(extra=''), 'x.xml')[0]
    assert (plain.truncated, plain.difficult) == (0, 0)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (voc()[:-9], 'no XML file'),
        (voc(name='unicorn'), "object 1: the class 'unicorn'"),
        (voc(xmin='left'), "object 1: bndbox/xmin is 'left'"),
        (voc(xmin='197'), 'object 1: the box 197 240 195 371 of dog is inverted'),
        (voc().replace(b'ymax', b'bottom'), 'object 1: there is no bndbox/ymax'),
    ],
)
def test_a_wrong_annotation_is_named(content, words):
    with pytest.raises(DataError) as raised:
        voc_annotations.parse(content, 'a/x.xml')
    assert str(raised.value).startswith('a/x.xml') and words in str(raised.value)
