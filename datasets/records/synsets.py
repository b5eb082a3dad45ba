"""The 1,000 classes of ILSVRC-2012: synsets and their words, of WordNet 3.0 (Princeton)."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping

# One synset per line, sorted, and its words.
_FILE = pathlib.Path(__file__).parents[1] / 'imagenet_labels.txt'


@functools.cache
def synsets_to_names() -> Mapping[str, str]:
    """The synsets, sorted, and their names. Reads a file of the package."""
    lines = _FILE.read_text(encoding='utf-8').splitlines()
    return dict(line.split(' ', 1) for line in lines)
