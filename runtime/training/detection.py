"""The task of a detector: batches with the targets of all anchors, and the losses of a clone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from deployment import model_deploy
from detection import anchors, losses, matching, outputs
from runtime import options, startup
from runtime.devices import precision
from runtime.input import detection_batches
from runtime.input.record_order import as_written
from runtime.training import graph

SHAPES = len(anchors.SHAPES)


class TargetFeed(detection_batches.DetectionFeed):
    """`next_batch` gives images, the four tensors of `matching.Targets`, and labels.

    Objects and anchors are matched in the pipeline, while the step before computes.
    """

    def _pipeline(self, *arguments: Any) -> Any:
        records, _, batch, *_ = arguments
        every = anchors.anchors(*batch.frame).astype('float32')

        @as_written
        def add_targets(images: Any, boxes: Any, labels: Any, skipped: Any) -> tuple[Any, ...]:
            found = matching.targets(boxes, labels, every, records.num_classes)
            return images, found.matched, found.classes, found.deltas, found.boxes, labels, skipped

        return super()._pipeline(*arguments).map(add_targets).prefetch(1)


def add_input(
    chosen: options.DetectionTraining,
    parts: Any,
    runtime: startup.Runtime,
    first_step: int,
    places: model_deploy.DeploymentConfig,
) -> TargetFeed:
    """This worker's batches; `parts` is a `detection_lookup.Parts`."""
    flags = chosen.input
    device, device_prefetch = graph.batches_wait_on(chosen, runtime, places)
    batch = detection_batches.DetectionFormat(
        flags.batch_size,
        flags.image_height,
        parallel_decodes=flags.num_preprocessing_threads,
        image_type=precision.image_type(runtime.device.kind, runtime.dtype),
        deterministic=flags.deterministic,
        device=device,
        device_prefetch=device_prefetch,
        image_width=flags.image_width,
    )
    order = graph.training_order(chosen, runtime, first_step)
    with tf.device(places.inputs_device()):
        return TargetFeed(parts.dataset, parts.preprocess, batch, order)


def add_clones(
    chosen: options.DetectionTraining,
    runtime: startup.Runtime,
    parts: Any,
    batches: TargetFeed,
    places: model_deploy.DeploymentConfig,
) -> list[model_deploy.Clone]:
    """The network and its losses on each device; `parts` is a `detection_lookup.Parts`."""
    network_fn = precision.adapt_network(runtime.device.kind, runtime.dtype, parts.network.function)
    frame = chosen.input.image_height, chosen.input.image_width
    arguments = [batches.next_batch, network_fn, parts.network.num_classes, frame]
    return model_deploy.create_clones(places, training_clone, arguments)


def training_clone(
    next_batch: Callable[[], tuple[Any, ...]],
    network_fn: Callable[[Any], tuple[Any, dict[str, Any]]],
    num_classes: int,
    frame: tuple[int, int],
) -> dict[str, Any]:
    """One clone: takes a batch, builds the network and adds its losses to tf.GraphKeys.LOSSES.

    Args:
      next_batch: gives what `TargetFeed` does.
      network_fn: images to (last layer of the detector, end points).
      num_classes: of the objects.
      frame: height and width of the images, in pixels.

    Returns:
      the end points.
    """
    images, *targets, _ = next_batch()
    layer, end_points = network_fn(images)
    predicted = outputs.split(layer, num_classes, SHAPES)
    every = anchors.anchors(*frame).astype('float32')
    found = losses.losses(predicted, matching.Targets(*targets), every, *frame)
    for name, loss in found.items():
        tf.losses.add_loss(tf.identity(loss, name=f'{name}_loss'))
    return end_points
