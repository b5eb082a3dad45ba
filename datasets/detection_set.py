"""What the rest of the suite knows about one split of pictures with objects."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass

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

    def pictures(self) -> Iterator[Picture]:
        """What a score needs, of every record in the order of the files; no image is decoded.

        DataError, which names file and record, for one that cannot be read.
        """
        for where, record in self._records():
            try:
                features = example_encoding.decode(record)
                yield detection_format.picture_of(features, self.relative)
            except ValueError as error:
                raise DataError(f'{where}: it is no record of a picture: {error}') from error

    def images(self) -> Iterator[np.ndarray]:
        """The pictures of `pictures`, uint8 [height, width, 3]; raises as that does."""
        for where, record in self._records():
            try:
                (encoded,) = example_encoding.decode(record)['image/encoded']
                assert isinstance(encoded, bytes)
                with Image.open(io.BytesIO(encoded)) as image:
                    yield np.asarray(image.convert('RGB'))
            except (ValueError, LookupError, OSError) as error:
                raise DataError(f'{where}: its picture cannot be decoded: {error}') from error

    def _records(self) -> Iterator[tuple[str, bytes]]:
        """Where each record is, and its bytes."""
        for path in self.data_sources:
            for frame in framing.read_records(path):
                where = f'{path}, record {frame.number} (counted from 0)'
                if frame.problem:
                    raise DataError(f'{where}: {frame.problem}')
                yield where, frame.data


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
