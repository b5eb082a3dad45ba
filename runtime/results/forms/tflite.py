"""A TFLite file: float32, float16, 8-bit weights or 8 bits throughout; labels and metadata in it."""

from __future__ import annotations

import warnings
import zipfile
from typing import Any

import numpy as np

from runtime.results.forms import model


def load(path: str, takes: str | None = None, threads: int | None = None) -> model.Exported:
    """See `exported.load`."""
    import tensorflow as tf

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # That the interpreter will move to another package.
            interpreter = tf.lite.Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError) as error:
        raise model.cannot_load(path, 'TFLite', error) from error
    kind = model.check_takes(path, takes, [model.IMAGES])
    about = read_about(path)
    given, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    signature = [None if size < 0 else int(size) for size in given['shape_signature']]
    now = [list(given['shape'])]

    def run(batch: Any) -> np.ndarray:
        images = model.to_pixels(np.asarray(batch, np.float32), about, given['dtype'])
        if list(images.shape) != now[0]:
            interpreter.resize_tensor_input(given['index'], images.shape)
            interpreter.allocate_tensors()
            now[0] = list(images.shape)
        interpreter.set_tensor(given['index'], _quantized(images, given))
        interpreter.invoke()
        return _floats(interpreter.get_tensor(output['index']), output)

    batch_size, image_shape = signature[0], tuple(signature[1:])
    return model.Exported(
        path, 'tflite', kind, image_shape, batch_size, about, model.in_parts(run, batch_size)
    )


def read_about(path: str) -> model.About | None:
    """What the writer of this suite has packed into a file."""
    try:
        with zipfile.ZipFile(path) as packed:
            return model.about_of_json(packed.read(model.ABOUT_NAME))
    except (OSError, KeyError, zipfile.BadZipFile):
        return None


def _quantized(images: np.ndarray, details: Any) -> np.ndarray:
    scale, zero = details['quantization']
    kind = details['dtype']
    if images.dtype == kind or not scale:
        return images.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(images / scale) + zero, limits.min, limits.max).astype(kind)


def _floats(values: np.ndarray, details: Any) -> np.ndarray:
    scale, zero = details['quantization']
    if values.dtype == np.float32 or not scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero) * np.float32(scale)
