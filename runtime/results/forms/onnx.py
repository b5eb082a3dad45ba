"""An ONNX file, written by tf2onnx and run by onnxruntime: the extra `onnx`."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from runtime.results.forms import model
from slim import errors


def require(*names: str) -> list[Any]:
    """The packages, imported; UsageError names the extra where one is missing."""
    found = []
    for name in names:
        try:
            found.append(importlib.import_module(name))
        except ImportError as error:
            raise errors.UsageError(
                f'ONNX needs the package {name}, which is not here ({error}): install the extra '
                "`onnx`, pip install '.[onnx]'"
            ) from error
    return found


def load(path: str, takes: str | None = None, threads: int | None = None) -> model.Exported:
    """See `exported.load`."""
    (onnxruntime,) = require('onnxruntime')
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(path, settings, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime has a type of its own for each kind of damage.
        raise model.cannot_load(path, 'ONNX', error) from error
    kind = model.check_takes(path, takes, [model.IMAGES])
    held = session.get_modelmeta().custom_metadata_map.get(model.ABOUT_KEY)
    about = model.about_of_json(held) if held else None
    given, output = session.get_inputs()[0], session.get_outputs()[0]
    dtype = {'tensor(uint8)': np.uint8}.get(given.type, np.float32)
    shape = [size if isinstance(size, int) else None for size in given.shape]

    def run(batch: Any) -> np.ndarray:
        images = model.to_pixels(np.asarray(batch, np.float32), about, dtype)
        return session.run([output.name], {given.name: images})[0]

    batch_size, image_shape = shape[0], tuple(shape[1:])
    return model.Exported(
        path, 'onnx', kind, image_shape, batch_size, about, model.in_parts(run, batch_size)
    )
