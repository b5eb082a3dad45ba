"""Records to batches of pictures with boxes, in the classifier's order."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from datasets import detection_factory
from datasets.conversion import conversion, conversions
from preprocessing import detection_preprocessing
from runtime.input import detection_batches, inputs
from runtime.input.detection_batches import DetectionFormat

FORMAT = DetectionFormat(3, 32, image_width=80)


@pytest.fixture(scope='module')
def records(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('scenes') / 'records')
    settings = conversion.Settings(scenes_train=7, scenes_val=1, scene_height=64, scene_width=160)
    conversions.convert('scenes', folder, settings=settings, progress=lambda line: None)
    return detection_factory.get_dataset('scenes', 'train', folder)


def plain(image, boxes, height, width, seed):
    """Only resized, so that boxes tell the picture."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    view = detection_preprocessing.preprocess_for_eval(image, height, width)
    return view, detection_preprocessing.to_frame(boxes, size, height, width)


def train(records, batches, preprocess=plain, batch=FORMAT, **order):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        pipeline = detection_batches.training_batches(
            records, preprocess, batch, inputs.TrainingOrder(1, **order)
        )
        following = tf.compat.v1.data.make_one_shot_iterator(pipeline).get_next()
        assert [tensor.shape.as_list() for tensor in following[:3]] == [
            [3, 32, 80, 3],
            [3, batch.max_boxes or records.max_boxes, 4],
            [3, batch.max_boxes or records.max_boxes],
        ]
        return [session.run(following) for _ in range(batches)]


def test_an_epoch_has_every_picture_once(records):
    batches = train(records, 7)
    boxes = np.concatenate([boxes for _, boxes, _, _ in batches])
    labels = np.concatenate([labels for _, _, labels, _ in batches])
    assert boxes.dtype == np.float32 and labels.dtype == np.int64
    expected = []
    for picture in records.pictures():
        wanted = [one for one in picture.objects if one.type in ('Car', 'Pedestrian', 'Cyclist')]
        expected.append(
            (
                np.array([one.box for one in wanted]).reshape(-1, 4) / 2,
                [('Pedestrian', 'Cyclist', 'Car').index(one.type) for one in wanted],
            )
        )
    for epoch in range(3):
        left = list(expected)
        for number in range(7 * epoch, 7 * epoch + 7):
            count = int((labels[number] >= 0).sum())
            assert (labels[number, count:] == -1).all() and (boxes[number, count:] == 0).all()
            same = [
                index
                for index, (sides, kinds) in enumerate(left)
                if kinds == labels[number, :count].tolist()
                and np.allclose(sides, boxes[number, :count], atol=1e-3)
            ]
            assert same
            del left[same[0]]
    assert [int(skipped) for *_, skipped in batches] == [0] * 7
    with_views = functools.partial(detection_preprocessing.preprocess_for_train, custom_op=None)
    whole = train(records, 3, with_views)
    resumed = train(records, 1, with_views, first_step=2)
    for one, other in zip(whole[2], resumed[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(whole[0][1], batches[0][1])


def test_evaluation_has_every_record_once(records):
    preprocess = detection_preprocessing.preprocess_for_eval
    names, sizes, real = [], [], []
    for content in detection_batches.evaluation_batches(records, preprocess, FORMAT):
        images, *rest = (tensor.numpy() for tensor in content)
        assert images.shape == (3, 32, 80, 3)
        for found, values in zip((names, sizes, real), rest, strict=True):
            found.extend(values)
    assert real == [True] * 7 + [False] * 2
    assert [name.decode() for name in names] == [
        *(picture.name for picture in records.pictures()),
        '',
        '',
    ]
    assert all(tuple(size) == (64, 160) for size in sizes[:7])


def squeezed(image, boxes, height, width, seed):
    view, boxes = plain(image, boxes, height, width, seed)
    return view, boxes * [1.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ('preprocess', 'batch', 'words'),
    [
        (
            plain,
            DetectionFormat(3, 32, image_width=80, max_boxes=1),
            ['objects, but a batch has room for 1', 'max_boxes'],
        ),
        (squeezed, FORMAT, ['boxes without area']),
        (plain, DetectionFormat(3, 32, 1, image_width=80), ['has label 0', 'are 1 to 2']),
    ],
)
def test_a_record_that_does_not_do_is_named(records, preprocess, batch, words):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        feed = detection_batches.DetectionFeed(records, preprocess, batch, inputs.TrainingOrder(1))
        images, boxes, labels = feed.next_batch()
        assert (images.shape[0], boxes.shape[-1], labels.shape.rank) == (3, 4, 2)
        session.run(tf.compat.v1.tables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError) as raised:
            session.run(images)
        explained = feed.explain(raised.value, 0)
    for word in words:
        assert word in explained
    assert '.png"' in explained
