"""A detector's training step beside its body and head alone.

  python3 benchmarks/detection_step.py
  python3 benchmarks/detection_step.py --height=128 --width=384 --batch_size=8

Two graphs with the same network, batch, optimizer and regularization: one with the detector's
losses over all anchors (runtime/training/detection.py), one with the mean square of the last layer
as its loss. Their steps (forward and backward pass, update) take turns, and so does the matching of
a batch's objects with anchors, which the input does while the step before computes.

Prints the median milliseconds of each, by the clock and by the processor, and what the losses add
and the matching takes, as shares of body and head alone: medians of the turns' own ratios, since
other programs slow both.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

CLASSES = 3
OBJECTS = 8  # of a picture; KITTI's have 7
WARM_UP = 3  # turns

Timing = tuple[float, float]  # seconds by the clock, and of the processor


def held(make: Callable[[], Any]) -> Any:
    """A tensor that is made once and then lies in memory."""
    import tensorflow.compat.v1 as tf

    return tf.get_local_variable(
        f'held_{len(tf.local_variables())}', initializer=make, use_resource=True
    ).value()


def objects(batch_size: int, height: int, width: int) -> tuple[Any, Any]:
    """Boxes [b, OBJECTS, 4] in the frame and labels [b, OBJECTS]."""
    import numpy as np

    draw = np.random.RandomState(1)
    size = draw.uniform(0.05, 0.5, [batch_size, OBJECTS, 2])
    corner = draw.uniform(0, 1, size.shape) * (1 - size)
    boxes = np.concatenate([corner, corner + size], axis=-1) * [width, height, width, height]
    return boxes.astype('float32'), draw.randint(CLASSES, size=[batch_size, OBJECTS])


def targets(boxes: Any, labels: Any, arguments: argparse.Namespace) -> list[Any]:
    """What TargetFeed gives beside the images."""
    from detection import anchors, matching

    every = anchors.anchors(arguments.height, arguments.width).astype('float32')
    found = matching.targets(boxes, labels, every, CLASSES)
    return [found.matched, found.classes, found.deltas, found.boxes]


def add_losses(kind: str, arguments: argparse.Namespace) -> None:
    """The network on a batch that lies in memory, and the losses of `kind`."""
    import tensorflow.compat.v1 as tf

    from nets import detectors
    from runtime.training import detection

    network = detectors.get_detector_fn(
        arguments.model_name,
        CLASSES,
        weight_decay=1e-4,
        is_training=True,
        width_multiplier=arguments.width_multiplier,
    )
    frame = arguments.height, arguments.width
    shape = [arguments.batch_size, *frame, 3]
    images = held(lambda: tf.random.uniform(shape, -1, 1, seed=1))
    if kind == 'detector':
        parts = targets(*objects(arguments.batch_size, *frame), arguments)
        batch = (images, *[held(lambda part=part: part) for part in parts], None)
        detection.training_clone(lambda: batch, network, CLASSES, frame)
    else:
        layer, _ = network(images)
        tf.losses.add_loss(tf.reduce_mean(tf.square(layer)))


def step(kind: str, arguments: argparse.Namespace) -> Callable[[], Any]:
    """Runs a step of a graph of its own and returns its loss; 'matching' returns nothing."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        if kind == 'matching':
            lists = objects(arguments.batch_size, arguments.height, arguments.width)
            boxes, labels = (held(lambda array=array: tf.constant(array)) for array in lists)
            fetched = tf.group(*targets(boxes, labels, arguments))
        else:
            add_losses(kind, arguments)
            loss = tf.losses.get_total_loss()
            optimizer = tf.train.MomentumOptimizer(arguments.learning_rate, 0.9)
            with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
                fetched = loss, optimizer.minimize(loss)
        session = tf.Session(graph=graph)
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    return lambda: session.run(fetched)


def measure(arguments: argparse.Namespace) -> dict[str, list[Timing]]:
    """Seconds of every turn, by what was run."""
    made = {kind: step(kind, arguments) for kind in ('alone', 'detector', 'matching')}
    found: dict[str, list[Timing]] = {kind: [] for kind in made}
    for turn in range(WARM_UP + arguments.repeats):
        for kind, once in made.items():
            begin, used = time.perf_counter(), time.process_time()
            once()
            if turn >= WARM_UP:
                seconds = time.perf_counter() - begin, time.process_time() - used
                found[kind].append(seconds)
    return found


def shares(found: dict[str, list[Timing]]) -> dict[str, Timing]:
    """What losses and matching cost, as shares of the step of body and head alone."""
    result = {}
    for kind, less in (('detector', 1.0), ('matching', 0.0)):
        turns = zip(found[kind], found['alone'], strict=True)
        pairs = [(own[0] / alone[0] - less, own[1] / alone[1] - less) for own, alone in turns]
        clock, processor = (statistics.median(values) for values in zip(*pairs, strict=True))
        result[kind] = clock, processor
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model_name', default='mobilenetdet')
    parser.add_argument('--width_multiplier', type=float, default=1.0)
    parser.add_argument('--height', type=int, default=375)
    parser.add_argument('--width', type=int, default=1242)
    parser.add_argument('--batch_size', type=int, default=2)
    parser.add_argument('--learning_rate', type=float, default=1e-4)
    parser.add_argument('--repeats', type=int, default=15, help='turns that are measured')
    arguments = parser.parse_args()
    found = measure(arguments)
    for kind, turns in found.items():
        clock, processor = (1000 * statistics.median(times) for times in zip(*turns, strict=True))
        print(f'{kind:10}{clock:9.1f} ms{processor:9.1f} ms of the processor')
    for kind, (clock, processor) in shares(found).items():
        told = 'losses add' if kind == 'detector' else 'matching takes'
        print(f'{told:15}{clock:+8.1%} of the step alone,{processor:+8.1%} by the processor')


if __name__ == '__main__':
    main()
