"""Image files to batches: the pipeline, and why one cannot be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from runtime.input import input_errors
from runtime.input.inputs import BatchFormat
from runtime.input.record_order import as_written
from slim import errors

_PREFETCHED_BATCHES = 2
_FILLING = -1  # the number of what fills the last batch
# What a pipeline raises of a picture, whatever is wrong with it.
INPUT_ERRORS = (
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
    tf.errors.DataLossError,
    tf.errors.UnimplementedError,
    tf.errors.UnknownError,
)


def usable(paths: Sequence[str], skip: bool, say: Callable[[str], object]) -> list[str]:
    """The files that can be opened; `say` gets a line for each other one.

    Raises:
      DataError: one cannot, and is not to be skipped, or none can.
    """
    found = []
    for path in paths:
        wrong = _of_file(path)
        if not wrong:
            found.append(path)
        elif skip:
            say(left_out(path, wrong))
        else:
            raise cannot_be_read(path, wrong)
    if not found:
        raise errors.DataError(f'None of the {len(paths)} pictures can be read')
    return found


def left_out(path: str, wrong: str) -> str:
    return f'left out: {errors.shortened(path, 160)}: {wrong}'


def cannot_be_read(path: str, wrong: str) -> errors.DataError:
    return errors.DataError(f'{errors.shortened(path, 160)}: {wrong}')


def batches(
    paths: Any, preprocess: Callable[..., tf.Tensor], batch: BatchFormat, skip_damaged: bool = False
) -> tf.data.Dataset:
    """Each picture once, in order: (images [b, s, s, c], numbers int64 [b]).

    The last batch is filled up with images of the number -1, so that all shapes are static, as in
    an evaluation. With `skip_damaged` pictures that cannot be used are left out.

    Args:
      paths: string [n].
      preprocess: `f(encoded, height, width)`, string to float32 [s, s, c].
      batch: the form of a batch.
      skip_damaged: whether to leave them out.
    """
    size = batch.image_size

    @as_written
    def picture(number: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return preprocess(tf.io.read_file(path), size, size), number

    @as_written
    def fill_up(images: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        missing = batch.batch_size - tf.shape(numbers)[0]
        filled = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        filled.set_shape([batch.batch_size, *images.shape[1:]])
        numbers = tf.pad(numbers, [[0, missing]], constant_values=_FILLING)
        return filled, tf.ensure_shape(numbers, [batch.batch_size])

    files = tf.data.Dataset.from_tensor_slices(paths).enumerate()
    pictures = files.map(
        picture, num_parallel_calls=batch.parallel_decodes or tf.data.AUTOTUNE, deterministic=True
    )
    if skip_damaged:
        pictures = pictures.ignore_errors()
    return pictures.batch(batch.batch_size).map(fill_up).prefetch(_PREFETCHED_BATCHES)


def is_real(numbers: Any) -> Any:
    """Of the numbers of a batch, those that are not filling."""
    return numbers != _FILLING


def reason(
    path: str,
    preprocess: Callable[..., tf.Tensor],
    size: int,
    kind_of: Callable[[bytes], str],
) -> str:
    """Why a picture cannot be read, in some words; '' where it can.

    Args:
      path: of the picture.
      preprocess: as in `batches`.
      size: pixels, side.
      kind_of: names formats that are not decoded, by a file's first bytes, else ''.
    """
    found = _of_file(path)
    if found:
        return found
    with open(path, 'rb') as file:
        kind = kind_of(file.read(64))
    if kind:
        return f'it is {kind}, which is not decoded here: give a JPEG or PNG file'
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        image = preprocess(tf.io.read_file(os.fsencode(path)), size, size)
        try:
            session.run(image)
        except INPUT_ERRORS as error:
            said = input_errors.message(error).removeprefix('A record cannot be used: ')
            return f'it is no image, or a damaged one: {errors.shortened(said, 160)}'
    return ''


def _of_file(path: str) -> str:
    """Why a file cannot be opened as a picture, without decoding it; '' where it can."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return 'it is no plain file'  # A pipe would be waited for.
        if not found.st_size:
            return 'it is empty'
        if not os.access(path, os.R_OK):
            return 'no permission to read it'
    except OSError as error:
        return error.strerror or 'cannot be opened'
    return ''
