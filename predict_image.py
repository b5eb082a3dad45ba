"""Names the classes of pictures, by a checkpoint or an exported network.

  python3 predict_image.py --images=cat.jpg --checkpoint_path=/tmp/run
  python3 predict_image.py --images=/data/holiday --exported_file=/data/flowers.tflite \\
      --format=csv --output_file=/data/classes.csv

--images is a file, a folder, a pattern or a list of files. Network, preprocessing, image size and
classes are those that the checkpoint was trained with, where the file beside it (PREFIX.json) says
so, or those that the exported file names. Exit codes: 0 done, 1 failure, 2 wrong command line, 3 a
picture or data set, 4 numbers that are not finite, 5 device.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Any

from runtime import app, flags, options, startup
from slim import errors

flags.define(options.Prediction)


def main() -> int:
    """Reads the flags and predicts; returns the exit code."""
    chosen = flags.read(options.Prediction)
    app.end_with_the_reader()
    flags.require('images', 'pictures: a file, a folder, a pattern or a list')
    if bool(chosen.run.checkpoint_path) == bool(chosen.run.exported_file):
        raise errors.UsageError('Give what predicts: either --checkpoint_path or --exported_file')
    runtime, given = startup.start(chosen.device), flags.chosen_by_user()
    return predict(runtime.with_threads(chosen, given), runtime, given)


def predict(chosen: options.Prediction, runtime: startup.Runtime, given: Collection[str]) -> int:
    """The walk from pictures to the answer; returns the exit code."""
    from datasets import picture_files
    from datasets.conversion.progress_bar import ProgressBar, tell
    from runtime.input import pictures
    from runtime.results import exporter, predictions

    # Everything that can be wrong is looked up before anything is built or written.
    if chosen.run.output_file:
        exporter.check_writable(chosen.run.output_file)
    assert chosen.input.images
    skip = chosen.input.on_data_error == 'skip'
    paths = pictures.usable(picture_files.find(chosen.input.images), skip, say_aside)
    choose = of_checkpoint if chosen.run.checkpoint_path else of_file
    chosen, model = choose(chosen, runtime, given, paths)
    say_aside(str(runtime), *model.notes)

    say = tell if chosen.run.output_file else say_aside
    with (
        predictions.output(chosen.run.output_file) as file,
        ProgressBar(len(paths), 'pictures', say) as progress,
    ):
        predictions.write(model, chosen.run, paths, file, progress)
    return 0


def of_checkpoint(
    chosen: options.Prediction,
    runtime: startup.Runtime,
    given: Collection[str],
    paths: Sequence[str],
) -> tuple[options.Prediction, Any]:
    """The flags with what the checkpoint's sidecar says, and the checkpoint as what predicts."""
    from runtime import lookup
    from runtime.checkpoints import files, settling, sidecar
    from runtime.results import predictor

    lookup.check_names(chosen.network.model_name, chosen.input.preprocessing_name)
    assert chosen.run.checkpoint_path
    checkpoint = files.find(chosen.run.checkpoint_path, 'checkpoint_path')
    about = None if chosen.run.ignore_sidecar else sidecar.read(checkpoint)
    chosen = settling.settle(chosen, given, about, lookup.same_preprocessing)
    name, preprocessing = chosen.network.model_name, chosen.input.preprocessing_name
    lookup.check_names(name, preprocessing, source=f'{checkpoint}.json' if about else '')
    parts = lookup.for_prediction(chosen, about, given)
    return chosen, predictor.OfCheckpoint(chosen, parts, runtime, checkpoint, paths)


def of_file(
    chosen: options.Prediction,
    runtime: startup.Runtime,
    given: Collection[str],
    paths: Sequence[str],
) -> tuple[options.Prediction, Any]:
    """The flags, and the exported file as what predicts."""
    from runtime import lookup
    from runtime.results import exported, predictor

    assert chosen.run.exported_file
    model = exported.load(chosen.run.exported_file)
    parts = lookup.for_exported(chosen, model, predictor.count_classes(model), given)
    return chosen, predictor.OfFile(chosen, parts, model, paths)


def say_aside(*lines: str) -> None:
    """Where it does not stand in the answer."""
    print(
        *(errors.printable(line) for line in lines if line), sep='\n', file=sys.stderr, flush=True
    )


if __name__ == '__main__':
    app.run(main)
