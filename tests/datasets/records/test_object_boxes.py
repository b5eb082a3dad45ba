from __future__ import annotations

import pytest

from datasets.records import object_boxes
from slim.errors import DataError

pytestmark = pytest.mark.once


def test_parts_of_the_sides(annotate):
    path = annotate('a.xml', [(10, 20, 30, 40), (0, 0, 100, 200)])
    assert object_boxes.read(path) == ((0.1, 0.1, 0.2, 0.3), (0.0, 0.0, 1.0, 1.0))


def test_boxes_are_put_in_order_and_clipped(annotate):
    path = annotate('a.xml', [(120, 250, 50, -10)])
    assert object_boxes.read(path) == ((0.0, 0.5, 1.0, 1.0),)


def test_an_image_without_objects(annotate):
    assert object_boxes.read(annotate('a.xml', [])) == ()


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
        object_boxes.read(str(tmp_path / 'bad.xml'))
