"""The confusion matrix as a picture, whatever the number of classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from runtime.results.reports import colours, text
from runtime.results.reports.counts import Pairs

# Up to so many classes each has a row of its own; of more, so many groups are shown.
MOST_CLASSES, MOST_GROUPS = 50, 100
ZOOMED_CLASSES = 20
_TICKS = 20  # names along a side of groups, at most
_NAME_WIDTH = 150  # pixels
_WHITE = (255, 255, 255)
_SCALE = (0.0, 0.01, 0.1, 0.5, 1.0)  # what the bar of colours names
_SCALE_WIDTH = 80  # pixels: the bar, and its words


@dataclasses.dataclass(frozen=True)
class Matrix:
    """Numbers of images, int64 [n, n], label by prediction, with what each line is called."""

    images: np.ndarray
    names: Sequence[str]  # [n]; '' for a line without
    totals: np.ndarray  # int64 [n]: of each label, also those that stand in no column
    classes_in_line: int = 1


def whole(pairs: Pairs, totals: np.ndarray, names: Sequence[str]) -> Matrix:
    """All classes, in groups of neighbours where there are too many."""
    classes = len(names)
    in_line = 1 if classes <= MOST_CLASSES else -(-classes // MOST_GROUPS)
    group = np.arange(classes) // in_line
    size = int(group[-1]) + 1
    shown = list(names)
    if in_line > 1:
        every = -(-size // _TICKS)
        shown = [names[line * in_line] if line % every == 0 else '' for line in range(size)]
    summed = np.bincount(group, totals, size).astype(np.int64)
    return Matrix(pairs.matrix(group, size), shown, summed, in_line)


def zoomed(
    pairs: Pairs, totals: np.ndarray, names: Sequence[str], classes: Sequence[int]
) -> Matrix:
    """Some classes alone."""
    group = np.full(len(names), -1)
    group[list(classes)] = np.arange(len(classes))
    shown = [names[place] for place in classes]
    return Matrix(pairs.matrix(group, len(classes)), shown, totals[list(classes)])


def draw(matrix: Matrix) -> Image.Image:
    """Rows are labels, columns predictions; the colour is the share of the row's images."""
    size = len(matrix.images)
    cell = next((side for most, side in ((12, 44), (25, 32), (50, 19)) if size <= most), 8)
    font = text.font(12)
    names = [text.cut(name, font, _NAME_WIDTH) for name in matrix.names]
    flat = all(text.width(name, font) <= cell - 4 for name in names)
    left = top = max([text.width(name, font) for name in names] + [40]) + 40
    side = size * cell
    height = top + max(side, 220) + 44
    canvas = Image.new('RGB', (left + side + 24 + _SCALE_WIDTH, height), _WHITE)
    pen = ImageDraw.Draw(canvas)
    for row in range(size):
        for column in range(size):
            _draw_cell(pen, matrix, row, column, (left + column * cell, top + row * cell), cell)
    pen.rectangle((left - 1, top - 1, left + side, top + side), outline=colours.FAINT)
    for line, name in enumerate(names):
        middle = line * cell + cell // 2
        if name:
            pen.text((left - 8, top + middle), name, colours.INK, font, anchor='rm')
            if flat:
                pen.text((left + middle, top - 12), name, colours.INK, font, anchor='mm')
            else:
                text.upright(canvas, (left + middle, top - 8), name, font)
            if cell < 12:
                pen.line((left - 5, top + middle, left - 1, top + middle), colours.FAINT)
                pen.line((left + middle, top - 5, left + middle, top - 1), colours.FAINT)
    bold = text.font(13)
    text.upright(canvas, (14, top + side // 2), 'label', bold, centred=True)
    pen.text((left + side // 2, 12), 'predicted', colours.INK, bold, anchor='mm')
    if matrix.classes_in_line > 1:
        said = (
            f'Each line stands for {matrix.classes_in_line} classes and has the name of its first.'
        )
        pen.text((10, height - 16), said, colours.INK, font, anchor='lm')
    _draw_scale(pen, (left + side + 24, top), font)
    return canvas


def _draw_cell(
    pen: ImageDraw.ImageDraw, matrix: Matrix, row: int, column: int, at: tuple[int, int], cell: int
) -> None:
    images, total = int(matrix.images[row, column]), int(matrix.totals[row])
    colour = colours.of_share(images / total) if total else colours.EMPTY
    x, y = at
    # Where there is room, lines between the cells are left white.
    gap = 1 if cell >= 12 else 0
    pen.rectangle((x, y, x + cell - 1 - gap, y + cell - 1 - gap), colour)
    if images and cell >= 19:
        said = f'{images}'
        # The largest size in which the number stays within its cell.
        for points in (13, 11, 9, 7):
            if text.width(said, text.font(points)) <= cell - 3:
                middle = (x + cell // 2, y + cell // 2)
                font = text.font(points)
                pen.text(middle, said, colours.on_top_of(colour), font, anchor='mm')
                break


def _draw_scale(pen: ImageDraw.ImageDraw, at: tuple[int, int], font: text.Font) -> None:
    x, y = at
    length = 160
    for step in range(length):
        colour = colours.of_share((1 - step / length) ** 2)
        pen.line((x, y + 24 + step, x + 15, y + 24 + step), colour)
    pen.rectangle((x, y + 24, x + 15, y + 24 + length), outline=colours.FAINT)
    pen.text((x, y + 6), 'of the label', colours.INK, font, anchor='lm')
    for share in _SCALE:
        height = y + 24 + round(length * (1 - share**0.5))
        pen.line((x + 15, height, x + 19, height), colours.FAINT)
        pen.text((x + 24, height), f'{share * 100:.0f} %', colours.INK, font, anchor='lm')
