"""The generated scenes: the same for a seed, with members of every difficulty."""

import collections

import numpy as np
import pytest
from PIL import Image

from datasets import detection_factory
from datasets.conversion import scenes
from datasets.records import kitti_labels
from slim.errors import OutputError, UsageError

pytestmark = pytest.mark.once


def test_a_scene_is_a_function_of_seed_and_number():
    first, lines = scenes.draw(3, 5, 96, 320)
    again, same = scenes.draw(3, 5, 96, 320)
    assert (first.size, first.mode) == ((320, 96), 'RGB')
    assert lines == same and (np.asarray(first) == np.asarray(again)).all()
    for other in ((4, 5), (3, 6)):
        picture, changed = scenes.draw(*other, 96, 320)
        assert changed != lines and (np.asarray(picture) != np.asarray(first)).any()


def test_every_class_has_members_of_every_level():
    levels = collections.Counter()
    for number in range(60):
        _, lines = scenes.draw(0, number, 128, 384)
        objects = kitti_labels.parse(''.join(lines).encode(), 'x.txt')
        kitti_labels.check_inside(objects, 384, 128, 'x.txt')
        for one in objects:
            height = one.box[3] - one.box[1]
            easy = height >= 40 and one.occluded == 0 and one.truncated <= 0.15
            moderate = height >= 25 and one.occluded <= 1 and one.truncated <= 0.3
            hard = height >= 25 and one.occluded <= 2 and one.truncated <= 0.5
            level = 'easy' if easy else 'moderate' if moderate else 'hard' if hard else 'none'
            levels[one.type, level] += 1
            levels[one.type, one.occluded] += 1
            assert 0 <= one.truncated < 0.5 or one.type == 'DontCare'
    for kind in kitti_labels.CLASSES:
        for level in ('easy', 'moderate', 'hard', 0, 1, 2):
            assert levels[kind, level] >= 2, (kind, level, levels)
    assert levels['Van', 'easy'] and levels['DontCare', 'easy'] + levels['DontCare', 'none']


def test_boxes_fit_their_objects():
    """What is painted changes pixels up to the sides of the box, and none outside of it."""
    kind = scenes._KINDS[0]
    for kind in scenes._KINDS:
        draw = scenes.random.Random(1)
        one = scenes._Object(kind, 10.0, 20.0, 10.0, 80.0, 50.0, kind.shapes(draw, (200, 30, 30)))
        canvas = Image.new('L', (100, 64))
        scenes._paint(scenes.ImageDraw.Draw(canvas), one, 255)
        left, top, right, bottom = canvas.getbbox()
        assert abs(left - 20) <= 1 and abs(top - 10) <= 1
        assert abs(right - 80) <= 1 and abs(bottom - 50) <= 1


def test_scenes_as_records(convert_scenes, tmp_path):
    convert_scenes()
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['dataset.json', 'labels.txt', 'train_000.tfrecord', 'val_000.tfrecord']
    dataset = detection_factory.get_dataset('scenes', 'val', str(tmp_path / 'out'))
    assert (dataset.num_samples, dataset.labels_to_names[2]) == (2, 'Car')
    pictures = list(dataset.pictures())
    assert {picture.name for picture in pictures} == {'000003.png', '000004.png'}
    assert all(picture.size == (64, 160) for picture in pictures)
    with pytest.raises(OutputError, match='finished'):
        convert_scenes()
    with pytest.raises(UsageError, match='source_dir has no effect on scenes'):
        convert_scenes(source=str(tmp_path), out='other')
    for wrong in ({'scenes_val': 0}, {'scene_height': 20}):
        with pytest.raises(UsageError):
            convert_scenes(out='other', **wrong)
    assert not (tmp_path / 'other').exists()


@pytest.fixture
def convert_scenes(tmp_path):
    from datasets.conversion import conversion, conversions

    def run(out='out', source=None, **changes):
        settings = {'scenes_train': 3, 'scenes_val': 2, 'scene_height': 64, 'scene_width': 160}
        settings |= changes
        return conversions.convert(
            'scenes',
            str(tmp_path / out),
            source,
            conversion.Settings(**settings),
            settings,
            lambda line: None,
        )

    return run
