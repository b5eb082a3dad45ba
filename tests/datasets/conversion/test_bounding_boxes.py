from __future__ import annotations

import pytest

from datasets.conversion import bounding_boxes
from datasets.records.image_files import ImageFile
from slim.errors import DataError

pytestmark = pytest.mark.once


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
