"""A TFLite file: float32, float16, 8-bit weights or 8 bits throughout; labels inside."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from runtime.results.exports.forms import model
from runtime.results.exports.forms.quiet import quiet
from slim import errors

# TFLite's own words for what it cannot express.
_OPERATIONS = re.compile(
    r"(?:Flex|Select TF|Custom) ops: ([^\n]+)|failed to legalize operation '([^']+)'"
    r"|[Qq]uantization not yet supported for op: '([^']*)'|error: '([\w.]+)' op "
)


def write(source: Any, path: str, quantization: str) -> None:
    """Writes a `source.Source`, with labels and metadata inside.

    Raises `source.UnsupportedError` for a network that TFLite, or its 8 bits, cannot express.
    """
    import tensorflow as tf

    from runtime.results.exports.forms import source as sources
    from runtime.results.exports.forms import tflite_compact, tflite_metadata

    chosen = source.chosen
    types = {'float32': tf.float32, 'uint8': tf.uint8}
    is_int8 = quantization == 'int8'
    given_type = types[chosen.inference_input_type]
    # Only pixels can be bytes before the first operation; 8 bits throughout have a scale for it.
    placeholder = given_type if source.pixels and not is_int8 else tf.float32
    graph_def = sources.of_pixels(source, placeholder)
    with tf.init_scope():
        function = _function(tf, graph_def, sources.INPUT, source.about.outputs)
        with quiet():
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    _QUANTIZERS[quantization](converter, tf, _calibration(source))
    if is_int8:
        converter.inference_input_type = given_type
        converter.inference_output_type = types[chosen.inference_output_type]
    try:
        with quiet():
            content = converter.convert()
    except Exception as error:  # ConverterError is no public name; RuntimeError for calibration.
        raise _explained(error, source, quantization, sources) from error
    if quantization in ('dynamic', 'int8'):
        content = tflite_compact.compacted(content)
    about = source.about_pixels()
    scale = source.pixels or source.pixel_scale
    in_bytes = given_type == tf.uint8
    files = {model.ABOUT_NAME: about.to_json().encode()}
    if about.labels and about.output != 'features':  # a detector's are those of its classes
        lines = [' '.join(label.split()) for label in about.labels]
        files[tflite_metadata.LABELS_NAME] = ('\n'.join(lines) + '\n').encode()
    metadata = tflite_metadata.described(about, model.ABOUT_NAME, scale, in_bytes)
    with open(path, 'wb') as file:
        file.write(tflite_metadata.packed(content, metadata, files))


def _function(tf: Any, graph_def: Any, given: str, outputs: Sequence[str]) -> Any:
    def build() -> None:
        tf.compat.v1.import_graph_def(graph_def, name='')

    wrapped = tf.compat.v1.wrap_function(build, [])
    return wrapped.prune(f'{given}:0', [f'{name}:0' for name in outputs])


def _calibration(source: Any) -> Callable[[], Iterator[list[np.ndarray]]]:
    def images() -> Iterator[list[np.ndarray]]:
        for image in source.calibration():
            given = model.to_pixels(image[np.newaxis], source.about_pixels(), np.float32)
            repeats = source.shape[0] or 1
            yield [np.repeat(given, repeats, axis=0)]

    return images


def _to_float16(converter: Any, tf: Any, images: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _to_dynamic(converter: Any, tf: Any, images: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _to_int8(converter: Any, tf: Any, images: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]


_QUANTIZERS: dict[str, Callable[..., None]] = {
    'none': lambda *_: None,
    'float16': _to_float16,
    'dynamic': _to_dynamic,
    'int8': _to_int8,
}


def _explained(error: Exception, source: Any, quantization: str, sources: Any) -> Exception:
    """One line with network and operation, of the converter's pages."""
    text = str(error)
    names = {name for found in _OPERATIONS.findall(text) for name in found if name}
    form = 'TFLite' if quantization == 'none' else f'TFLite {quantization}'
    which = ', '.join(sorted(names)) or ' '.join(text.split()) or type(error).__name__
    return sources.UnsupportedError(
        f'{source.about.model_name} cannot be written as {form}, which cannot express: '
        f'{errors.shortened(which, 120)}'
    )


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
    given, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()
    # They are in the order in which they were written.
    names = model.OF_DETECTOR if _are_boxes(outputs) else model.OF_CLASSIFIER
    outputs = outputs[: len(names)]
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
        results = [_floats(interpreter.get_tensor(one['index']), one) for one in outputs]
        return model.as_one(results)

    batch_size, image_shape = signature[0], tuple(signature[1:])
    whole = model.in_parts(run, batch_size)
    return model.Exported(path, 'tflite', kind, image_shape, batch_size, about, whole, names)


def _are_boxes(outputs: Sequence[Any]) -> bool:
    """Whether these are boxes, scores and classes, as the writer of this suite has them."""
    shapes = [tuple(one['shape']) for one in outputs]
    return len(shapes) == 3 and len(shapes[0]) == 3 and shapes[0][:2] == shapes[1] == shapes[2]


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
