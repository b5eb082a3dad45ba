"""Graphs to files: weights turned into constants, GraphDefs written whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from google.protobuf import text_format

from runtime import folders
from runtime.checkpoints import files, weights
from runtime.results.exports.forms.model import in_parts
from slim import errors

_REFERENCE_BATCH = 8  # images at a time, where their number is free

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


# What comes out of a network, by --output, from what it gives: logits, or features without classes.
_HEADS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    'logits': tf.identity,
    'probabilities': tf.nn.softmax,
    'features': lambda features: tf.reshape(features, [-1, features.shape[1:].num_elements()]),
}


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A network with its weights as constants, and what it says of some images."""

    graph_def: tf.GraphDef  # placeholder `input`; results by the names that they were given
    results: list[np.ndarray]  # [n, ...] for each array of images
    note: str  # which weights


# Images to names of operations that stay in a frozen graph, and what is run for the images.
Build = Callable[[tf.Tensor], tuple[Sequence[str], tf.Tensor]]


def classifier(network: Callable[..., Any], output: str) -> Build:
    """For `freeze_and_run`: `output` is a key of _HEADS, and a name in the graph.

    `network`: images to (logits, end points).
    """

    def build(images: tf.Tensor) -> tuple[Sequence[str], tf.Tensor]:
        result = tf.identity(_HEADS[output](network(images)[0]), 'output')
        return [result.op.name], result

    return build


def freeze_and_run(
    build: Build,
    shape: Sequence[int | None],
    checkpoint: str,
    moving_average_decay: float | None,
    arrays: Sequence[np.ndarray],
) -> Frozen:
    """A network with the weights of a checkpoint; its results are those of the variables.

    Args:
      build: puts the network into the default graph.
      shape: of its input.
      checkpoint: prefix.
      moving_average_decay: of `weights.of_checkpoint`.
      arrays: images, any number in each.

    Raises:
      CheckpointError: it is of another network, or lacks averages or variables.
      UsageError: the network takes no images of that size.
    """
    batch_size = shape[0] or _REFERENCE_BATCH
    with tf.Graph().as_default() as graph:
        given = tf.placeholder(tf.float32, shape, 'input')
        names, result = build(given)
        graph_def = graph.as_graph_def()
        loaded = weights.of_checkpoint(checkpoint, moving_average_decay)
        with tf.Session() as session:
            files.restore(loaded.saver, session, checkpoint)
            run = in_parts(lambda images: session.run(result, {given: images}), batch_size)
            results = [run(images) for images in arrays]
            frozen = tf.graph_util.convert_variables_to_constants(session, graph_def, list(names))
    return Frozen(frozen, results, loaded.note)


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
