"""Inception's preprocessing with one size for both sides, as the first release had it."""

from __future__ import annotations

import tensorflow as tf

from preprocessing import inception_preprocessing

apply_with_random_selector = inception_preprocessing.apply_with_random_selector
distort_color = inception_preprocessing.distort_color
distorted_bounding_box_crop = inception_preprocessing.distorted_bounding_box_crop


def preprocess_for_train(
    image: tf.Tensor,
    image_size: int,
    bbox: tf.Tensor | None = None,
    fast_mode: bool = True,
    add_image_summaries: bool = True,
    random_crop: bool = True,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """float32 [image_size, image_size, c] in -1..1; see inception_preprocessing."""
    return inception_preprocessing.preprocess_for_train(
        image,
        image_size,
        image_size,
        bbox,
        fast_mode,
        add_image_summaries=add_image_summaries,
        random_crop=random_crop,
        use_grayscale=use_grayscale,
        seed=seed,
    )


def preprocess_for_eval(
    image: tf.Tensor,
    image_size: int,
    central_fraction: float | None = 0.875,
    central_crop: bool = True,
    use_grayscale: bool = False,
) -> tf.Tensor:
    """float32 [image_size, image_size, c] in -1..1: the central part, resized bilinearly."""
    return inception_preprocessing.preprocess_for_eval(
        image,
        image_size,
        image_size,
        central_fraction,
        central_crop=central_crop,
        use_grayscale=use_grayscale,
    )
