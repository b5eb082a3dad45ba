"""An ONNX file, written by tf2onnx and run by onnxruntime: the extra `onnx`."""

from __future__ import annotations

import importlib
import logging
import re
from typing import Any

import numpy as np

from runtime.results.exports.forms import model
from runtime.results.exports.forms.quiet import quiet
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


def write(source: Any, path: str, quantization: str) -> None:
    """Writes a `source.Source`; `source.UnsupportedError` where ONNX cannot express it."""
    import tensorflow.compat.v1 as tf

    from runtime.results.exports.forms import source as sources

    del quantization
    with quiet():
        tf2onnx, onnx = require('tf2onnx.convert', 'onnx')
    logging.getLogger('tf2onnx').setLevel(logging.ERROR)  # What fails is told by its exception.
    graph_def = sources.of_pixels(source, tf.float32)
    try:
        with quiet():
            proto, _ = tf2onnx.from_graph_def(
                graph_def,
                name=source.about.model_name,
                input_names=[f'{sources.INPUT}:0'],
                output_names=[f'{name}:0' for name in source.about.outputs],
                opset=source.chosen.opset,
            )
        _tidy(onnx, proto, source, sources)
        onnx.checker.check_model(proto)
    except Exception as error:  # tf2onnx raises whatever it stumbles over.
        raise _explained(error, source, sources) from error
    onnx.save(proto, path)


def _tidy(onnx: Any, proto: Any, source: Any, sources: Any) -> None:
    """Names without `:0`, a name for the free batch, and what the network is about."""
    names = {f'{name}:0': name for name in (sources.INPUT, *source.about.outputs)}
    for node in proto.graph.node:
        for field in (node.input, node.output):
            field[:] = [names.get(name, name) for name in field]
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = names.get(value.name, value.name)
        if source.shape[0] is None:
            value.type.tensor_type.shape.dim[0].dim_param = 'batch'
    onnx.helper.set_model_props(proto, {model.ABOUT_KEY: source.about_pixels().to_json()})


def _explained(error: Exception, source: Any, sources: Any) -> Exception:
    text = ' '.join(str(error).split()) or type(error).__name__
    found = re.findall(r"Tensorflow op \[[^\]]*: (\w+)\]|op '?(\w+)'? is not", text)
    which = ', '.join(sorted({name for pair in found for name in pair if name})) or text
    return sources.UnsupportedError(
        f'{source.about.model_name} cannot be written as ONNX opset {source.chosen.opset}, which '
        f'cannot express: {errors.shortened(which, 120)}'
    )


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
    given, outputs = session.get_inputs()[0], [one.name for one in session.get_outputs()]
    names = model.OF_DETECTOR if set(outputs) == set(model.OF_DETECTOR) else model.OF_CLASSIFIER
    wanted = list(names) if names == model.OF_DETECTOR else outputs[:1]
    dtype = {'tensor(uint8)': np.uint8}.get(given.type, np.float32)
    shape = [size if isinstance(size, int) else None for size in given.shape]

    def run(batch: Any) -> np.ndarray:
        images = model.to_pixels(np.asarray(batch, np.float32), about, dtype)
        return model.as_one(session.run(wanted, {given.name: images}))

    batch_size, image_shape = shape[0], tuple(shape[1:])
    whole = model.in_parts(run, batch_size)
    return model.Exported(path, 'onnx', kind, image_shape, batch_size, about, whole, names)
