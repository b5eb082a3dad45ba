"""A program, not a test: trains small networks by the walk of the training script.

    python3 equal_runs.py '{"folder": ..., "flags": [...], "cases": {NAME: [NETWORK, FLAG, ...]}}'

Every worker writes the values of all variables to FOLDER/NAME/MOMENT-RANK.npz: start, and
before_step_N and after_step_N around each comparison of the workers after step N. The networks draw
no random numbers, so that one worker and many compute the same.
"""

import dataclasses
import json
import os
import sys

from absl import flags as absl_flags

import train_image_classifier
from runtime import flags, options, startup


def plain(images, num_classes):
    """Without batch norm."""
    import tensorflow.compat.v1 as tf

    import slim

    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        activation_fn=tf.nn.softplus,
        weights_regularizer=slim.l2_regularizer(1e-4),
    ):
        net = slim.conv2d(images, 8, 3, stride=2)
        net = slim.conv2d(net, 16, 3, stride=2)
        net = tf.reduce_mean(net, [1, 2])
        return slim.fully_connected(net, num_classes, activation_fn=None), {}


def mobilenet(images, num_classes):
    """The first three layers of MobileNetV2 and the last, without dropout.

    With softplus: rounding carries values over the kink of ReLU6, and then gradients jump.
    """
    import copy

    import tensorflow.compat.v1 as tf

    import slim
    from nets.mobilenet import mobilenet_v2

    layers = copy.deepcopy(mobilenet_v2.V2_DEF)
    layers['spec'] = [*layers['spec'][:3], layers['spec'][-1]]
    with slim.arg_scope(mobilenet_v2.training_scope(dropout_keep_prob=1.0, bn_decay=0.9)):
        return mobilenet_v2.mobilenet(
            images, num_classes, 0.5, conv_defs=layers, activation_fn=tf.nn.softplus
        )


NETWORKS = {'plain': plain, 'mobilenet': mobilenet}


def chosen_flags(arguments):
    values = absl_flags.FlagValues()
    flags.define(options.Training, values)
    values(['equal_runs', *arguments])
    return flags.read(options.Training, values)


def recorded_variables(folder, rank):
    """agreement.Variables that writes all values: at the start, before and after reconciling."""
    import numpy as np
    import tensorflow.compat.v1 as tf

    from runtime.workers import agreement

    def write(session, moment):
        variables = tf.global_variables()
        values = session.run([variable.read_value() for variable in variables])
        names = [variable.op.name for variable in variables]
        path = os.path.join(folder, f'{moment.replace(" ", "_")}-{rank}.npz')
        np.savez(path, **dict(zip(names, values, strict=True)))

    class Recorded(agreement.Variables):
        def make_equal(self, session):
            super().make_equal(session)
            write(session, 'start')

        def reconcile(self, session, moment):
            write(session, moment.replace('after', 'before'))
            super().reconcile(session, moment)
            write(session, moment)

    return Recorded


def main():
    order = json.loads(sys.argv[1])
    common = [f'--train_dir={order["folder"]}/checkpoints', *order['flags']]
    first = chosen_flags(common)
    runtime = startup.start(first.device, first.workers)

    from runtime import lookup
    from runtime.workers import agreement

    look_up, variables = lookup.for_training, agreement.Variables
    for case, (network, *arguments) in order['cases'].items():
        folder = os.path.join(order['folder'], case)
        os.makedirs(folder, exist_ok=True)
        chosen = chosen_flags([*common, f'--train_dir={folder}/checkpoints', *arguments])

        def with_network(chosen, network=network):
            parts = look_up(chosen)
            own = dataclasses.replace(
                parts.network, function=lambda images: NETWORKS[network](images, 10)
            )
            return dataclasses.replace(parts, network=own)

        lookup.for_training = with_network
        agreement.Variables = recorded_variables(folder, runtime.cluster.rank)
        train_image_classifier.train(chosen, runtime)
        agreement.Variables = variables


if __name__ == '__main__':
    main()
