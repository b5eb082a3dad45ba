"""A GraphDef with weights as constants: input `input`, output `output`, or those of a detector.

What it is about is in `export.json` beside it alone, so that the graph is the classic suite's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime.results.exports.forms import model


def write(source: Any, path: str, quantization: str) -> None:
    """Writes a `source.Source`; its input becomes image files where preprocessing is inside."""
    import tensorflow.compat.v1 as tf

    from runtime.results import exporter
    from runtime.results.exports.forms import source as sources

    del quantization
    graph_def = source.graph_def
    if source.chosen.include_preprocessing and not source.is_video:
        with tf.Graph().as_default() as graph:
            files = tf.placeholder(tf.string, source.shape[:1], sources.INPUT)
            images = sources.from_image_files(source, files)
            rest = sources.without_input(graph_def)
            tf.import_graph_def(rest, {f'{sources.INPUT}:0': images}, name='')
            graph_def = graph.as_graph_def()
    exporter.write(graph_def, path, source.chosen.write_text_graphdef)


def load(path: str, takes: str | None = None, threads: int | None = None) -> model.Exported:
    """See `exported.load`."""
    import tensorflow.compat.v1 as tf
    from google.protobuf import text_format

    graph = tf.Graph()
    try:
        with open(path, 'rb') as file:
            content = file.read()
        if content.startswith(b'node'):
            graph_def = text_format.Parse(content.decode(), tf.GraphDef())
        else:
            graph_def = tf.GraphDef.FromString(content)
        with graph.as_default():
            tf.import_graph_def(graph_def, name='')
        given = graph.get_tensor_by_name('input:0')
        held = {node.name for node in graph_def.node}
        names = model.OF_DETECTOR if held >= {*model.OF_DETECTOR} else model.OF_CLASSIFIER
        results = [graph.get_tensor_by_name(f'{name}:0') for name in names]
    except (OSError, ValueError, KeyError, tf.errors.OpError, text_format.ParseError) as error:
        raise model.cannot_load(path, 'GraphDef', error) from error
    except Exception as error:
        # google.protobuf.message.DecodeError, of whichever protobuf TensorFlow has.
        if type(error).__name__ != 'DecodeError':
            raise
        raise model.cannot_load(path, 'GraphDef', error) from error
    without_weights = [
        node.name for node in graph_def.node if node.op in ('VariableV2', 'VarHandleOp')
    ]
    if without_weights:
        raise model.cannot_load(path, 'GraphDef', ValueError('it was written without weights'))
    about = model.about_beside(path)
    config = tf.ConfigProto(intra_op_parallelism_threads=threads or 0)
    session = tf.Session(graph=graph, config=config)
    of_bytes = given.dtype == tf.string
    kind = model.check_takes(path, takes, [model.IMAGE_BYTES if of_bytes else model.IMAGES])
    shape = given.shape.as_list()

    def run(batch: Any) -> np.ndarray:
        if not of_bytes:
            batch = model.to_pixels(
                np.asarray(batch, np.float32), about, given.dtype.as_numpy_dtype
            )
        return model.as_one(session.run(results, {given: batch}))

    image_shape = tuple(shape[1:])
    if of_bytes:
        frame = about.frame if about else (None, None)
        image_shape = (*frame, 1 if about and about.use_grayscale else 3)
    batch_size = shape[0]
    whole = model.in_parts(run, batch_size)
    return model.Exported(path, 'graphdef', kind, image_shape, batch_size, about, whole, names)
