"""An exported file as something that runs: `load(path)`, whatever its form.

    model = exported.load('/data/flowers.tflite')
    scores = model.run(images)           # float32 [n, classes] of float32 [n, s, s, c]
    model.labels[scores[0].argmax()]     # 'tulip', where the file knows names

The form is told by the content of the file, never by its name. `model.takes` says what `run` wants:
'image_bytes', a sequence of image files as bytes (of any number, sizes and kinds that TensorFlow
decodes), or 'images', float32 [n, s, s, c] as the evaluation's preprocessing of
`model.preprocessing_name` makes them, at `model.image_size`. That is so also where the file itself
takes pixels or 8 bits: `run` puts the images into what the file wants, and its output into float32.
A SavedModel that takes both is loaded as one that takes image bytes, or with `takes='images'`.

Of a detector, `run` gives float32 [n, boxes, 6]: xmin, ymin, xmax, ymax in pixels of the frame
`model.about.frame`, score and class, the best first; a score of 0 is no detection.

`model.about` is None for a file of some other program, which then takes images and knows neither
labels nor preprocessing; what the file itself says (shapes) is there in any case.
"""

from __future__ import annotations

import os

from runtime.results.exports.forms.model import (
    ALL_BOXES,
    DETECTIONS,
    IMAGE_BYTES,
    IMAGES,
    Exported,
)
from runtime.results.exports.forms.table import FORMS
from slim import errors

__all__ = ['ALL_BOXES', 'DETECTIONS', 'IMAGES', 'IMAGE_BYTES', 'Exported', 'form_of', 'load']


def load(path: str, takes: str | None = None, threads: int | None = None) -> Exported:
    """The model in an exported file or folder.

    Args:
      path: of a GraphDef, a SavedModel's folder, a TFLite or an ONNX file.
      takes: IMAGES or IMAGE_BYTES; None: image bytes where the file takes them, else images.
      threads: that compute, for TFLite and ONNX; None: as many as the form's runtime likes.

    Raises:
      CheckpointError: there is no such file, it is damaged or of no known form, or it does not take
        what it should.
      UsageError: a package that this form needs is missing.
    """
    return FORMS[form_of(path)].imported().load(path, takes, threads)


def form_of(path: str) -> str:
    """'graphdef', 'saved_model', 'tflite' or 'onnx', by the first bytes. CheckpointError."""
    shown = errors.shortened(path, 120)
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, 'saved_model.pb')):
            return 'saved_model'
        raise errors.CheckpointError(f'{shown} is a folder without a saved_model.pb')
    try:
        with open(path, 'rb') as file:
            start = file.read(16)
    except OSError as error:
        raise errors.CheckpointError(f'{shown} cannot be read: {error.strerror}') from error
    if start[4:8] == b'TFL3':
        return 'tflite'
    # Both are protocol buffers. A GraphDef begins with a node, or `node {` as text; an ONNX model
    # with its version, a number.
    if start[:1] == b'\x0a' or start[:4] == b'node':
        return 'graphdef'
    if start[:1] == b'\x08':
        return 'onnx'
    raise errors.CheckpointError(
        f'{shown} is no exported network: neither GraphDef, SavedModel, TFLite nor ONNX'
    )
