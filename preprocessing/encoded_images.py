"""Regions of encoded images: of a JPEG file only the part that is used is decoded.

The region is chosen from the size in the file's header. Where it is much larger than what will be
made of it, the decoder shrinks it on the way (by 2, 4 or 8, in the DCT domain). Other formats,
which a record may hold as well, are decoded whole and cut.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

_SHRINKS = (8, 4, 2)  # what the JPEG decoder offers, beside none
_JPEG_START = b'\xff\xd8\xff'

# int32 [2], height and width of an image, to int32 [4]: top, left, height and width of a part.
WindowFn = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of an image."""

    pixels: tf.Tensor  # uint8 [h, w, 3]; where it was shrunk, fewer than the window has
    image_size: tf.Tensor  # int32 [2], height and width of the whole image
    window: tf.Tensor  # int32 [4]: top, left, height and width in pixels of the whole image


def read_region(
    encoded: tf.Tensor,
    choose_window: WindowFn,
    decode: Callable[[tf.Tensor], tf.Tensor],
    shrink_to: tuple[int, int] | None = None,
) -> Region:
    """The window of an image that `choose_window` picks.

    Args:
      encoded: string scalar, an image file.
      choose_window: picks it from the size of the image.
      decode: string scalar to uint8 [h, w, 3], for what is no JPEG file.
      shrink_to: height and width in pixels that a JPEG's region must keep at least, if it may be
        shrunk; None: it keeps all of its pixels.
    """

    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, len(_JPEG_START)), _JPEG_START)
    other, jpeg = either(encoded, is_jpeg)
    image = decode(other)
    regions = [_cut(image, choose_window)]
    size = tf.image.extract_jpeg_shape(jpeg)[:2]
    window = choose_window(size)
    if shrink_to is None:
        pixels = _decode_window(jpeg, window, 1)
    else:
        pixels = _decode_shrunk(jpeg, window, shrink_to)
    regions.append((pixels, size, window))
    pixels, size, window = (whichever(parts) for parts in zip(*regions, strict=True))
    return Region(
        tf.ensure_shape(pixels, [None, None, 3]),
        tf.ensure_shape(size, [2]),
        tf.ensure_shape(window, [4]),
    )


def _cut(image: tf.Tensor, choose_window: WindowFn) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    size = tf.shape(image)[:2]
    window = choose_window(size)
    top, left, height, width = tf.unstack(window, num=4)
    return image[top : top + height, left : left + width], size, window


def _decode_shrunk(jpeg: tf.Tensor, window: tf.Tensor, shrink_to: tuple[int, int]) -> tf.Tensor:
    """The window, shrunk as far as `shrink_to` allows."""
    room = tf.reduce_min(window[2:] // tf.constant(shrink_to))
    rest, decoded = jpeg, []
    for shrink in _SHRINKS:
        rest, this = either(rest, room >= shrink)
        decoded.append(_decode_window(this, window, shrink))
    return whichever([*decoded, _decode_window(rest, window, 1)])


def _decode_window(jpeg: tf.Tensor, window: tf.Tensor, shrink: int) -> tf.Tensor:
    # The decoder wants the window in pixels of the shrunken image.
    return tf.raw_ops.DecodeAndCropJpeg(
        contents=jpeg, crop_window=window // shrink, channels=3, ratio=shrink
    )


# A tf.cond inside tf.data's functions costs a function call, a tenth of the time of an image. These
# two are what it is made of: only what depends on the side that was taken is computed.


def either(tensor: tf.Tensor, condition: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(where the condition is false, where it is true): the tensor is in one of them."""
    return tf.raw_ops.Switch(data=tensor, pred=condition)


def whichever(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """The one of the tensors that was computed."""
    return tf.raw_ops.Merge(inputs=list(tensors)).output
