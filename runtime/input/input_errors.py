"""Which record of which file a pipeline failed at, in words for the user."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from runtime.input import record_order
from runtime.input.record_order import RecordSet

# What begins the message of a label outside the classes; the first and the last class, the label
# and the name of the record follow.
BAD_LABEL = '@label'
_BAD_LABEL = re.compile(
    re.escape(BAD_LABEL) + r'\]? \[?(-?\d+) (-?\d+) (-?\d+)\]? \[?(.*?)\]?(?:\n|$|\t|")'
)
# The same of objects that do not fit into a batch: its room, their number, those without area.
BAD_BOXES = '@boxes'
_BAD_BOXES = re.compile(
    re.escape(BAD_BOXES) + r'\]? \[?(-?\d+) (-?\d+) (-?\d+)\]? \[?(.*?)\]?(?:\n|$|\t|")'
)
_BAD = (tf.errors.InvalidArgumentError, tf.errors.DataLossError)
# What TensorFlow puts around a message: where the operation was built, and its name.
_AROUND = re.compile(
    r"Graph execution error:|Detected at node.*?\nNode: '[^']*'|Original stack trace.*|\[\[.*?\]\]",
    re.DOTALL,
)


class Place(NamedTuple):
    """A record of a split."""

    path: str
    number: int  # from 0

    def __str__(self) -> str:
        return f'{self.path}, record {self.number} (counted from 0)'


def message(error: Exception) -> str:
    """What an error of the pipeline says, in one line."""
    text = str(error)
    label = _BAD_LABEL.search(text)
    if label:
        return (
            f'record "{label[4]}" has label {label[3]}, but the classes of this set are '
            f'{label[1]} to {label[2]}'
        )
    boxes = _BAD_BOXES.search(text)
    if boxes and int(boxes[3]):
        return f'record "{boxes[4]}" has {boxes[3]} boxes without area inside of its picture'
    if boxes:
        return (
            f'record "{boxes[4]}" has {boxes[2]} objects, but a batch has room for {boxes[1]} of '
            'each picture: raise max_boxes, which dataset.json says for the split'
        )
    return f'A record cannot be used: {" ".join(_AROUND.sub("", text).split())[:300]}'


def explain(
    error: Exception,
    records: RecordSet,
    next_records: Callable[[], tf.data.Dataset] | None = None,
    first_label: int = 0,
) -> str:
    """`FILE, record NUMBER (counted from 0): message`, for which records are read once more.

    Args:
      error: what the pipeline raised.
      records: the split.
      next_records: makes ((file, record), serialized) of those that the failed batch was to hold;
        they are looked at first.
      first_label: the lowest one in use, where labels are shifted.
    """
    if BAD_BOXES in str(error):
        return message(error)
    print('looking for the record that cannot be used', file=sys.stderr, flush=True)
    place = None
    if isinstance(error, tf.errors.DataLossError):
        place = first_bad_record(records, decode=False)
    else:
        place = next_records and _first_bad_of(records, next_records, first_label)
        place = place or first_bad_record(records, first_label=first_label)
    kind = _image_kind(records, place) if place else ''
    if kind:
        return (
            f'{place}: the image is {kind}, which is not decoded here. Write the records anew with '
            'JPEG or PNG images, as preprocess_imagenet.py and download_and_convert_data.py do'
        )
    return f'{place}: {message(error)}' if place else message(error)


def _image_kind(records: RecordSet, place: Place) -> str:
    """The name of an image's format, '' for those that can be decoded or where it has no image."""
    compression = _compressions(records)[records.data_sources.index(place.path)]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        one = tf.data.TFRecordDataset(place.path, compression).skip(place.number).take(1)
        encoded = one.map(lambda record: records.parse(record)['encoded'])
        try:
            content = session.run(tf.data.experimental.get_single_element(encoded))
        except _BAD:
            return ''
    return records.image_kind(content)


def _compressions(records: RecordSet) -> Sequence[str]:
    return records.compressions or [''] * len(records.data_sources)


def first_bad_record(records: RecordSet, decode: bool = True, first_label: int = 0) -> Place | None:
    """The first that cannot be read, decoded or used.

    Reads, and unless that is left out decodes, until there; None if there is none.
    """
    label_of = _label_of_decoded(records) if decode else lambda record: (first_label, 0)
    for path, compression in zip(records.data_sources, _compressions(records), strict=True):
        number = 0
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            labels = tf.data.TFRecordDataset(path, compression).map(label_of, tf.data.AUTOTUNE)
            label = tf.compat.v1.data.make_one_shot_iterator(labels).get_next()
            try:
                while first_label <= session.run(label)[0] < records.num_classes:
                    number += 1
            except tf.errors.OutOfRangeError:
                continue
            except _BAD:
                pass
        return Place(path, number)
    return None


def _first_bad_of(
    records: RecordSet, make_dataset: Callable[[], tf.data.Dataset], first_label: int
) -> Place | None:
    """The same among the ((file, record), serialized) of a dataset."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        iterator = tf.compat.v1.data.make_initializable_iterator(make_dataset())
        session.run(iterator.initializer)
        placed = iterator.get_next()
        record = tf.compat.v1.placeholder(tf.string, [])
        label = _label_of_decoded(records)(record)
        while True:
            try:
                (file, number), serialized = session.run(placed)
            except (tf.errors.OutOfRangeError, *_BAD):
                return None
            try:
                if first_label <= session.run(label, {record: serialized})[0] < records.num_classes:
                    continue
            except _BAD:
                pass
            return Place(records.data_sources[file], int(number))


def _label_of_decoded(records: RecordSet) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """The label of a record and the shape of its image, which has to be decoded for it."""

    @record_order.as_written
    def label_and_shape(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = records.parse(record)
        return features['label'], tf.shape(records.decode(features['encoded']))

    return label_and_shape
