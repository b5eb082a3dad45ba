"""A SavedModel: `image_bytes` -> classes with names, `images` -> the network's output."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from runtime.results.forms import model
from slim import errors

# Where TensorFlow has a place for what a program puts beside its model.
_ABOUT_PATH = os.path.join('assets.extra', model.ABOUT_NAME)


def load(path: str, takes: str | None = None, threads: int | None = None) -> model.Exported:
    """See `exported.load`."""
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(path)
    except Exception as error:  # Whatever TensorFlow finds wrong with a folder.
        raise model.cannot_load(path, 'SavedModel', error) from error
    signatures = loaded.signatures
    offered = [name for name in (model.IMAGE_BYTES, model.IMAGES) if name in signatures]
    if not offered:
        raise errors.CheckpointError(
            f'{errors.shortened(path, 120)} has no signature {model.IMAGE_BYTES} or {model.IMAGES}'
        )
    kind = model.check_takes(path, takes, offered)
    about = _read_about(path)
    function = signatures[kind]
    (name, given), *others = function.structured_input_signature[1].items()
    outputs = function.structured_outputs
    wanted = next((key for key in model.OUTPUTS if key in outputs), None)
    if others or wanted is None:
        raise errors.CheckpointError(
            f'{errors.shortened(path, 120)}: its signature {kind} is none of this suite'
        )

    def run(batch: Any) -> np.ndarray:
        if kind == model.IMAGES:
            batch = np.asarray(batch, np.float32)
        return function(**{name: tf.constant(batch, given.dtype)})[wanted].numpy()

    batch_size = given.shape[0]
    image_shape = tuple(given.shape[1:])
    if kind == model.IMAGE_BYTES:
        size = about.image_size if about else None
        image_shape = (size, size, 1 if about and about.use_grayscale else 3)
    return model.Exported(
        path, 'saved_model', kind, image_shape, batch_size, about, model.in_parts(run, batch_size)
    )


def _read_about(path: str) -> model.About | None:
    try:
        with open(os.path.join(path, _ABOUT_PATH), 'rb') as file:
            return model.about_of_json(file.read(1 << 24))
    except OSError:
        return None
