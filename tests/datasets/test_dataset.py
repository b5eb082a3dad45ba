"""The description of a split that readers get."""

import pytest

from datasets.dataset import Dataset


@pytest.mark.parametrize(('compressions', 'kept'), [(('', 'GZIP', 'ZLIB'), ('ZLIB', '')), ((), ())])
def test_some_of_the_files_keep_how_they_are_compressed(compressions, kept):
    whole = Dataset(
        name='x',
        split_name='validation',
        data_sources=('a', 'b', 'c'),
        num_samples=9,
        num_classes=2,
        has_background=False,
        labels_to_names=None,
        parse=lambda record: {},
        decode=lambda encoded: encoded,
        compressions=compressions,
    )
    part = whole.only(['c', 'a'])
    assert (part.data_sources, part.compressions) == (('c', 'a'), kept)
    assert part.num_samples == 9
    assert whole.only([]).compressions == ()
