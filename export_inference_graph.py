"""Writes a network for inference elsewhere: GraphDef, SavedModel, TFLite, ONNX.

  python3 export_inference_graph.py --model_name=inception_v3 --output_file=/tmp/inception_v3.pb
  python3 export_inference_graph.py --model_name=mobilenet_v2 --dataset_dir=/data/mine \\
      --checkpoint_path=/tmp/run --output_file=/tmp/frozen.pb
  python3 export_inference_graph.py --checkpoint_path=/tmp/run --output_file=/tmp/mine \\
      --format=saved_model,tflite,onnx --quantization=none,int8 --calibration_dir=/data/mine

Without --format the file is a GraphDef: the input is the placeholder `input`, preprocessed images;
the logits are `output`, beside the network's own names. Without --checkpoint_path it holds no
weights; with it, the moving averages of the run, or its last weights for --moving_average_decay=0.

With --format each file is loaded in a fresh process and compared with the checkpoint before it gets
its name; export.json beside it has the differences, sizes and latencies (docs/export.md). Exit
codes: 0 done, 1 failure, 2 wrong command line, 3 data.
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
    flags.require('output_file', 'path of the file to write')
    startup.import_tensorflow_quietly()
    return export(chosen, flags.chosen_by_user())


def export(chosen: options.Export, given: Collection[str]) -> int:
    """The walk from network to files; returns the exit code.

    What is not among the `given` flags comes from the checkpoint's sidecar, where it has one.
    """
    from runtime import lookup
    from runtime.checkpoints import files, settling, sidecar
    from runtime.results import exporter
    from runtime.results.exports import walk

    lookup.check_names(chosen.model_name, chosen.preprocessing_name)
    is_classic = walk.FLAGS.isdisjoint(given)
    targets = [] if is_classic else walk.check_flags(chosen)
    if is_classic:
        exporter.check_writable(chosen.output_file)
    checkpoint = chosen.checkpoint_path and files.find(chosen.checkpoint_path, 'checkpoint_path')
    about = sidecar.read(checkpoint) if checkpoint and not chosen.ignore_sidecar else None
    chosen = settling.settle(chosen, given, about, lookup.same_preprocessing)
    source = f'{checkpoint}.json' if about else ''
    lookup.check_names(chosen.model_name, chosen.preprocessing_name, source)
    told = {'dataset_name', 'dataset_dir'}.isdisjoint(given)
    network = lookup.for_export(chosen, about.num_classes if about and told else None)
    shown = lookup.shown(chosen.model_name, network)
    if is_classic:
        print(_classic(chosen, network, checkpoint, shown))
        return 0
    preprocess, pixel_scale = lookup.preprocessing_for_export(chosen)
    parts = walk.Parts(
        network,
        preprocess,
        pixel_scale,
        lambda count: lookup.labels_for_export(chosen, count, about and about.label_names),
        chosen.calibration_dir and (lambda count: lookup.pictures_for_export(chosen, count)),
    )
    lines, note = walk.export(chosen, targets, parts, checkpoint)
    print('\n'.join([shown, *lines, _note(checkpoint, note)]))
    return 0


def _classic(chosen: options.Export, network: Any, checkpoint: str | None, shown: str) -> str:
    """Writes the GraphDef as the classic suite does; returns what to tell."""
    import tensorflow.compat.v1 as tf

    from runtime.checkpoints import weights
    from runtime.results import exporter

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
            note = _note(checkpoint, loaded.note)
    exporter.write(graph_def, chosen.output_file, chosen.write_text_graphdef)
    file = errors.printable(chosen.output_file)
    return f'{file}: {shown}, input {shape}, {len(graph_def.node)} nodes\n{note}'


def _note(checkpoint: str, note: str) -> str:
    """Which weights of which checkpoint."""
    from runtime.checkpoints import files

    step = files.global_step(checkpoint)
    return f'of {errors.printable(checkpoint)}, step {step}, its {note}'


if __name__ == '__main__':
    app.run(main)
