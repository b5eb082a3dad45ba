"""Graphs to files: weights turned into constants, GraphDefs written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import tensorflow.compat.v1 as tf
from google.protobuf import text_format

from runtime import folders
from runtime.checkpoints import files
from slim import errors

WITHOUT_WEIGHTS = (
    "without weights: --checkpoint_path puts in a run's moving averages; TensorFlow's "
    'freeze_graph, which also takes this file, its last weights'
)


def check_writable(path: str) -> None:
    """OutputError if the file can certainly not be written; creates nothing."""
    if os.path.isdir(path):
        raise errors.OutputError(f'--output_file={path}: is a folder; give the name of a file')
    folders.check_writable(os.path.dirname(path), 'output_file')


@contextlib.contextmanager
def reference_variables() -> Iterator[None]:
    """Variables made within are of the classic kind, `VariableV2`.

    TensorFlow's freeze_graph finds and restores those alone: of resource variables, today's kind,
    it takes the handle for the value.
    """
    enabled = tf.resource_variables_enabled()
    tf.disable_resource_variables()
    try:
        yield
    finally:
        if enabled:
            tf.enable_resource_variables()


def freeze(graph_def: tf.GraphDef, saver: Any, checkpoint: str, output: str) -> tf.GraphDef:
    """What `output` depends on, with the variables of the default graph as constants.

    Args:
      graph_def: of the default graph.
      saver: restores the variables of the default graph.
      checkpoint: prefix of a checkpoint.
      output: name of the operation to keep.
    """
    with tf.Session() as session:
        files.restore(saver, session, checkpoint)
        return tf.graph_util.convert_variables_to_constants(session, graph_def, [output])


def write(graph_def: tf.GraphDef, path: str, as_text: bool = False) -> None:
    """Writes a GraphDef, binary or as text, under a temporary name first. Raises OutputError."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f'.{name}.{os.getpid()}.tmp')
    if folder:
        folders.make_folder(folder, 'output_file')
    try:
        with tf.gfile.Open(temporary, 'wb') as file:
            text = text_format.MessageToString(graph_def).encode() if as_text else None
            file.write(text or graph_def.SerializeToString())
        tf.gfile.Rename(temporary, path, overwrite=True)
    except (tf.errors.OpError, OSError) as error:
        with contextlib.suppress(tf.errors.OpError, OSError):
            tf.gfile.Remove(temporary)
        raise folders.cannot_write(path, error) from error
