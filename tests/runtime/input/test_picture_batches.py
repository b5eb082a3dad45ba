"""Batches of image files, and why one cannot be read. A picture is a number."""

import os

import fake_records
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.input import pictures
from runtime.input.inputs import BatchFormat
from slim import errors


def write(folder, **content):
    for name, text in content.items():
        path = folder / name.replace('__', '/').replace('_', '.')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.once
def test_a_file_that_cannot_be_opened_is_left_out_or_an_error(tmp_path):
    write(tmp_path, good_jpg='1', empty_jpg='')
    os.mkfifo(tmp_path / 'pipe.jpg')
    paths = [str(tmp_path / f'{name}.jpg') for name in ('none', 'good', 'empty', 'pipe')]
    said = []
    assert pictures.usable(paths, True, said.append) == [paths[1]]
    assert said == [
        f'left out: {paths[0]}: No such file or directory',
        f'left out: {paths[2]}: it is empty',
        f'left out: {paths[3]}: it is no plain file',
    ]
    with pytest.raises(errors.DataError, match=f'^{paths[0]}: No such file'):
        pictures.usable(paths, False, said.append)
    with pytest.raises(errors.DataError, match='None of the 1 pictures'):
        pictures.usable(paths[2:3], True, said.append)


def batches(paths, batch_size, skip=False):
    with tf.Graph().as_default(), tf.Session() as session:
        pipeline = pictures.batches(
            tf.constant(paths), fake_records.preprocess, BatchFormat(batch_size, 2), skip
        )
        following = tf.data.make_one_shot_iterator(pipeline).get_next()
        found = []
        while True:
            try:
                found.append(session.run(following))
            except tf.errors.OutOfRangeError:
                return found


def test_batches_have_every_picture_once_and_one_shape(tmp_path):
    paths = [str(tmp_path / str(number)) for number in range(5)]
    for number, path in enumerate(paths):
        with open(path, 'w') as file:
            file.write(str(number + 10))
    found = batches(paths, 3)
    assert [images.shape for images, _ in found] == [(3, 2, 2, 3)] * 2
    assert [numbers.tolist() for _, numbers in found] == [[0, 1, 2], [3, 4, -1]]
    np.testing.assert_array_equal(found[1][0][:, 0, 0, 0], [13, 14, 0])
    assert pictures.is_real(found[1][1]).tolist() == [True, True, False]

    with open(paths[1], 'w') as file:
        file.write('no number')
    left = batches(paths, 3, skip=True)
    assert [numbers.tolist() for _, numbers in left] == [[0, 2, 3], [4, -1, -1]]
    with pytest.raises(tf.errors.InvalidArgumentError):
        batches(paths, 3)


def test_reasons_name_the_format_or_what_the_decoder_says(tmp_path):
    write(tmp_path, good='1', strange='strange 1', bad='x')
    kind_of = fake_records.NumberRecords.image_kind

    def reason(path):
        return pictures.reason(path, fake_records.preprocess, 2, kind_of)

    assert reason(str(tmp_path / 'good')) == ''
    assert reason(str(tmp_path / 'strange')).startswith(
        'it is a strange file, which is not decoded'
    )
    bad = reason(str(tmp_path / 'bad'))
    assert bad.startswith('it is no image, or a damaged one: StringToNumber')
    assert bad.endswith(': x')
    assert reason(str(tmp_path / 'none')) == 'No such file or directory'
