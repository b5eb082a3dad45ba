"""Words in pictures, by Pillow, with the font that it brings."""

from __future__ import annotations

import functools
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from runtime.results.reports import colours

Font: TypeAlias = ImageFont.ImageFont | ImageFont.FreeTypeFont


@functools.cache
def font(points: int) -> Font:
    return ImageFont.load_default(points)


def width(words: str, of: Font) -> int:
    """In pixels."""
    return round(of.getlength(words))


def cut(words: str, of: Font, most: int) -> str:
    """At most `most` pixels wide; where something is left out, three dots say so."""
    if width(words, of) <= most:
        return words
    # One letter is at least two pixels wide, so the rest of a name of a megabyte is not measured.
    low, high = 0, min(len(words), most // 2)
    while low < high:
        middle = (low + high + 1) // 2
        fits = width(f'{words[:middle].rstrip()}...', of) <= most
        low, high = (middle, high) if fits else (low, middle - 1)
    return f'{words[:low].rstrip()}...'


def upright(
    canvas: Image.Image, at: tuple[int, int], words: str, of: Font, centred: bool = False
) -> None:
    """Writes from the bottom to the top, with its middle at x; begins, or has its middle, at y."""
    box = Image.new('L', (width(words, of) + 4, 18))
    ImageDraw.Draw(box).text((2, 9), words, 255, of, anchor='lm')
    turned = box.rotate(90, expand=True)
    x, y = at
    corner = (x - turned.width // 2, y - (turned.height // 2 if centred else turned.height))
    canvas.paste(colours.INK, corner, turned)
