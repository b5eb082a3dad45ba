"""LeNet's preprocessing: cropped or zero-padded to the output, -1..1. The same in both forms.

Images come as uint8 or float32 in 0..255, [h, w, 1] or [h, w, 3].
"""

from __future__ import annotations

import tensorflow as tf

from preprocessing.image_steps import to_grayscale


def preprocess_image(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    is_training: bool,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """float32 [output_height, output_width, c] in -1..1.

    `is_training` and `seed` are those of every preprocessing; nothing is drawn here.
    """
    del is_training, seed
    image = tf.image.resize_with_crop_or_pad(image, output_height, output_width)
    image = tf.cast(image, tf.float32)
    if use_grayscale:
        image = to_grayscale(image)
    return (image - 128.0) / 128.0


def pixel_scale(channels: int) -> tuple[float, tuple[float, ...]]:
    """Scale and offsets, by channel, from pixels of 0..255 to what networks get."""
    return 1.0 / 128.0, (-1.0,) * channels
