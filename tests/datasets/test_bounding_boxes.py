from __future__ import annotations

import pytest

from datasets import bounding_boxes
from datasets.record_writer import ImageFile
from slim.errors import DataError


@pytest.fixture
def annotate(tmp_path):
    """annotate(name, boxes, size): an XML file as ILSVRC has it; boxes (xmin, ymin, xmax, ymax)."""

    def annotate(name, boxes=((10, 20, 30, 40),), size=(100, 200), folder='boxes'):
        objects = ''.join(
            '<object><name>n01</name><bndbox>'
            f'<xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>'
            for a, b, c, d in boxes
        )
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'<annotation><filename>%s</filename><size><width>{size[0]}</width>'
            f'<height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>'
        )
        return str(path)

    return annotate


def test_parts_of_the_sides(annotate):
    path = annotate('a.xml', [(10, 20, 30, 40), (0, 0, 100, 200)])
    assert bounding_boxes.read(path) == ((0.1, 0.1, 0.2, 0.3), (0.0, 0.0, 1.0, 1.0))


def test_boxes_are_put_in_order_and_clipped(annotate):
    path = annotate('a.xml', [(120, 250, 50, -10)])
    assert bounding_boxes.read(path) == ((0.0, 0.5, 1.0, 1.0),)


def test_an_image_without_objects(annotate):
    assert bounding_boxes.read(annotate('a.xml', [])) == ()


@pytest.mark.parametrize(
    ('content', 'match'),
    [
        ('<annotation>', 'no element found'),
        ('<annotation></annotation>', 'has no size/width'),
        ('<a><size><width>0</width><height>5</height></size></a>', '0x5 pixels'),
        ('<a><size><width>x</width><height>5</height></size></a>', "size/width is 'x'"),
        (
            '<a><size><width>5</width><height>5</height></size><object><bndbox><xmin>1</xmin>'
            '</bndbox></object></a>',
            '<object> has no bndbox/ymin',
        ),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, match):
    (tmp_path / 'bad.xml').write_text(content)
    with pytest.raises(DataError, match=rf'bad\.xml .*{match}'):
        bounding_boxes.read(str(tmp_path / 'bad.xml'))


def _splits():
    return {
        'train': [
            ImageFile('/raw/train/n01/n01_1.JPEG', 1, 'n01'),
            ImageFile('/x/b.JPEG', 2, 'n02'),
        ],
        'validation': [ImageFile('/raw/val/v_1.JPEG', 1, 'n01')],
    }


@pytest.mark.parametrize('train', ['n01/n01_1.xml', 'train/n01/n01_1.xml'])
@pytest.mark.parametrize(
    'validation', ['val/v_1.xml', 'v_1.xml', 'validation/v_1.xml', 'val/n01/v_1.xml']
)
def test_files_find_their_images(annotate, tmp_path, train, validation):
    first, second = annotate(train), annotate(validation)
    attached = bounding_boxes.attach(_splits(), str(tmp_path / 'boxes'))
    assert [image.annotation for image in attached['train']] == [first, '']
    assert [image.annotation for image in attached['validation']] == [second]


def test_boxes_of_unknown_images_are_named(annotate, tmp_path):
    annotate('n01/n01_1.xml')
    annotate('n01/n01_7.xml')
    with pytest.raises(DataError, match=r'for 1 images that are not there: n01/n01_7\.xml'):
        bounding_boxes.attach(_splits(), str(tmp_path / 'boxes'))


def test_a_folder_without_boxes(tmp_path):
    with pytest.raises(DataError, match=r'holds no XML file.*expected n01440764'):
        bounding_boxes.attach(_splits(), str(tmp_path))
    with pytest.raises(DataError, match=r'no folder .*--bounding_box_dir'):
        bounding_boxes.attach(_splits(), str(tmp_path / 'nowhere'))
