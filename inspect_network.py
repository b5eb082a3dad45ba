"""Shows a network layer by layer, compares it with a checkpoint, or names everything there is.

  python3 inspect_network.py --model_name=mobilenet_v2
  python3 inspect_network.py --list
  python3 inspect_network.py --checkpoint_path=/tmp/run --model_name=mobilenet_v1
  python3 inspect_network.py --checkpoint_path=/tmp/some.ckpt

Layers come with output shapes, parameters and multiply-adds. With a checkpoint, its variables are
compared with those of --model_name, or of the network that the file beside it names; where neither
is known, with every network of the suite that has variables in its scopes. Exit codes: 0 done, 1
failure, or no network fits, 2 wrong command line.
"""

from __future__ import annotations

import dataclasses

from runtime import app, catalogue, flags, options, startup
from slim import errors

flags.define(options.Inspection)


def main() -> int:
    """Reads the flags and prints what they ask for; returns the exit code."""
    chosen = flags.read(options.Inspection)
    app.end_with_the_reader()
    if chosen.list:
        print(catalogue.shown(chosen.format))
        return 0
    if not chosen.model_name and not chosen.checkpoint_path:
        raise errors.UsageError(
            'Nothing to look at: give --model_name, --checkpoint_path or --list'
        )
    startup.import_tensorflow_quietly()
    return compare(chosen) if chosen.checkpoint_path else show(chosen)


def show(chosen: options.Inspection) -> int:
    """Prints the layers of the network."""
    import tensorflow.compat.v1 as tf

    from runtime import lookup
    from runtime.results import inspection

    bare = lookup.for_inspection(chosen)
    with tf.Graph().as_default():
        inspection.build(bare.network.function, bare.input_shape)
        about = {
            'network': chosen.model_name,
            'classes': bare.network.num_classes,
            'input': bare.input_shape,
        }
        print(inspection.report(about, chosen.format))
    return 0


def compare(chosen: options.Inspection) -> int:
    """Prints how networks fit the checkpoint; the exit code says whether one does."""
    import tensorflow.compat.v1 as tf

    import slim
    from runtime import lookup
    from runtime.checkpoints import files, fitting, settling, sidecar
    from runtime.results import inspection

    assert chosen.checkpoint_path
    if chosen.model_name:
        lookup.check_names(chosen.model_name)
    checkpoint = files.find(chosen.checkpoint_path, 'checkpoint_path')
    held = fitting.held_variables(checkpoint)
    unread = chosen.model_name or chosen.ignore_sidecar or sidecar.is_of_detector(checkpoint)
    about = None if unread else sidecar.read(checkpoint)
    chosen = settling.settle(chosen, flags.chosen_by_user(), about, lookup.same_preprocessing)
    fits = []
    for name in lookup.networks_for(chosen, checkpoint, held):
        asked = dataclasses.replace(chosen, model_name=name)
        bare = lookup.for_inspection(asked, chosen.num_classes or fitting.UNKNOWN_CLASSES)
        with tf.Graph().as_default():
            inspection.build(bare.network.function, bare.input_shape)
            variables = slim.get_model_variables()
            fits.append(fitting.compare(name, bare.network.num_classes, held, variables))
    fits.sort(key=lambda fit: fit.distance)
    print(inspection.fit_report(fits, chosen.format))
    return 0 if fits[0].fits else 1


if __name__ == '__main__':
    app.run(main)
