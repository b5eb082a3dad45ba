"""Boxes and their texts drawn into a picture.

The colours are told apart by people who are colour-blind: those of M. Okabe and K. Ito, "Color
Universal Design", 2008. Each line has a dark one around it, so that it is seen on any ground.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

# What a box stands for.
COLOURS: dict[str, Colour] = {
    'truth': (0, 158, 115),  # bluish green
    'ignored': (187, 187, 187),  # a region or object that does not count
    'detection': (230, 159, 0),  # orange
}
# By label, for boxes that stand for classes.
CLASS_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233),  # sky blue
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
)
_DARK = (0, 0, 0)
_LINES_IN_HEIGHT = 190  # pictures of 375 rows get lines of 2 pixels


def draw(
    image: np.ndarray, boxes: np.ndarray, texts: Sequence[str], kinds: Sequence[str | int]
) -> np.ndarray:
    """A copy of a picture with a rectangle and a text for each box.

    Args:
      image: uint8 [height, width, 3].
      boxes: [n, 4]: xmin, ymin, xmax, ymax in pixels of the picture, 0-based. Inverted ones and
        those outside are left out, others cut off at the edges.
      texts: n, each shown above its box, or in it where there is no room; '' for none.
      kinds: n: keys of `COLOURS`, or labels of classes.

    Raises ValueError for lists of other lengths, KeyError for an unknown kind.
    """
    picture = Image.fromarray(np.array(image, np.uint8))
    brush = ImageDraw.Draw(picture)
    width, height = picture.size
    line = max(1, round(height / _LINES_IN_HEIGHT))
    sides = np.asarray(boxes, np.float64).reshape(-1, 4)
    colours = [colour(kind) for kind in kinds]
    for (left, top, right, bottom), text, shade in zip(sides, texts, colours, strict=True):
        shown = [max(left, 0), max(top, 0), min(right, width) - 1, min(bottom, height) - 1]
        if shown[2] < shown[0] or shown[3] < shown[1]:
            continue
        brush.rectangle([shown[0] - 1, shown[1] - 1, shown[2] + 1, shown[3] + 1], outline=_DARK)
        brush.rectangle(shown, outline=shade, width=line)
        if text:
            _write(brush, picture.size, shown, text, shade)
    return np.asarray(picture)


def colour(kind: str | int) -> Colour:
    """Of a kind of `COLOURS` or of a label; labels beyond the colours take them again."""
    if isinstance(kind, str):
        return COLOURS[kind]
    return CLASS_COLOURS[kind % len(CLASS_COLOURS)]


def _write(
    brush: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: Sequence[float],
    text: str,
    shade: Colour,
) -> None:
    """The text in dark letters on a ground of the box's colour."""
    # The built-in font has the letters of Western Europe alone.
    text = text.encode('latin-1', 'replace').decode('latin-1')
    font = ImageFont.load_default()
    _, _, wide, tall = (int(side) for side in brush.textbbox((0, 0), text, font=font))
    x = max(0, min(int(box[0]), size[0] - wide - 4))
    y = int(box[1]) - tall - 4
    y = y if y >= 0 else int(box[1])
    brush.rectangle([x, y, x + wide + 4, y + tall + 4], fill=shade, outline=_DARK)
    brush.text((x + 2, y + 1), text, fill=_DARK, font=font)
