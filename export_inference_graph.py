"""Writes the graph of a network, for inference elsewhere, as a GraphDef.

  python3 export_inference_graph.py --model_name=inception_v3 --output_file=/tmp/inception_v3.pb
  python3 export_inference_graph.py --model_name=mobilenet_v2 --dataset_dir=/data/mine \\
      --checkpoint_path=/tmp/run --output_file=/tmp/frozen.pb

The input is the placeholder `input`, preprocessed images; the logits are `output`, beside the
network's own names. Without --checkpoint_path the file holds no weights; with it, the moving
averages of the run, or its last weights for --moving_average_decay=0. Exit codes: 0 done, 1
failure, 2 wrong command line, 3 data.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from runtime import app, flags, options, startup
from slim import errors

flags.define(options.Export)


def main(unused_argv: Any = None) -> int:
    """Reads the flags and exports; returns the exit code."""
    chosen = flags.read(options.Export)
    flags.require('output_file', 'path of the GraphDef to write')
    startup.import_tensorflow_quietly()
    return export(chosen, flags.chosen_by_user())


def export(chosen: options.Export, given: Collection[str]) -> int:
    """The walk from network to file; returns the exit code.

    What is not among the `given` flags comes from the checkpoint's sidecar, where it has one.
    """
    import tensorflow.compat.v1 as tf

    from runtime import lookup
    from runtime.checkpoints import files, settling, sidecar, weights
    from runtime.results import exporter

    lookup.check_names(chosen.model_name)
    exporter.check_writable(chosen.output_file)
    checkpoint = chosen.checkpoint_path and files.find(chosen.checkpoint_path, 'checkpoint_path')
    about = sidecar.read(checkpoint) if checkpoint and not chosen.ignore_sidecar else None
    chosen = settling.settle(chosen, given, about, lookup.same_preprocessing)
    lookup.check_names(chosen.model_name, source=f'{checkpoint}.json' if about else '')
    told = {'dataset_name', 'dataset_dir'}.isdisjoint(given)
    network = lookup.for_export(chosen, about.num_classes if about and told else None)
    size = network.image_size
    channels = 1 if chosen.use_grayscale else 3
    frames = [chosen.num_frames] if chosen.is_video_model else []

    with tf.Graph().as_default() as graph:
        shape = [chosen.batch_size, *frames, size, size, channels]
        with exporter.reference_variables():
            logits, _ = network.function(tf.placeholder(tf.float32, shape, name='input'))
        output = tf.identity(logits, name='output')
        graph_def = graph.as_graph_def()
        note = exporter.WITHOUT_WEIGHTS
        if checkpoint:
            loaded = weights.of_checkpoint(checkpoint, chosen.moving_average_decay)
            graph_def = exporter.freeze(graph_def, loaded.saver, checkpoint, output.op.name)
            step = files.global_step(checkpoint)
            note = f'of {errors.printable(checkpoint)}, step {step}, its {loaded.note}'
    exporter.write(graph_def, chosen.output_file, chosen.write_text_graphdef)
    shown = lookup.shown(chosen.model_name, network)
    file = errors.printable(chosen.output_file)
    print(f'{file}: {shown}, input {shape}, {len(graph_def.node)} nodes\n{note}')
    return 0


if __name__ == '__main__':
    app.run(main)
