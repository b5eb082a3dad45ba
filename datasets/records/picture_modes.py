"""Pixels of any kind as 8-bit RGB, or a reason why not: never a white or black picture by accident.

Pillow's `convert` cuts off what is above 255 and drops transparency, under which there may be
nothing but one colour.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

_MIN_BRIGHTEST = 16  # of 255; what is darker everywhere was surely stored with other limits
_DARK = 128
_WHITE_IS_ZERO = 0  # TIFF's tag 262
_PHOTOMETRIC_TAG = 262


def as_rgb(opened: Image.Image) -> Image.Image:
    """The picture in mode RGB. ValueError, with the way out, where its limits are not known."""
    bits = _bits(opened)
    if opened.mode.startswith('I;16') or (opened.mode == 'I' and opened.format in ('PNG', 'PPM')):
        return _from_gray(opened, (1 << bits) - 1)
    if opened.mode in ('I', 'F'):
        raise ValueError(
            f'its pixels are {"floats" if opened.mode == "F" else "32-bit integers"}, and nothing '
            'says which of them are black and white; save it with 8 or 16 bits'
        )
    picture = _opaque(opened) if _has_transparency(opened) else opened.convert('RGB')
    if bits > 8:
        _check_brightest(np.asarray(picture), 255)
    return picture


def _bits(opened: Image.Image) -> int:
    """Bits of a channel as they are in the file, of which Pillow hands out 8 in colour pictures."""
    layout = str([tile[3] for tile in getattr(opened, 'tile', ())])
    if 'I;12' in layout:
        return 12
    return 16 if ';16' in layout or opened.mode.startswith('I') else 8


def _from_gray(opened: Image.Image, white: int) -> Image.Image:
    values = np.asarray(opened).astype(np.float64)
    _check_brightest(values, white)
    scaled = np.clip(values * (255 / white), 0, 255).round()
    if getattr(opened, 'tag_v2', {}).get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO:
        scaled = 255 - scaled
    return Image.fromarray(scaled.astype(np.uint8)).convert('RGB')


def _check_brightest(values: np.ndarray, white: float) -> None:
    brightest = values.max(initial=0)
    if 0 < brightest * 255 < _MIN_BRIGHTEST * white:
        raise ValueError(
            f'it would be a black picture: it has more than 8 bits, of which only the lowest are '
            f'in use (its brightest pixel is {brightest / white:.2%} of white); scale it to the '
            'whole range'
        )


def _has_transparency(opened: Image.Image) -> bool:
    return opened.mode in ('LA', 'PA', 'RGBA', 'La', 'RGBa') or 'transparency' in opened.info


def _opaque(opened: Image.Image) -> Image.Image:
    """The colours without regard to transparency, as TensorFlow reads a PNG file.

    Where they are all the same, the picture is in the transparency alone, like an icon's. It is
    laid over white then, or over black where its one colour is light.
    """
    picture = opened.convert('RGBA')
    colours, opacity = picture.convert('RGB'), picture.getchannel('A')
    if _is_plain(colours) and not _is_plain(opacity):
        dark = np.asarray(colours)[0, 0].mean() < _DARK
        ground = Image.new('RGB', picture.size, 'white' if dark else 'black')
        ground.paste(colours, mask=opacity)
        return ground
    return colours


def _is_plain(picture: Image.Image) -> bool:
    extrema = picture.getextrema()
    return all(low == high for low, high in np.reshape(extrema, (-1, 2)))
