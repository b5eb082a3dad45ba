"""CIFAR's preprocessing: crops of the padded image in training, each image standardized.

Krizhevsky's cuda-convnet recipe as TF-Slim fixed its numbers. Images come as uint8 or float32 in
0..255, [h, w, 3] or [h, w, 1]; results are float32 of mean 0 and variance 1.
"""

from __future__ import annotations

import tensorflow as tf

from preprocessing.image_steps import add_image_summary, split_seed, to_grayscale

_PADDING = 4  # pixels on every side


def preprocess_for_train(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    padding: int = _PADDING,
    add_image_summaries: bool = True,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """A random crop of the zero-padded image, flipped, its colours changed, standardized.

    An image that is smaller than the output even with its padding is padded up to it, as in
    evaluation. Returns float32 [output_height, output_width, c]. `seed`: integer [2]; the same
    seed, the same pixels. Summaries have an effect in a plain graph only, not inside tf.data's map.
    """
    crop_seed, flip_seed, brightness_seed, contrast_seed = split_seed(seed, 4)
    if add_image_summaries:
        add_image_summary('image', image)
    image = _as_float(image, use_grayscale)
    channels = image.shape[-1]
    size = tf.shape(image)[:2] + 2 * padding
    size = tf.maximum(size, [output_height, output_width])
    image = tf.image.resize_with_crop_or_pad(image, size[0], size[1])
    image.set_shape([None, None, channels])
    image = tf.image.stateless_random_crop(
        image, [output_height, output_width, channels], crop_seed
    )
    image = tf.image.stateless_random_flip_left_right(image, flip_seed)
    if add_image_summaries:
        add_image_summary('distorted_image', image)
    image = tf.image.stateless_random_brightness(image, 63.0, brightness_seed)
    image = tf.image.stateless_random_contrast(image, 0.2, 1.8, contrast_seed)
    return tf.image.per_image_standardization(image)


def preprocess_for_eval(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    add_image_summaries: bool = True,
    use_grayscale: bool = False,
) -> tf.Tensor:
    """The centre of the image, cropped or zero-padded to the output, standardized.

    Returns float32 [output_height, output_width, c].
    """
    if add_image_summaries:
        add_image_summary('image', image)
    image = _as_float(image, use_grayscale)
    image = tf.image.resize_with_crop_or_pad(image, output_height, output_width)
    if add_image_summaries:
        add_image_summary('resized_image', image)
    return tf.image.per_image_standardization(image)


def preprocess_image(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    add_image_summaries: bool = True,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """The training form or, by default, the evaluation form, float32 [height, width, c]."""
    if is_training:
        return preprocess_for_train(
            image,
            output_height,
            output_width,
            add_image_summaries=add_image_summaries,
            use_grayscale=use_grayscale,
            seed=seed,
        )
    return preprocess_for_eval(
        image, output_height, output_width, add_image_summaries, use_grayscale
    )


def _as_float(image: tf.Tensor, use_grayscale: bool) -> tf.Tensor:
    """float32 [h, w, c], the range kept."""
    image = tf.cast(image, tf.float32)
    return to_grayscale(image) if use_grayscale else image
