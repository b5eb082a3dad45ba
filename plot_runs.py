"""Draws the curves of training runs: loss, learning rate and accuracy, over epochs and over time.

  python3 plot_runs.py /data/run
  python3 plot_runs.py /data/first /data/second --output_file=/data/both.png

RUN is the --train_dir of train_image_classifier.py, whose metrics.jsonl is read; several are drawn
beside each other. Needs the extra `plot`. Exit codes: 0 done, 1 failure, 2 wrong command line, 3 a
folder that is no run, or a damaged file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from runtime import app, flags, options
from slim import errors

flags.define(options.Plotting)


def main(folders: Sequence[str]) -> int:
    """Reads the runs and draws them; returns the exit code."""
    from runtime.curves import drawing, history

    chosen = flags.read(options.Plotting)
    if not folders:
        raise errors.UsageError('Nothing to draw: give the folders of runs, plot_runs.py RUN...')
    form = drawing.form_of(chosen.output_file)
    drawing.check_extra()
    runs = history.named([history.read(folder) for folder in folders])
    difference = history.difference(runs)
    if difference:
        print(f'note: {errors.printable(difference)}', file=sys.stderr, flush=True)
    drawing.write(chosen.output_file, drawing.draw(runs, form))
    print(f'curves: {errors.printable(chosen.output_file)}')
    return 0


if __name__ == '__main__':
    app.run(main, words=True)
