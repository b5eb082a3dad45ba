"""Names of a network's outputs, in the two forms that people have."""

import pytest

from datasets.records import label_file
from slim import errors

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ('text', 'offset'),
    [
        ('0:cat\n1:dog\n', 0),
        ('1:cat\n2:dog\n', 1),
        ('0:none\n1:cat\n2:dog\n', 1),
        ('cat\ndog\n', 0),
        ('cat\n\ndog', 1),
        ('none\ncat\ndog\n', 1),
    ],
)
def test_outputs_get_the_names_of_their_labels(tmp_path, text, offset):
    path = tmp_path / 'labels.txt'
    path.write_text(text)
    assert label_file.read_outputs(str(path), 2, offset) == ('cat', 'dog')


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('cat\n', 'names 1 labels, but the network has 2 classes, the labels 0 to 1'),
        ('cat\ndog\nowl\n', 'names 3 labels'),
        ('0:cat\n2:dog\n', 'names 2 labels'),
        ('', 'names 0 labels'),
    ],
)
def test_another_number_of_names_is_an_error(tmp_path, text, words):
    path = tmp_path / 'labels.txt'
    path.write_text(text)
    with pytest.raises(errors.DataError, match=words):
        label_file.read_outputs(str(path), 2)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(errors.DataError, match=r'none\.txt cannot be read'):
        label_file.read_outputs(str(tmp_path / 'none.txt'), 2)
