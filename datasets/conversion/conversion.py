"""What every conversion of original archives has in common."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from datasets.conversion.downloads import RemoteFile
from datasets.conversion.progress_bar import Progress
from datasets.conversion.set_writer import Workplace
from datasets.records.description import Description
from datasets.records.image_files import DEFAULT_RULES, Rules


@dataclass(frozen=True)
class Settings:
    """What a conversion can be told; None stands for the set's own choice."""

    small_object_area_threshold: float = 0.005
    foreground_class_of_interest: str = 'person'
    validation_fraction: float | None = None
    split_seed: int = 0
    upright: bool = False
    max_megapixels: float = DEFAULT_RULES.max_megapixels
    scenes_train: int = 400
    scenes_val: int = 200
    scene_height: int = 375
    scene_width: int = 1242
    scene_seed: int = 0

    def rules(self) -> Rules:
        return Rules(upright=self.upright, max_megapixels=self.max_megapixels)


@dataclass(frozen=True)
class Conversion:
    """One data set: from what it has been published as to records.

    `find(source_dir)` gives what is there in the form that `convert` takes as its first argument,
    or raises MissingSourceError; it writes nothing. `convert(found, place, settings, progress)`
    writes record files into `place.records`.
    """

    name: str
    find: Callable[[str], Any]
    convert: Callable[[Any, Workplace, Settings, Progress], Description]
    file_patterns: Collection[str]  # match the names of its record files
    remote_files: tuple[RemoteFile, ...] = ()  # what `find` wants and a server has
    settings: Collection[str] = ()  # fields of Settings that it obeys
    generated: bool = False  # made of nothing: `find` is given ''


def encode_png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 [h, w] or [h, w, 3]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'PNG')
    return file.getvalue()


def compare_with_published(
    name: str, num_samples: dict[str, int], sizes: dict[str, int], progress: Progress
) -> None:
    """Says so where a set has other numbers of images than the published one. No error."""
    for split_name, published in sizes.items():
        if num_samples[split_name] != published:
            progress(
                f'note: {split_name} has {num_samples[split_name]} images, the published '
                f'{name} {published}'
            )
