"""What every form is written from: the frozen network, and the input that it is to have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow.compat.v1 as tf

from runtime import options
from runtime.results.exports.forms.model import About
from slim import errors

INPUT = 'input'


class UnsupportedError(errors.SuiteError):
    """A form that cannot express an operation of the network."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A network with its weights as constants, and what is known about it."""

    graph_def: tf.GraphDef  # placeholder `input`, float32 of `shape`; results `about.outputs`
    shape: list[int | None]  # [batch, (frames,) height, width, channels]
    about: About  # of a form that takes the network's input
    pixel_scale: tuple[float, tuple[float, ...]] | None  # pixels of 0..255 to the network's input
    preprocess: Callable[..., tf.Tensor]  # of evaluation: string scalar, height, width
    chosen: options.Export | options.DetectionExport
    calibration: Callable[[], np.ndarray]  # images as the network takes them

    @property
    def pixels(self) -> tuple[float, tuple[float, ...]] | None:
        """The scale and the offsets that go into TFLite and ONNX; None: they take the input."""
        return self.pixel_scale if self.chosen.include_preprocessing else None

    @property
    def is_video(self) -> bool:
        return len(self.shape) == 5

    def about_pixels(self) -> About:
        """Of a form that takes pixels where preprocessing is to be inside."""
        return dataclasses.replace(self.about, pixels=self.pixels)


def without_input(graph_def: tf.GraphDef) -> tf.GraphDef:
    """The graph to be imported with something else in the place of its placeholder."""
    rest = tf.GraphDef()
    rest.CopyFrom(graph_def)
    del rest.node[:]
    rest.node.extend(node for node in graph_def.node if node.name != INPUT)
    return rest


def of_pixels(source: Source, dtype: tf.DType) -> tf.GraphDef:
    """The network with pixels as its input, where preprocessing is to be inside."""
    if source.pixels is None:
        return source.graph_def
    scale, offset = source.pixels
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(dtype, source.shape, INPUT)
        images = tf.cast(pixels, tf.float32) * scale + np.array(offset, np.float32)
        tf.import_graph_def(without_input(source.graph_def), {f'{INPUT}:0': images}, name='')
        return graph.as_graph_def()


def from_image_files(source: Source, files: tf.Tensor) -> tf.Tensor:
    """Image files, string [n], to what the network takes."""
    height, width, channels = source.shape[-3:]

    def one(encoded: tf.Tensor) -> tf.Tensor:
        return source.preprocess(encoded, height, width)

    images = tf.map_fn(one, files, fn_output_signature=tf.float32)
    images.set_shape([source.shape[0], height, width, channels])
    return images
