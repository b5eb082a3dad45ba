"""Inception's preprocessing: distorted crops in training, the central 87.5 % in evaluation, -1..1.

Szegedy et al., "Going Deeper with Convolutions", 2014, section 6, as TF-Slim fixed its numbers.
Images come as uint8 (0..255) or as float32 in 0..1, [h, w, 3] or [h, w, 1] of unknown height and
width. They are cropped before they are made floats: only pixels that are used are converted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from preprocessing.image_steps import (
    add_image_summary,
    scale_to_signed_unit,
    split_seed,
    to_grayscale,
)
from slim.errors import UsageError

# The numbers are positions in tf.compat.v1.image.ResizeMethod.
_RESIZE_METHODS = (
    tf.compat.v1.image.ResizeMethod.BILINEAR,
    tf.compat.v1.image.ResizeMethod.NEAREST_NEIGHBOR,
    tf.compat.v1.image.ResizeMethod.BICUBIC,
    tf.compat.v1.image.ResizeMethod.AREA,
)

# In fast mode hue and contrast, the slow ones, are left out.
_FAST_COLOR_ORDERS: tuple[tuple[str, ...], ...] = (
    ('brightness', 'saturation'),
    ('saturation', 'brightness'),
)
_COLOR_ORDERS: tuple[tuple[str, ...], ...] = (
    ('brightness', 'saturation', 'hue', 'contrast'),
    ('saturation', 'brightness', 'contrast', 'hue'),
    ('contrast', 'hue', 'brightness', 'saturation'),
    ('hue', 'saturation', 'contrast', 'brightness'),
)
_COLOR_STEPS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    'brightness': lambda x, seed: tf.image.stateless_random_brightness(x, 32.0 / 255.0, seed),
    'saturation': lambda x, seed: tf.image.stateless_random_saturation(x, 0.5, 1.5, seed),
    'hue': lambda x, seed: tf.image.stateless_random_hue(x, 0.2, seed),
    'contrast': lambda x, seed: tf.image.stateless_random_contrast(x, 0.5, 1.5, seed),
}
_NEEDS_RGB = frozenset(('saturation', 'hue'))


def apply_with_random_selector(
    x: tf.Tensor,
    func: Callable[[tf.Tensor, int], tf.Tensor],
    num_cases: int,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """func(x, case) for one case drawn from 0 .. num_cases - 1; only that case is computed."""
    if num_cases == 1:
        return func(x, 0)
    (case_seed,) = split_seed(seed, 1)
    case = tf.random.stateless_uniform([], case_seed, maxval=num_cases, dtype=tf.int32)
    return tf.switch_case(
        case, [lambda number=number: func(x, number) for number in range(num_cases)]
    )


def distort_color(
    image: tf.Tensor,
    color_ordering: int = 0,
    fast_mode: bool = True,
    scope: str | None = None,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """Random brightness and saturation (and hue and contrast unless `fast_mode`), clipped to 0..1.

    `image` is float32 [h, w, c] in 0..1. The steps do not commute; `color_ordering` (0..3, in fast
    mode 0 or anything else) chooses their order. An image of one channel has no saturation or hue
    to change.
    """
    if fast_mode:
        order = _FAST_COLOR_ORDERS[0 if color_ordering == 0 else 1]
    elif 0 <= color_ordering < len(_COLOR_ORDERS):
        order = _COLOR_ORDERS[color_ordering]
    else:
        raise UsageError(f'color_ordering must be 0 to {len(_COLOR_ORDERS) - 1}: {color_ordering}')
    with tf.compat.v1.name_scope(scope, 'distort_color', [image]):
        seeds = dict(zip(_COLOR_STEPS, split_seed(seed, len(_COLOR_STEPS)), strict=True))
        for step in order:
            if image.shape[-1] != 1 or step not in _NEEDS_RGB:
                image = _COLOR_STEPS[step](image, seeds[step])
        return tf.clip_by_value(image, 0.0, 1.0)


def distorted_bounding_box_crop(
    image: tf.Tensor,
    bbox: tf.Tensor,
    min_object_covered: float = 0.1,
    aspect_ratio_range: Sequence[float] = (0.75, 1.33),
    area_range: Sequence[float] = (0.05, 1.0),
    max_attempts: int = 100,
    scope: str | None = None,
    seed: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A random crop that covers at least `min_object_covered` of one of the boxes.

    `bbox` is float32 [1, n, 4] (ymin, xmin, ymax, xmax, each 0..1 of the image side); without boxes
    the whole image is the box. After `max_attempts` failures the crop is the whole image. Returns
    the crop, of the image's type, and its box, float32 [1, 1, 4].
    """
    with tf.compat.v1.name_scope(scope, 'distorted_bounding_box_crop', [image, bbox]):
        (box_seed,) = split_seed(seed, 1)
        begin, size, crop_box = tf.image.stateless_sample_distorted_bounding_box(
            tf.shape(image),
            bounding_boxes=bbox,
            seed=box_seed,
            min_object_covered=min_object_covered,
            aspect_ratio_range=list(aspect_ratio_range),
            area_range=list(area_range),
            max_attempts=max_attempts,
            use_image_if_no_bounding_boxes=True,
        )
        crop = tf.slice(image, begin, size)
        crop.set_shape([None, None, image.shape[-1]])
        return crop, crop_box


