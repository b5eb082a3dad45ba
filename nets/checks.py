"""What every network asks of its arguments, before it creates the first variable."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow.compat.v1 as tf

from slim import errors

_LAYOUTS = {
    4: '[batch, height, width, channels]',
    5: '[batch, frames, height, width, channels]',
}


def check_images(images: tf.Tensor, rank: int = 4, min_size: int = 1, min_frames: int = 1) -> None:
    """UsageError unless `images` has that rank, and its known sides are large enough.

    Args:
      images: float32 [batch, height, width, channels], or with frames after the batch for rank 5.
      rank: 4 or 5.
      min_size: least height and width in pixels.
      min_frames: least number of frames.
    """
    shape = images.shape
    if shape.rank != rank:
        raise errors.UsageError(f'The images have shape {shape}; expected {_LAYOUTS[rank]}.')
    frames, height, width = shape.as_list()[-4:-1]
    if any(side is not None and side < min_size for side in (height, width)):
        raise errors.UsageError(
            f'The images are {height} x {width} pixels; this network needs at least '
            f'{min_size} x {min_size}.'
        )
    if rank == 5 and frames is not None and frames < min_frames:
        raise errors.UsageError(
            f'The videos have {frames} frames; this network needs at least {min_frames}.'
        )


def check_final_endpoint(final_endpoint: str | None, names: Iterable[str]) -> None:
    """UsageError unless `final_endpoint` is None or one of `names`."""
    names = list(names)
    if final_endpoint is not None and final_endpoint not in names:
        raise errors.unknown_name('final_endpoint', final_endpoint, names)


def check_depth_multiplier(depth_multiplier: float) -> None:
    """UsageError unless the factor on the widths is above 0."""
    if not depth_multiplier > 0:
        raise errors.UsageError(f'The depth multiplier is {depth_multiplier}; it must be above 0.')


def check_output_stride(output_stride: int | None, allowed: Iterable[int | None]) -> None:
    """UsageError unless `output_stride` is one of `allowed`."""
    allowed = list(allowed)
    if output_stride not in allowed:
        raise errors.UsageError(
            f'The output stride is {output_stride}; allowed are {", ".join(map(str, allowed))}.'
        )


def check_num_classes(num_classes: int | None) -> None:
    """UsageError for a negative width of the logits; 0 and None mean no classifier."""
    if num_classes is not None and num_classes < 0:
        raise errors.UsageError(f'num_classes is {num_classes}; give 0 or None for no classifier.')


def check_one_place(height: int | None, width: int | None, max_size: int) -> None:
    """UsageError where the logits would be a map, which no squeeze turns into a vector.

    Args:
      height, width: of the images in pixels, None where unknown.
      max_size: greatest height and width that give a single place.
    """
    if any(side is not None and side > max_size for side in (height, width)):
        raise errors.UsageError(
            f'The images are {height} x {width} pixels; above {max_size} x {max_size} this network '
            'gives a map of logits: give spatial_squeeze=False, or global_pool=True if it has that.'
        )
