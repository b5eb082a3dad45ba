"""Pictures to compare and calibrate with: given ones, or made by a seed."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from slim import errors

_SEED = 20
_SIDE = 320  # pixels; larger than most networks' input, so that all of the preprocessing is used


def made(count: int) -> list[tuple[str, bytes]]:
    """Names and JPEG files of smooth coloured pictures with edges; the same every time."""
    random = np.random.RandomState(_SEED)
    pictures = []
    for number in range(count):
        coarse = random.uniform(0, 255, [random.randint(2, 9), random.randint(2, 9), 3])
        picture = Image.fromarray(coarse.astype(np.uint8))
        picture = picture.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        left, top, width, height = random.randint(0, _SIDE // 2, 4)
        colour = tuple(int(part) for part in random.randint(0, 256, 3))
        picture.paste(colour, (left, top, left + width, top + height))
        content = io.BytesIO()
        picture.save(content, 'JPEG', quality=95)
        pictures.append((f'made picture {number}', content.getvalue()))
    return pictures


def preprocessed(
    pictures: Sequence[tuple[str, bytes]],
    preprocess: Callable[..., tf.Tensor],
    height: int,
    width: int | None = None,
) -> np.ndarray:
    """The pictures as the network takes them, float32 [n, height, width, c]; no width: squares.

    Raises DataError that names a picture which cannot be decoded.
    """
    files = tf.data.Dataset.from_tensor_slices([content for _, content in pictures])
    images: list[np.ndarray] = []
    try:
        for image in files.map(
            lambda file: preprocess(file, height, width or height)
        ).as_numpy_iterator():
            images.append(image)
    except tf.errors.OpError as error:
        name = pictures[len(images)][0]
        raise errors.DataError(
            f'{errors.shortened(name, 120)} cannot be decoded: it is no JPEG, PNG or GIF file, or '
            'it is damaged'
        ) from error
    return np.stack(images)


def as_videos(images: np.ndarray, frames: int) -> np.ndarray:
    """Each image as a video of so many frames that moves to the right, [n, frames, h, w, c]."""
    return np.stack([np.roll(images, frame, axis=2) for frame in range(frames)], axis=1)


def whole_pixels(images: np.ndarray, scale: tuple[float, tuple[float, ...]]) -> np.ndarray:
    """The images with each pixel rounded to one of 0..255, which a file of bytes can take."""
    factor, offset = np.float32(scale[0]), np.array(scale[1], np.float32)
    return np.clip(np.rint((images - offset) / factor), 0, 255).astype(np.float32) * factor + offset