def preprocess_for_train(
    image: tf.Tensor,
    height: int,
    width: int,
    bbox: tf.Tensor | None,
    fast_mode: bool = True,
    scope: str | None = None,
    add_image_summaries: bool = True,
    random_crop: bool = True,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """One distorted view of `image`: crop, resize, flip, colours.

    `bbox`: boxes for `distorted_bounding_box_crop`, None for the whole image. `fast_mode` resizes
    bilinearly and changes two colour properties in fixed order; otherwise method and order are
    drawn. `random_crop` False keeps the whole image. `add_image_summaries` has an effect in a plain
    graph only, not inside tf.data's map. `seed`: integer [2]; the same seed gives the same view.
    Returns float32 [height, width, c] in -1..1, c being 1 with `use_grayscale`.
    """
    with tf.compat.v1.name_scope(scope, 'distort_image', [image, height, width, bbox]):
        crop_seed, resize_seed, flip_seed, order_seed, color_seed = split_seed(seed, 5)
        boxes = tf.constant([[[0.0, 0.0, 1.0, 1.0]]]) if bbox is None else bbox
        if add_image_summaries:
            _summarize_boxes('image_with_bounding_boxes', image, boxes)
        distorted = image
        if random_crop:
            distorted, crop_box = distorted_bounding_box_crop(image, boxes, seed=crop_seed)
            if add_image_summaries:
                _summarize_boxes('images_with_distorted_bounding_box', image, crop_box)
        distorted = apply_with_random_selector(
            distorted,
            lambda x, case: _resize(x, height, width, _RESIZE_METHODS[case]),
            num_cases=1 if fast_mode else len(_RESIZE_METHODS),
            seed=resize_seed,
        )
        if add_image_summaries:
            add_image_summary('cropped_resized_image', distorted)
        distorted = tf.image.stateless_random_flip_left_right(distorted, flip_seed)
        distorted = apply_with_random_selector(
            distorted,
            lambda x, case: distort_color(x, case, fast_mode, seed=color_seed),
            num_cases=1 if fast_mode else len(_COLOR_ORDERS),
            seed=order_seed,
        )
        if use_grayscale:
            distorted = to_grayscale(distorted)
        if add_image_summaries:
            add_image_summary('final_distorted_image', distorted)
        distorted.set_shape([height, width, 1 if use_grayscale else image.shape[-1]])
        return scale_to_signed_unit(distorted)


def preprocess_for_eval(
    image: tf.Tensor,
    height: int | None,
    width: int | None,
    central_fraction: float | None = 0.875,
    scope: str | None = None,
    central_crop: bool = True,
    use_grayscale: bool = False,
) -> tf.Tensor:
    """The central part of `image`, resized bilinearly, float32 [height, width, c] in -1..1.

    `central_fraction` of each side is kept if `central_crop`; None or 0 keeps everything. Without
    height and width nothing is resized.
    """
    with tf.compat.v1.name_scope(scope, 'eval_image', [image, height, width]):
        if central_crop and central_fraction:
            image = tf.image.central_crop(image, central_fraction)
        if height and width:
            image = _resize(image, height, width, _RESIZE_METHODS[0])
        else:
            image = tf.image.convert_image_dtype(image, tf.float32)
        if use_grayscale:
            image = to_grayscale(image)
        return scale_to_signed_unit(image)


def preprocess_image(
    image: tf.Tensor,
    height: int,
    width: int,
    is_training: bool = False,
    bbox: tf.Tensor | None = None,
    fast_mode: bool = True,
    add_image_summaries: bool = True,
    crop_image: bool = True,
    use_grayscale: bool = False,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """The training form or, by default, the evaluation form, which draws nothing.

    Returns float32 [height, width, c] in -1..1. `crop_image` switches the crop of either form.
    """
    if is_training:
        return preprocess_for_train(
            image,
            height,
            width,
            bbox,
            fast_mode,
            add_image_summaries=add_image_summaries,
            random_crop=crop_image,
            use_grayscale=use_grayscale,
            seed=seed,
        )
    return preprocess_for_eval(
        image, height, width, central_crop=crop_image, use_grayscale=use_grayscale
    )


def _resize(image: tf.Tensor, height: int, width: int, method: int) -> tf.Tensor:
    """float32 [height, width, c] in 0..1, by TF 1's pixel grid, as published weights expect it."""
    image = tf.image.convert_image_dtype(image, tf.float32)
    return tf.compat.v1.image.resize_images(image, [height, width], method=method)


def _summarize_boxes(name: str, image: tf.Tensor, boxes: tf.Tensor) -> None:
    whole = tf.image.convert_image_dtype(image, tf.float32)[tf.newaxis]
    red = tf.constant([[1.0, 0.0, 0.0]])
    add_image_summary(name, tf.image.draw_bounding_boxes(whole, boxes, red)[0])
