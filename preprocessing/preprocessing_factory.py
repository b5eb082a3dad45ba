"""Preprocessings by name; a network's name stands for the one that it was published with.

To add one: a module with `preprocess_image(image, height, width, is_training=...,
use_grayscale=..., seed=None)`, a row below, and its names in `names.NAMES`; where its last step is
a scale and an offset of each pixel, also `pixel_scale(channels)`, so that exports can have that
step inside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from preprocessing import (
    cifarnet_preprocessing,
    digits_preprocessing,
    image_op,
    inception_preprocessing,
    lenet_preprocessing,
    vgg_preprocessing,
)
from preprocessing.image_op import ImageOp
from preprocessing.image_steps import split_seed
from preprocessing.names import NAMES
from slim.errors import unknown_name

PreprocessingFn = Callable[..., tf.Tensor]

_MODULES: dict[str, Any] = {
    'cifarnet_preprocessing': cifarnet_preprocessing,
    'digits_preprocessing': digits_preprocessing,
    'inception_preprocessing': inception_preprocessing,
    'lenet_preprocessing': lenet_preprocessing,
    'vgg_preprocessing': vgg_preprocessing,
}

preprocessing_fn_map: dict[str, Any] = {
    name: _MODULES[module] for module, names in NAMES.items() for name in names
}


def get_preprocessing(
    name: str, is_training: bool = False, use_grayscale: bool = False
) -> PreprocessingFn:
    """The preprocessing `name` as fn(image, output_height, output_width, **kwargs).

    `fn` maps one image, uint8 [h, w, c], to float32 [output_height, output_width, c] in the range
    that the networks of that name expect; with `use_grayscale` to one channel. `kwargs` go to the
    module's `preprocess_image`; every one takes `seed` (integer [2]), which determines all that is
    drawn. Raises UsageError for an unknown name.
    """
    if name not in preprocessing_fn_map:
        raise unknown_name('preprocessing', name, preprocessing_fn_map)
    preprocess_image = preprocessing_fn_map[name].preprocess_image

    def preprocessing_fn(
        image: tf.Tensor, output_height: int, output_width: int, **kwargs: Any
    ) -> tf.Tensor:
        return preprocess_image(
            image,
            output_height,
            output_width,
            is_training=is_training,
            use_grayscale=use_grayscale,
            **kwargs,
        )

    return preprocessing_fn


def pixel_scale(name: str, channels: int) -> tuple[float, tuple[float, ...]] | None:
    """Scale and offsets by channel: a network's input is `pixel * scale + offset`, 0..255.

    None where it is no such function of the single pixel, as in `cifarnet`, which standardizes each
    image by its own numbers. Raises UsageError for an unknown name.
    """
    if name not in preprocessing_fn_map:
        raise unknown_name('preprocessing', name, preprocessing_fn_map)
    of_module = getattr(preprocessing_fn_map[name], 'pixel_scale', None)
    return of_module(channels) if of_module else None


def find_custom_op(name: str, fused: bool, wanted: bool) -> tuple[ImageOp | None, str]:
    """The compiled operation for `get_encoded_preprocessing`, and what to tell about it.

    None without a word where the preprocessing `name` has no use for it; None with the command that
    builds it where it has not been built. Raises BuildError where it does not load.
    """
    if not (fused and wanted and hasattr(preprocessing_fn_map.get(name), 'preprocess_encoded')):
        return None, ''
    custom_op = image_op.load()
    if custom_op:
        return custom_op, 'images by the compiled operation'
    return None, f"images by TensorFlow's operations; {image_op.BUILD_COMMAND} builds a faster one"


def get_encoded_preprocessing(
    name: str,
    decode: Callable[[tf.Tensor], tf.Tensor],
    is_training: bool = False,
    use_grayscale: bool = False,
    fused: bool = True,
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    custom_op: ImageOp | None = None,
) -> PreprocessingFn:
    """The preprocessing `name` from an image file as fn(encoded, height, width, seed=None).

    For the same seed the same view as `get_preprocessing` has of the decoded image.

    Args:
      name: a name in the table.
      decode: string scalar to uint8 [h, w, c].
      is_training: the training form.
      use_grayscale: results have one channel.
      fused: where the module has a `preprocess_encoded`, decode only what is used; for sets whose
        images have three channels.
      augment: uint8 [h, w, 3] and a seed to the same, for training: of the resized crop in place of
        the colour changes in a `preprocess_encoded`, else of the decoded image.
      custom_op: what a `preprocess_encoded` computes with; None: TensorFlow's operations.

    Raises UsageError for an unknown name.
    """
    preprocess_decoded = get_preprocessing(name, is_training, use_grayscale)
    preprocess_encoded = getattr(preprocessing_fn_map[name], 'preprocess_encoded', None)
    if fused and preprocess_encoded:
        return functools.partial(
            preprocess_encoded,
            decode=decode,
            is_training=is_training,
            use_grayscale=use_grayscale,
            augment=augment,
            custom_op=custom_op,
        )

    def decode_and_preprocess(
        encoded: tf.Tensor, height: int, width: int, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        image = decode(encoded)
        if augment and is_training:
            augment_seed, seed = split_seed(seed, 2)
            image = augment(image, augment_seed)
        return preprocess_decoded(image, height, width, seed=seed)

    return decode_and_preprocess
