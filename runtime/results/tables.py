"""Rows of values as a table to read, or as CSV. No TensorFlow."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from slim import errors

Row = Sequence[Any]


def text(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Columns as wide as their widest value, numbers to the right, commas between thousands."""
    shown = [[_cell(value) for value in row] for row in rows]
    numeric = [False] * len(columns)
    for row in rows:
        numeric = [
            found or isinstance(value, (int, float))
            for found, value in zip(numeric, row, strict=True)
        ]
    widths = [max(map(len, column)) for column in zip(columns, *shown, strict=True)]
    lines = []
    for row in [list(columns), *shown]:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        lines.append('  '.join(cells).rstrip())
    return '\n'.join(lines)


def as_csv(columns: Sequence[str], rows: Iterable[Row], head: bool = True) -> str:
    """With the names of the columns in the first line."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator='\n')
    if head:
        writer.writerow(columns)
    writer.writerows([[_plain(value) for value in row] for row in rows])
    return written.getvalue().rstrip('\n')


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f'{value:,}'
    if isinstance(value, float):
        return f'{value:.4f}'
    return errors.printable(_plain(value))


def _plain(value: Any) -> Any:
    if value is None:
        return ''
    return shape(value) if isinstance(value, (list, tuple)) else value


def shape(sizes: Sequence[int | None]) -> str:
    """`1x112x112x32`."""
    return 'x'.join('?' if size is None else str(size) for size in sizes)
