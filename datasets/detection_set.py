"""What the rest of the suite knows about one split of pictures with objects."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from datasets import record_set
from datasets.dataset import Dataset
from datasets.record_set import RecordSet
from datasets.records import description, detection_format, example_encoding, framing
from datasets.records.description import Description
from datasets.records.detection_format import Picture
from slim.errors import DataError

# More than any picture of KITTI has, for records that no dataset.json describes.
_UNDESCRIBED_MAX_BOXES = 64


@dataclass(frozen=True)
class DetectionSet(Dataset):
    """One split: as `Dataset`, and the objects. No tensors.

    `parse` also gives 'boxes' (float32 [n, 4]: xmin, ymin, xmax, ymax in pixels of the picture),
    'labels' (int64 [n]) and 'size' (int32 [2]: height, width). 'label' is one that occurs.
    """

    max_boxes: int = 1  # the most objects of a picture, at least 1
    relative: bool = False  # whether records hold boxes as parts of the picture's sides

    def pictures(self, skip_damaged: bool = False) -> Iterator[Picture]:
        """What a score needs, of every record in the order of the files; no image is decoded.

        DataError, which names file and record, for one that cannot be read, unless such are left
        out.
        """
        for _, _, picture in self._records(skip_damaged):
            yield picture

    def images(
        self, places: Collection[int], skip_damaged: bool = False
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Of the `pictures` at these places: the place and the image, uint8 [height, width, 3].

        Raises as `pictures` does, and for one of these images that cannot be decoded.
        """
        last = max(places, default=-1)
        for place, (where, features, _) in enumerate(self._records(skip_damaged)):
            if place > last:
                return
            if place not in places:
                continue
            try:
                (encoded,) = features['image/encoded']
                assert isinstance(encoded, bytes)
                with Image.open(io.BytesIO(encoded)) as image:
                    yield place, np.asarray(image.convert('RGB'))
            except (ValueError, LookupError, OSError) as error:
                raise DataError(f'{where}: its picture cannot be decoded: {error}') from error

    def _records(self, skip_damaged: bool) -> Iterator[tuple[str, dict[str, Any], Picture]]:
        """Where each record is, its features, and what it says beside its image."""
        for path in self.data_sources:
            for frame in framing.read_records(path):
                problem = frame.problem
                where = f'{path}, record {frame.number} (counted from 0)'
                if not problem:
                    try:
                        features = example_encoding.decode(frame.data)
                        yield where, features, detection_format.picture_of(features, self.relative)
                    except ValueError as error:
                        problem = f'it is no record of a picture: {error}'
                if problem and not skip_damaged:
                    raise DataError(f'{where}: {problem}')


@dataclass(frozen=True)
class ObjectRecords:
    """What a data set's module knows of its records before it has seen any."""

    published: Description | None
    file_pattern: str
    relative: bool = False


def get_split(
    records: ObjectRecords,
    split_name: str,
    dataset_dir: str,
    file_pattern: str | None = None,
    reader: object = None,
) -> DetectionSet:
    """Describes a split; arguments and errors as of `record_set.get_split`."""
    found = record_set.get_split(
        RecordSet(records.published, records.file_pattern),
        split_name,
        dataset_dir,
        file_pattern,
        reader,
    )
    described = description.read_description(dataset_dir)
    max_boxes = _UNDESCRIBED_MAX_BOXES
    if described is not None:
        split = described.splits[split_name]
        if split.max_boxes is None:
            raise DataError(
                f'{dataset_dir} holds the set {described.name!r}, whose pictures have no objects '
                'to be found. Write one that has with tools/tf_convert_data.py.'
            )
        max_boxes = split.max_boxes
        # The names of these files do not say how many there are.
        missing = (split.num_shards or 0) - len(found.data_sources)
        if missing > 0 and file_pattern is None:
            raise DataError(
                f'{dataset_dir} lacks {missing} of the {split.num_shards} files of the split '
                f'{split_name!r}. Write the set anew.'
            )
    shared = {field.name: getattr(found, field.name) for field in dataclasses.fields(Dataset)}
    return DetectionSet(
        **shared
        | {
            'parse': functools.partial(detection_format.parse, relative=records.relative),
            'items_to_descriptions': detection_format.ITEMS_TO_DESCRIPTIONS,
        },
        max_boxes=max(1, max_boxes),
        relative=records.relative,
    )
