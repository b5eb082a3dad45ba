"""Training steps per second in fp32 and in bf16, on one core and on two, in turns in one run.

  python3 benchmarks/bf16.py                      mobilenet_v2 at 224 pixels
  python3 benchmarks/bf16.py --model resnet_v1_50 --batch_size 8
  python3 benchmarks/bf16.py --trace              also the milliseconds of each kind of operation

Both precisions run in one process, a few steps of each in turn, so that what else the machine does
hits both. Images are random numbers and there is no input pipeline. Prints the median and the best
rate in images per second, and their ratio.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
CLASSES = 1001
STEPS_PER_TURN = 3


class Training:
    """A network in a graph and session of its own, in one precision."""

    def __init__(self, dtype: str, model: str, images, labels, cores: int) -> None:
        import tensorflow.compat.v1 as tf

        from deployment import model_deploy
        from nets import nets_factory
        from runtime import options
        from runtime.checkpoints import averages
        from runtime.devices import precision
        from runtime.training import classification, optimizers
        from runtime.training import step as step_lib
        from runtime.workers import cluster

        self._tf = tf
        with tf.Graph().as_default():
            fed = tf.placeholder(tf.float32, images.shape), tf.placeholder(tf.int64, labels.shape)
            self._feed = dict(zip(fed, (images, labels), strict=True))
            network_fn = nets_factory.get_network_fn(
                model, CLASSES, weight_decay=4e-5, is_training=True
            )
            clones = model_deploy.create_clones(
                model_deploy.DeploymentConfig(device_type='CPU'),
                classification.training_clone,
                [lambda: fed, network_fn, CLASSES, 0.1],
            )
            rate = tf.constant(0.01)
            optimizer = optimizers.optimizer(options.OptimizerOptions(), rate)
            loss, gradients = model_deploy.optimize_clones(clones, optimizer)
            loss, kept = precision.adapt_training_graph('CPU', dtype, loss)
            update = step_lib.Update(
                optimizer,
                gradients,
                tf.get_collection(tf.GraphKeys.UPDATE_OPS),
                averages.moving_averages(0.9999),
                kept,
            )
            step = step_lib.build_step(
                tf.train.create_global_step(), loss, rate, update, cluster.SingleProcess()
            )
            self._fetches = step.fetches
            config = tf.ConfigProto(intra_op_parallelism_threads=cores)
            precision.configure(config, 'CPU', dtype)
            self._session = tf.Session(config=config)
            self._session.run(tf.global_variables_initializer())

    def seconds(self) -> float:
        """What one step takes."""
        begin = time.perf_counter()
        self._session.run(self._fetches, self._feed)
        return time.perf_counter() - begin

    def trace(self) -> list[tuple[str, int, float]]:
        """Kind of operation, how many of them, and their milliseconds in one step."""
        recorded = self._tf.RunMetadata()
        level = self._tf.RunOptions(trace_level=self._tf.RunOptions.FULL_TRACE)
        for _ in range(2):  # The first traced step builds the graph anew.
            self._session.run(self._fetches, self._feed, level, recorded)
        milliseconds: collections.Counter[str] = collections.Counter()
        numbers: collections.Counter[str] = collections.Counter()
        for device in recorded.step_stats.dev_stats:
            for node in device.node_stats:
                kind = re.search(r'= (\w+)\(', node.timeline_label)
                name = kind[1] if kind else node.node_name
                milliseconds[name] += (node.op_end_rel_micros - node.op_start_rel_micros) / 1000
                numbers[name] += 1
        return [(name, numbers[name], value) for name, value in milliseconds.most_common(20)]


def measure(arguments: argparse.Namespace) -> None:
    """Prints the rates on `arguments.cores` cores, to which this process is bound."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-arguments.cores :])
    from runtime import startup

    startup.import_tensorflow_quietly()
    import numpy as np
    import tensorflow.compat.v1 as tf

    from nets import nets_factory

    warnings.simplefilter('ignore')
    tf.disable_eager_execution()
    size = (
        arguments.image_size
        or nets_factory.get_network_fn(arguments.model, CLASSES).default_image_size
    )
    random = np.random.default_rng(0)
    batch = arguments.batch_size * arguments.cores
    images = random.uniform(-1, 1, [batch, size, size, 3]).astype(np.float32)
    labels = random.integers(1, CLASSES, [batch])
    trainings = {
        dtype: Training(dtype, arguments.model, images, labels, arguments.cores)
        for dtype in ('fp32', 'bf16')
    }
    seconds: dict[str, list[float]] = {dtype: [] for dtype in trainings}
    for turn in range(arguments.turns + 1):
        for dtype, training in trainings.items():
            taken = [training.seconds() for _ in range(STEPS_PER_TURN)]
            if turn:  # The first turn builds the graphs.
                seconds[dtype] += taken
    print(f'{arguments.model}, {size} pixels, batch {batch}, {arguments.cores} core(s)')
    medians, bests = [
        {dtype: batch / choose(taken) for dtype, taken in seconds.items()}
        for choose in (lambda taken: sorted(taken)[len(taken) // 2], min)
    ]
    for name, rates in (('median', medians), ('best', bests)):
        print(
            f'  {name:6}  fp32 {rates["fp32"]:6.1f}  bf16 {rates["bf16"]:6.1f} images/s  '
            f'{rates["bf16"] / rates["fp32"]:.2f} times',
            flush=True,
        )
    if arguments.trace:
        for dtype, training in trainings.items():
            print(f'  {dtype}:')
            for name, number, milliseconds in training.trace():
                print(f'  {milliseconds:8.1f} ms  {number:4} {name}', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='mobilenet_v2')
    parser.add_argument('--image_size', type=int, default=0, help="0 is the network's own")
    parser.add_argument('--batch_size', type=int, default=16, help='images per core')
    parser.add_argument('--turns', type=int, default=5)
    parser.add_argument('--cores', type=int, default=0, help='0 measures one, then two')
    parser.add_argument('--trace', action='store_true')
    arguments = parser.parse_args()
    if arguments.cores:
        measure(arguments)
        return
    for cores in (1, 2):
        if cores <= len(os.sched_getaffinity(0)):
            # A process of its own: TensorFlow takes the cores that are there when it starts.
            subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], f'--cores={cores}'], check=True
            )


if __name__ == '__main__':
    main()
