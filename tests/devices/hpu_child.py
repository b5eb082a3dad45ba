"""A process with software HPUs: python3 hpu_child.py LIBRARY RESULT FUNCTION [ARGUMENT...]

Writes what the function returns to RESULT as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

import numpy as np
import tensorflow.compat.v1 as tf

warnings.simplefilter('ignore')
tf.load_library(sys.argv[1])  # Before anything lists the devices.
tf.disable_eager_execution()

from deployment import model_deploy  # noqa: E402
from nets import nets_factory  # noqa: E402
from runtime import options, startup  # noqa: E402
from runtime.checkpoints import averages  # noqa: E402
from runtime.devices import devices, placement  # noqa: E402
from runtime.training import classification, optimizers, randomness  # noqa: E402
from runtime.training import step as step_lib  # noqa: E402
from runtime.workers import cluster  # noqa: E402
from slim import errors  # noqa: E402

CLASSES, SIZE, BATCH = 10, 32, 4


class _Run:
    """A network's training graph as the training script builds it, and a session for it."""

    def __init__(
        self, device_type='HPU', network='mobilenet_v1_025', num_clones=1, workers=None, hard=False
    ):
        self.workers = workers or cluster.SingleProcess()
        tf.set_random_seed(5)
        config = model_deploy.DeploymentConfig(num_clones, device_type=device_type)
        with tf.device(config.inputs_device()):
            global_step = tf.train.create_global_step()
            random = np.random.default_rng(1)
            images = random.uniform(-1, 1, [BATCH, SIZE, SIZE, 3]).astype(np.float32)
            labels = random.integers(0, CLASSES, [BATCH])
            batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
            self._iterator = tf.data.make_initializable_iterator(batches)
        network_fn = nets_factory.get_network_fn(
            network, CLASSES, weight_decay=4e-5, is_training=True
        )
        clones = model_deploy.create_clones(
            config,
            classification.training_clone,
            [self._iterator.get_next, network_fn, CLASSES, 0.1],
        )
        randomness.make_draws_follow_step(tf.losses.get_losses(), global_step, 5)
        with tf.device(config.optimizer_device()):
            rate = tf.constant(0.01)
            optimizer = optimizers.optimizer(options.OptimizerOptions(), rate)
            loss, gradients = model_deploy.optimize_clones(clones, optimizer)
            update = step_lib.Update(
                optimizer,
                gradients,
                tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope),
                averages.moving_averages(0.999),
            )
            self.step = step_lib.build_step(global_step, loss, rate, update, self.workers)
        self.saver = tf.train.Saver(tf.global_variables())
        runtime = startup.Runtime(devices.Device(device_type, 'for the test'), self.workers)
        self._session_config = runtime.session_config()
        rewrite = self._session_config.graph_options.rewrite_options
        rewrite.remapping = rewrite.OFF  # Its fusions are the CPU's.
        if hard:
            self._session_config.allow_soft_placement = False
        self.new_session()

    def new_session(self):
        """A session in which no variable has a value."""
        self.session = tf.Session(config=self._session_config)
        self.session.run(self._iterator.initializer)

    def initialize(self):
        self.session.run(tf.global_variables_initializer())
        return self

    def report(self):
        """Runs a step; returns its loss and the graphs of the devices."""
        report = tf.RunMetadata()
        level = tf.RunOptions(output_partition_graphs=True)
        values = self.session.run(self.step.fetches, options=level, run_metadata=report)
        return float(values['loss']), report.partition_graphs

    def placed(self):
        """Operation name to (type, device) of a step as TensorFlow has placed it."""
        _, partitions = self.report()
        return {
            node.name: (node.op, placement.short_name(node.device))
            for partition in partitions
            for node in partition.node
        }


def one_hpu(folder, network='mobilenet_v2_035'):
    run = _Run(network=network).initialize()
    first, partitions = run.report()
    path = run.saver.save(run.session, os.path.join(folder, 'model.ckpt'))
    seen = {
        'listed': len(tf.config.list_physical_devices('HPU')),
        'line': placement.check(tf.get_default_graph(), partitions),
        'variables': {v.op.name: [v.op.type, v.device] for v in tf.global_variables()},
        'losses': [first, run.report()[0]],
        'placed': run.placed(),
        'restored': {},
    }
    run.new_session()
    run.saver.restore(run.session, path)
    seen['restored']['HPU'] = run.report()[0]
    with tf.Graph().as_default():
        again = _Run('CPU', network)
        again.saver.restore(again.session, path)
        seen['restored']['CPU'] = again.report()[0]
    return seen


def two_hpus():
    run = _Run(num_clones=2).initialize()
    return {'listed': len(tf.config.list_physical_devices('HPU')), 'placed': run.placed()}


def missing_kernel():
    run = _Run(network='cifarnet').initialize()
    _, partitions = run.report()
    try:
        placement.check(tf.get_default_graph(), partitions)
    except errors.DeviceError as error:
        return str(error)
    return None


def horovod(folder):
    import horovod.tensorflow as hvd

    hvd.init()
    devices._chosen = devices.Device('HPU', 'for the test')
    run = _Run(network='cifarnet', workers=cluster.Horovod(hvd), hard=True)
    broadcast = run.workers.broadcast(tf.global_variables())
    run.initialize()
    run.session.run(broadcast)
    placed = run.placed()
    reduced = [device for kind, device in placed.values() if kind == 'HorovodAllreduce']
    gradients = len(tf.trainable_variables())
    # Each worker a file: mpirun joins the lines that workers print.
    with open(os.path.join(folder, f'{hvd.rank()}.json'), 'w') as file:
        json.dump({'reduced': reduced, 'gradients': gradients, 'size': hvd.size()}, file)


def main():
    _, _, result, function, *arguments = sys.argv
    value = globals()[function](*arguments)
    if function != 'horovod':
        with open(result, 'w') as file:
            json.dump(value, file)


main()
