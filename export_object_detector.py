"""Writes a detector for use elsewhere: GraphDef, SavedModel, TFLite, ONNX.

  python3 export_object_detector.py --checkpoint_path=/tmp/detector --output_file=/tmp/cars.tflite
  python3 export_object_detector.py --checkpoint_path=/tmp/detector --output_file=/tmp/cars \\
      --format=graphdef,saved_model,tflite --quantization=none,float16 --include_preprocessing

A picture goes in, and its detections come out: `boxes` [1, 64, 4] (xmin, ymin, xmax, ymax in pixels
of the frame), `scores` [1, 64] and `classes` [1, 64], the best first; decoding and suppression are
inside. Each file is loaded in a fresh process and compared with the checkpoint before it gets its
name; export.json beside it has differences, sizes and latencies (docs/detection.md). Exit codes: 0
done, 1 failure, 2 wrong command line, 3 data.
"""

from __future__ import annotations

from collections.abc import Collection

from runtime import app, flags, options, startup
from slim import errors

flags.define(options.DetectionExport)


def main() -> int:
    """Reads the flags and exports; returns the exit code."""
    chosen = flags.read(options.DetectionExport)
    flags.require('output_file', 'path of the file to write')
    flags.require('checkpoint_path', 'checkpoint whose weights the files get')
    startup.import_tensorflow_quietly()
    return export(chosen, flags.chosen_by_user())


def export(chosen: options.DetectionExport, given: Collection[str]) -> int:
    """The walk from checkpoint to files; returns the exit code.

    What is not among the `given` flags comes from the checkpoint's sidecar, where it has one.
    """
    from runtime import detection_lookup
    from runtime.checkpoints import files, settling, sidecar
    from runtime.results.exports import detections

    detection_lookup.check_name(chosen.model_name)
    targets = detections.check_flags(chosen)
    assert chosen.checkpoint_path
    checkpoint = files.find(chosen.checkpoint_path, 'checkpoint_path')
    about = None if chosen.ignore_sidecar else sidecar.read_detector(checkpoint)
    chosen = settling.settle(chosen, given, about)
    detection_lookup.check_name(chosen.model_name, f'{checkpoint}.json')
    told = {'dataset_name', 'dataset_dir'}.isdisjoint(given)
    parts = detections.Parts(
        detection_lookup.for_export(chosen, about if told else None),
        detection_lookup.preprocess_file,
        detection_lookup.pixel_scale(),
        lambda count: detection_lookup.pictures_for_export(chosen, count),
    )
    lines, note = detections.export(chosen, targets, parts, checkpoint)
    frame = f'{chosen.image_width} x {chosen.image_height}'
    classes = errors.shortened(', '.join(parts.network.class_names), 200)
    step = files.global_step(checkpoint)
    print(
        f'{chosen.model_name} on frames of {frame} pixels, classes: {classes}',
        *lines,
        f'of {errors.printable(checkpoint)}, step {step}, its {note}',
        sep='\n',
    )
    return 0


if __name__ == '__main__':
    app.run(main)
