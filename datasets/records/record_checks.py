"""What is in a record file, and what is wrong with it.

No TensorFlow, so that the processes that read start at once.
"""

from __future__ import annotations

import collections
import hashlib
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from datasets.records import (
    example_encoding,
    example_format,
    framing,
    image_ends,
    image_files,
    image_kinds,
)
from datasets.records.example_encoding import Value

HASH_BYTES = 8  # of 1.3 million images, two share one by chance once in ten million sets
_FORMATS = ('JPEG', 'PNG', 'GIF')  # what training decodes
# Per file; what is above is counted only, so that a file of rubbish does not fill the memory.
MAX_KEPT = 1000


@dataclass(frozen=True)
class Problem:
    path: str  # of a record file, or of the folder where no file is to blame
    record: int | None  # counted from 0
    message: str

    def __str__(self) -> str:
        where = self.path if self.record is None else f'{self.path}, record {self.record}'
        return f'{where}: {self.message}'


@dataclass(frozen=True)
class FileTask:
    """What a record file is checked against."""

    path: str
    labels: range
    decode: bool
    max_boxes: int | None = None  # of pictures with objects, whose labels are those of the boxes


@dataclass
class FileFacts:
    """What is in a record file."""

    num_records: int = 0
    num_bytes: int = 0
    labels: collections.Counter[int] = field(default_factory=collections.Counter)  # or of boxes
    hashes: bytearray = field(default_factory=bytearray)  # HASH_BYTES for each record, in order
    problems: list[Problem] = field(default_factory=list)
    num_problems: int = 0

    def add(self, problem: Problem) -> None:
        self.num_problems += 1
        if len(self.problems) < MAX_KEPT:
            self.problems.append(problem)


def check_file(task: FileTask, advance: Callable[[int], object] = lambda count: None) -> FileFacts:
    """Reads one record file; `advance` is called with a number of bytes."""
    facts = FileFacts()
    try:
        for frame in framing.read_records(task.path):
            problem, encoded = frame.problem, b''
            if not problem:
                problem, encoded, labels = _check_record(frame.data, task)
                facts.labels.update(labels)
            facts.num_records += 1
            facts.num_bytes += len(frame.data)
            facts.hashes += hashlib.blake2b(encoded, digest_size=HASH_BYTES).digest()
            if problem:
                facts.add(Problem(task.path, frame.number, problem))
            advance(len(frame.data))
    except OSError as error:
        facts.add(Problem(task.path, None, f'cannot be read: {error.strerror}'))
    return facts


def _check_record(data: bytes, task: FileTask) -> tuple[str, bytes, list[int]]:
    """What is wrong or '', the bytes of the image, the labels if they are in range."""
    try:
        features = example_encoding.decode(data)
        encoded = _only(features, example_format.ENCODED, bytes)
        labels = _labels(features, task)
        if example_format.FILENAME in features:
            _only(features, example_format.FILENAME, bytes)
        _check_boxes(features)
    except ValueError as error:
        return f'it is no record of an image: {error}', b'', []
    names = features.get(example_format.FILENAME) or [b'']
    image_name = names[0].decode(errors='replace') if isinstance(names[0], bytes) else ''
    about = f' ({image_name})' if image_name else ''
    for label in labels:
        if label not in task.labels:
            first, last = task.labels.start, task.labels.stop - 1
            return f'the label is {label}, not one of {first} to {last}{about}', encoded, []
    problem = _check_image(encoded, features, task.decode)
    return problem and f'{problem}{about}', encoded, labels


def _labels(features: Mapping[str, list[Value]], task: FileTask) -> list[int]:
    """The label of an image, or those of its boxes. ValueError where they are not what they should
    be."""
    if task.max_boxes is None:
        return [_only(features, example_format.LABEL, int)]
    labels = features.get(example_format.BBOX_LABEL, [])
    columns = [features.get(side, []) for side in example_format.BBOX_SIDES]
    if any(len(column) != len(labels) for column in columns):
        raise ValueError('there are not as many labels as boxes')
    if len(labels) > task.max_boxes:
        raise ValueError(f'it has {len(labels)} boxes, dataset.json says at most {task.max_boxes}')
    for top, left, bottom, right in zip(*columns, strict=True):
        if not (top < bottom and left < right):
            raise ValueError(f'the box {left} {top} {right} {bottom} has no area')
    if not all(isinstance(label, int) for label in labels):
        raise ValueError(f'{example_format.BBOX_LABEL!r} are not whole numbers')
    return [label for label in labels if isinstance(label, int)]


def _check_image(encoded: bytes, features: Mapping[str, list[Value]], decode: bool) -> str:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # below is TensorFlow's own
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(encoded), formats=_FORMATS) as opened:
            warnings.simplefilter('ignore')
            for key, side in zip(
                (example_format.WIDTH, example_format.HEIGHT), opened.size, strict=True
            ):
                if features.get(key, [side]) != [side]:
                    return f'{key} is {features[key]}, but the image has {side} pixels'
            if opened.width * opened.height >= image_files.MAX_PIXELS:
                return (
                    f'the image has {opened.width}x{opened.height} pixels, more than training '
                    'decodes; write it with fewer'
                )
            if not decode:
                return ''
            opened.load()
            return _not_whole(encoded, opened.format)
    except Image.UnidentifiedImageError:
        kind = image_kinds.of(encoded)
        if kind:
            return f'the image is {kind}, which training does not decode; write it as JPEG or PNG'
        return 'the image cannot be decoded: of no known format'
    except Exception as error:  # A decoder raises whatever its library does.
        return f'the image cannot be decoded: {str(error) or type(error).__name__}'
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _not_whole(encoded: bytes, image_format: str | None) -> str:
    """What is wrong with a file that Pillow reads and TensorFlow does not."""
    if image_format == 'GIF':
        pictures = image_ends.count_gif_pictures(encoded)
        if pictures > 1:
            return (
                f'the image is an animated GIF of {pictures} pictures, which training does not '
                'decode; write one of them'
            )
        is_whole = pictures == 1
    elif image_format == 'PNG':
        is_whole = image_ends.png_is_whole(encoded)
    else:
        is_whole = image_ends.jpeg_is_whole(encoded)
    return '' if is_whole else 'the image cannot be decoded: its end is missing or damaged'


def _check_boxes(features: Mapping[str, list[Value]]) -> None:
    """ValueError for boxes that are not four numbers each."""
    sides = [features.get(side, []) for side in example_format.BBOX_SIDES]
    if not all(isinstance(value, float) for side in sides for value in side):
        raise ValueError("the sides of boxes, 'image/object/bbox/...', are not numbers")
    if len({len(side) for side in sides}) > 1:
        raise ValueError("there are not as many of each side of boxes, 'image/object/bbox/...'")


def _only(features: Mapping[str, list[Value]], key: str, kind: type) -> Any:
    """The one value of a key. ValueError where there is none or another."""
    values = features.get(key)
    if values is None:
        raise ValueError(f'the key {key!r} is missing')
    if len(values) != 1 or not isinstance(values[0], kind):
        raise ValueError(f'{key!r} is not one value of {kind.__name__}')
    return values[0]
