from __future__ import annotations

import os

from datasets.records.description import (
    Description,
    Split,
    read_description,
    write_description,
)


def test_description_round_trip(tmp_path):
    about = Description('x', 2, False, {'train': Split(3, 1), 'test': Split(1)}, ('Ä', 'b'))
    write_description(str(tmp_path), about)
    assert read_description(str(tmp_path)) == about
    assert os.listdir(tmp_path) == ['dataset.json']
