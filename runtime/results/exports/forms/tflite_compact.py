"""TFLite files of 8 bits without the zeros that the converter writes again and again.

Weights with a scale for each channel have a zero point for each as well: 8 bytes of zero, twice,
since the bias has them too. In MobileNets that is a tenth of the file. Here tensors share one list
of each kind, which a flatbuffer allows: its offsets lead forward, so all point to the last one, and
the others are cut out. Every offset that reaches over a cut is then made shorter.

For that every offset of the file has to be known. `_TABLES` is the part of TensorFlow Lite's
published `schema.fbs` that has any; a file with something else in it stays as it is.
"""

from __future__ import annotations

import bisect
import struct
from collections import defaultdict
from typing import Any

# Table -> number of the field -> what it points to: a list of plain values or a text (None), a
# table ('T'), or a list of tables (['T']). Fields that are not here are numbers.
_TABLES: dict[str, dict[int, Any]] = {
    'Model': {
        1: ['OperatorCode'], 2: ['SubGraph'], 3: None, 4: ['Buffer'], 5: None, 6: ['Metadata'],
        7: ['SignatureDef'],
    },
    'OperatorCode': {1: None},
    'SubGraph': {0: ['Tensor'], 1: None, 2: None, 3: ['Operator'], 4: None},
    'Tensor': {0: None, 3: None, 4: 'QuantizationParameters', 7: None},
    'QuantizationParameters': {0: None, 1: None, 2: None, 3: None},
    'Operator': {1: None, 2: None, 4: 'Options', 5: None, 7: None, 8: None},
    'Options': {},
    'OptionsWithList': {0: None},
    'Buffer': {0: None},
    'Metadata': {0: None},
    'SignatureDef': {0: ['TensorMap'], 1: ['TensorMap'], 2: None},
    'TensorMap': {0: None},
}  # fmt: skip
# Fields that lead to what is not in the table: sparse and variant tensors, other quantizations,
# newer options and buffers of their own.
_UNKNOWN = {
    'Model': (8, 9),
    'Tensor': (6, 9),
    'QuantizationParameters': (5,),
    'Operator': (12,),
}
# Kinds of an operator's options (enum BuiltinOptions) that are numbers alone, and those with a
# list: reshape and squeeze.
_OPTION_KIND, _OPTIONS = 3, 4
_PLAIN_OPTIONS = frozenset((1, 2, 5, 8, 9, 10, 11, 13, 15, 21, 22, 26, 27, 28, 29, 32, 40, 59))
_LISTED_OPTIONS = frozenset((17, 30))
_ZERO_POINTS = ('QuantizationParameters', 3)
_ALIGNMENT = 16  # the largest in the schema: cuts are multiples of it


class _UnknownPartError(Exception):
    """Something that `_TABLES` does not have."""


def compacted(model: bytes) -> bytes:
    """The same model, smaller; itself where there is nothing to share."""
    walk = _Walk(model)
    try:
        walk.table(struct.unpack_from('<I', model, 0)[0], 'Model', 0)
    except _UnknownPartError:
        return model
    moved, cuts = _shared(model, walk.zero_points)
    if not cuts:
        return model
    return _without(model, cuts, {**walk.offsets, **moved}, walk.vtables)


class _Walk:
    """Finds every offset of a file."""

    def __init__(self, model: bytes) -> None:
        self._model = model
        self.offsets: dict[int, int] = {}  # place of an offset -> its target
        self.vtables: dict[int, int] = {}  # table -> its vtable
        self.zero_points: dict[int, int] = {}  # the part of `offsets` that is zero points

    def table(self, at: int, kind: str, place: int) -> None:
        """The table at `at`, which the offset at `place` points to."""
        self.offsets[place] = at
        if at in self.vtables:
            return
        vtable = at - struct.unpack_from('<i', self._model, at)[0]
        self.vtables[at] = vtable
        (size,) = struct.unpack_from('<H', self._model, vtable)
        fields = struct.unpack_from(f'<{size // 2 - 2}H', self._model, vtable + 4)
        present = {number: at + field for number, field in enumerate(fields) if field}
        if any(number in present for number in _UNKNOWN.get(kind, ())):
            raise _UnknownPartError
        for number, pointed in _TABLES[kind].items():
            if number in present:
                self._field(present, number, pointed, kind)

    def _field(self, present: dict[int, int], number: int, pointed: Any, kind: str) -> None:
        place = present[number]
        target = place + struct.unpack_from('<I', self._model, place)[0]
        self.offsets[place] = target
        if (kind, number) == _ZERO_POINTS:
            self.zero_points[place] = target
        elif (kind, number) == ('Operator', _OPTIONS):
            self.table(target, self._options(present), place)
        elif isinstance(pointed, str):
            self.table(target, pointed, place)
        elif pointed:
            (count,) = struct.unpack_from('<I', self._model, target)
            for entry in range(target + 4, target + 4 + 4 * count, 4):
                (offset,) = struct.unpack_from('<I', self._model, entry)
                self.table(entry + offset, pointed[0], entry)

    def _options(self, present: dict[int, int]) -> str:
        kind = self._model[present[_OPTION_KIND]] if _OPTION_KIND in present else 0
        if kind in _LISTED_OPTIONS:
            return 'OptionsWithList'
        if kind in _PLAIN_OPTIONS:
            return 'Options'
        raise _UnknownPartError


def _shared(
    model: bytes, zero_points: dict[int, int]
) -> tuple[dict[int, int], list[tuple[int, int]]]:
    """New targets of offsets to zero points, and what can go: (begin, length), sorted."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for place, target in zero_points.items():
        alike[_content(model, target)].append(place)
    moved, cuts = {}, {}
    for content, places in alike.items():
        last = max(zero_points[place] for place in places)
        if last <= max(places):  # An offset leads forward.
            continue
        for place in places:
            target = zero_points[place]
            moved[place] = last
            if target != last:
                cuts[target] = len(content) // _ALIGNMENT * _ALIGNMENT
    return moved, sorted((begin, length) for begin, length in cuts.items() if length)


def _content(model: bytes, at: int) -> bytes:
    (count,) = struct.unpack_from('<I', model, at)
    return model[at : at + 4 + 8 * count]


def _without(
    model: bytes,
    cuts: list[tuple[int, int]],
    offsets: dict[int, int],
    vtables: dict[int, int],
) -> bytes:
    begins = [begin for begin, _ in cuts]
    removed = [0]
    for _, length in cuts:
        removed.append(removed[-1] + length)

    def new(place: int) -> int:
        return place - removed[bisect.bisect_left(begins, place)]

    kept, position = bytearray(), 0
    for begin, length in cuts:
        kept += model[position:begin]
        position = begin + length
    kept += model[position:]
    for place, target in offsets.items():
        # The root's offset, at 0, counts from the beginning as all count from their own place.
        struct.pack_into('<I', kept, new(place), new(target) - new(place))
    for table, vtable in vtables.items():
        struct.pack_into('<i', kept, new(table), new(table) - new(vtable))
    return bytes(kept)
