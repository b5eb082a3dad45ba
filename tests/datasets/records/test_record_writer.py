from __future__ import annotations

import pytest

from datasets.records import record_writer
from datasets.records.image_files import ImageFile


@pytest.mark.parametrize(('num_images', 'num_shards'), [(1, 1), (10, 3), (1030, 1024), (5, 9)])
def test_shard_ranges_are_even_and_whole(num_images, num_shards):
    ranges = record_writer.shard_ranges(num_images, num_shards)
    assert len(ranges) == min(num_images, num_shards)
    assert [i for positions in ranges for i in positions] == list(range(num_images))
    sizes = {len(positions) for positions in ranges}
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


def test_shuffle_is_a_function_of_the_seed():
    images = [ImageFile(str(number), number) for number in range(50)]
    first = record_writer.shuffled(images, 1)
    assert first == record_writer.shuffled(images, 1)
    assert first != record_writer.shuffled(images, 2)
    assert first != images
    assert sorted(first, key=lambda image: image.label) == images
    # The order is part of the files that users have: the same on every version of Python.
    assert [image.label for image in first[:5]] == [13, 35, 20, 9, 26]
