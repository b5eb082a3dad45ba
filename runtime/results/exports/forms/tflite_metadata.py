"""Labels and metadata of a TFLite file, where the usual tools look for them.

Three things, by the published formats (TensorFlow Lite's `schema.fbs` and `metadata_schema.fbs`):

- the files (labels) as a ZIP archive behind the model, as a TFLite file may be both at once;
- a flatbuffer `ModelMetadata` that says what goes in and out and which file names the classes;
- that flatbuffer as one more buffer of the model, and an entry `TFLITE_METADATA` that points to it.

A flatbuffer's offsets are relative and lead forward. So the model as it is stays one piece: a new
root, with new lists of buffers and of metadata, is put in front, and points into it.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence

import flatbuffers

from runtime.results.exports.forms.model import About

LABELS_NAME = 'labels.txt'
_ENTRY_NAME = 'TFLITE_METADATA'
_METADATA_IDENTIFIER, _MODEL_IDENTIFIER = b'M001', b'TFL3'

# Fields of the table `Model`. The first is a number; all others are offsets.
_VERSION, _BUFFERS, _METADATA = 0, 4, 6
_ALIGNMENT = 64  # of what is put in front, so that the model's own buffers keep theirs

# Enumerations of metadata_schema.fbs.
_TENSOR_AXIS_LABELS, _TENSOR_VALUE_LABELS, _DESCRIPTIONS = 2, 3, 1
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_RGB, _GRAYSCALE = 1, 2
_NORMALIZATION = 1


def packed(model: bytes, metadata: bytes, files: Mapping[str, bytes]) -> bytes:
    """The model with its metadata and files inside."""
    whole = io.BytesIO(_with_entry(model, metadata))
    with zipfile.ZipFile(whole, 'a') as archive:
        for name, content in files.items():
            # Of no date, so that the same export has the same bytes.
            archive.writestr(zipfile.ZipInfo(name), content)
    return whole.getvalue()


def described(
    about: About, about_name: str, scale: tuple[float, tuple[float, ...]] | None, in_bytes: bool
) -> bytes:
    """The flatbuffer `ModelMetadata` of an image classifier or a detector.

    Args:
      about: the network, its labels and what comes out.
      about_name: the packed file that has it as well.
      scale: from pixels of 0..255 to the network's input; None: unknown.
      in_bytes: whether what goes in is integers, which a tool fills with pixels.
    """
    builder = _Builder()
    unit = None
    if scale is not None:
        factor, offsets = (1.0, (0.0,)) if about.pixels else scale
        # A tool computes (pixel - mean) / std, and wants as many of the one as of the other.
        means = [-offset / factor for offset in offsets]
        deviations = [1 / factor] * len(means)
        options = builder.table({0: builder.floats(means), 1: builder.floats(deviations)})
        unit = builder.table({0: ('byte', _NORMALIZATION), 1: options})
    colours = _GRAYSCALE if about.use_grayscale else _RGB
    height, width = about.frame
    size = builder.table({0: ('uint', width), 1: ('uint', height)})
    image = builder.table({0: ('byte', colours), 1: size})
    content = builder.table({0: ('byte', _IMAGE_PROPERTIES), 1: image})
    taken = 'pixels, 0..255' if about.pixels or in_bytes else 'as the network takes them'
    given = builder.table(
        {
            0: builder.text('image'),
            1: builder.text(f'Images, {width} x {height}, {taken}'),
            3: content,
            4: builder.tables([unit] if unit is not None else []),
        }
    )
    results = [_result(builder, about, *row) for row in _results(about)]
    subgraph = builder.table({2: builder.tables([given]), 3: builder.tables(results)})
    facts = builder.table(
        {
            0: builder.text(about_name),
            1: builder.text('What the exporter knew of the network, as JSON'),
            2: ('byte', _DESCRIPTIONS),
        }
    )
    task = 'Detector of objects' if about.finds_boxes else 'Image classifier'
    root = builder.table(
        {
            0: builder.text(about.model_name),
            1: builder.text(f'{task}, preprocessing {about.preprocessing_name}'),
            2: builder.text('1'),
            3: builder.tables([subgraph]),
            6: builder.tables([facts]),
            7: builder.text('1.0.0'),
        }
    )
    return builder.finished(root)


def _results(about: About) -> list[tuple[str, str, int | None]]:
    """Name and description of what comes out, and what the names of classes are for in it."""
    if about.finds_boxes:
        height, width = about.frame
        of_frame = f'of a frame of {width} x {height}'
        return [
            ('boxes', f'xmin, ymin, xmax, ymax in pixels {of_frame}', None),
            ('scores', 'Of each box, 0..1; 0: there is none', None),
            ('classes', 'Of each box, a number from 0', _TENSOR_VALUE_LABELS),
        ]
    is_classifier = about.output != 'features'
    return [
        (
            'probability' if is_classifier else 'features',
            f'{about.output} of {about.model_name}',
            _TENSOR_AXIS_LABELS if is_classifier else None,
        )
    ]


def _result(
    builder: _Builder, about: About, name: str, description: str, labels: int | None
) -> int:
    """The table of one output."""
    label_files = []
    if about.labels and labels is not None:
        label_files = [
            builder.table(
                {
                    0: builder.text(LABELS_NAME),
                    1: builder.text('Names of the classes, a line each'),
                    2: ('byte', labels),
                }
            )
        ]
    return builder.table(
        {
            0: builder.text(name),
            1: builder.text(description),
            3: builder.table({0: ('byte', _FEATURE_PROPERTIES), 1: builder.table({})}),
            6: builder.tables(label_files),
        }
    )


class _Builder:
    """Flatbuffers by numbers of fields, without code made from a schema."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def text(self, text: str) -> int:
        return self._builder.CreateString(text)

    def floats(self, values: Sequence[float]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        return self._builder.EndVector()

    def tables(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return self._builder.EndVector()

    def table(self, fields: Mapping[int, int | tuple[str, int]]) -> int:
        """Number of the field to an offset, or to ('byte' or 'uint', value)."""
        self._builder.StartObject(max(fields, default=-1) + 1)
        for number, value in fields.items():
            if not isinstance(value, tuple):
                self._builder.PrependUOffsetTRelativeSlot(number, value, 0)
            elif value[0] == 'byte':
                self._builder.PrependUint8Slot(number, value[1], 0)
            else:
                self._builder.PrependUint32Slot(number, value[1], 0)
        return self._builder.EndObject()

    def finished(self, root: int) -> bytes:
        self._builder.Finish(root, file_identifier=_METADATA_IDENTIFIER)
        return bytes(self._builder.Output())


def _with_entry(model: bytes, metadata: bytes) -> bytes:
    """The model with one more buffer, which the metadata entry of its name points to."""
    fields = _fields_of_root(model)
    buffers = _vector(model, fields.get(_BUFFERS))
    entries = _vector(model, fields.get(_METADATA))

    # The new pieces in the order of their places, since offsets lead forward: root, lists, tables,
    # content. `shift` is where the old model will begin.
    count = max([*fields, _METADATA]) + 1
    vtable_size = 4 + 2 * count
    table_at = _aligned(8 + vtable_size, 4)
    buffers_at = table_at + 4 + 4 * count
    entries_at = buffers_at + 4 + 4 * (len(buffers) + 1)
    buffer_at = entries_at + 4 + 4 * (len(entries) + 1) + 8  # its vtable of 8 bytes before it
    entry_at = buffer_at + 8 + 8
    name_at = entry_at + 12
    name = _ENTRY_NAME.encode()
    content_at = _aligned(name_at + 4 + len(name) + 1 + 4, 16) - 4  # the bytes are aligned
    shift = _aligned(content_at + 4 + len(metadata), _ALIGNMENT)

    head = bytearray(shift)

    def put(at: int, form: str, *values: int) -> None:
        struct.pack_into(f'<{form}', head, at, *values)

    put(0, 'I', table_at)
    head[4:8] = _MODEL_IDENTIFIER
    # A vtable: its size, the table's, and where in the table each field is (0: not there).
    put(8, 'HH', vtable_size, 4 + 4 * count)
    put(table_at, 'i', table_at - 8)
    for number in range(count):
        place = table_at + 4 + 4 * number
        target = {_BUFFERS: buffers_at, _METADATA: entries_at}.get(number)
        if target is None and number in fields and number != _VERSION:
            target = shift + fields[number]
        if target is None and number != _VERSION:
            continue
        put(12 + 2 * number, 'H', 4 + 4 * number)
        put(place, 'I', fields.get(_VERSION, 0) if target is None else target - place)
    for start, targets, added in (
        (buffers_at, buffers, buffer_at),
        (entries_at, entries, entry_at),
    ):
        put(start, 'I', len(targets) + 1)
        for index, target in enumerate([*(shift + target for target in targets), added]):
            place = start + 4 + 4 * index
            put(place, 'I', target - place)
    # Buffer: data. Metadata: name, number of the buffer.
    put(buffer_at - 8, 'HHH', 6, 8, 4)
    put(buffer_at, 'iI', 8, content_at - (buffer_at + 4))
    put(entry_at - 8, 'HHHH', 8, 12, 4, 8)
    put(entry_at, 'iII', 8, name_at - (entry_at + 4), len(buffers))
    put(name_at, 'I', len(name))
    head[name_at + 4 : name_at + 4 + len(name)] = name
    put(content_at, 'I', len(metadata))
    head[content_at + 4 : content_at + 4 + len(metadata)] = metadata
    return bytes(head) + model


def _fields_of_root(model: bytes) -> dict[int, int]:
    """Number of each field of the root that is there, to its target; of the version, its value."""
    (table,) = struct.unpack_from('<I', model, 0)
    vtable = table - struct.unpack_from('<i', model, table)[0]
    (size,) = struct.unpack_from('<H', model, vtable)
    found = {}
    for number, (place,) in enumerate(struct.iter_unpack('<H', model[vtable + 4 : vtable + size])):
        if place:
            (value,) = struct.unpack_from('<I', model, table + place)
            found[number] = value if number == _VERSION else table + place + value
    return found


def _vector(model: bytes, at: int | None) -> list[int]:
    """The targets of a list of tables."""
    if at is None:
        return []
    (count,) = struct.unpack_from('<I', model, at)
    places = range(at + 4, at + 4 + 4 * count, 4)
    return [place + struct.unpack_from('<I', model, place)[0] for place in places]


def _aligned(size: int, to: int) -> int:
    return -(-size // to) * to
