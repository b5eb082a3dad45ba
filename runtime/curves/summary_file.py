"""summary.csv: a row for each log line and each validation, for spreadsheets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import folders
from runtime.curves import history

NAME = 'summary.csv'
# Column, and the key of metrics.jsonl; its two kinds of rows share some.
_COLUMNS = {
    'step': 'step',
    'epoch': 'epoch',
    'loss': 'loss',
    'learning_rate': 'learning_rate',
    'images_per_sec': 'images_per_sec',
    'sec_per_step': 'sec_per_step',
    'data_wait': 'data_wait',
    'accuracy': 'Accuracy',
    'recall_5': 'Recall_5',
    'time': 'time',
}


class SummaryFile:
    """The file of one run; written where metrics.jsonl is."""

    def __init__(self, folder: str) -> None:
        self._folder, self._path = folder, os.path.join(folder, NAME)

    def start(self, step: int) -> None:
        """Begins the file with what metrics.jsonl says of the steps up to `step`.

        So a resumed run has no row twice, and one whose file is lost or damaged has it again.
        """
        metrics = os.path.join(self._folder, history.METRICS_FILE)
        try:
            lines = []
            if tf.gfile.Exists(metrics):
                with tf.gfile.Open(metrics, 'rb') as file:
                    lines = file.read().decode(errors='replace').splitlines(keepends=True)
        except (tf.errors.OpError, OSError) as error:
            raise folders.cannot_write(self._path, error) from error
        run = history.parse(lines, metrics, lenient=True)
        # By step; of the same step the validation comes behind, since the order is stable.
        rows = sorted([*run.steps, *run.validations], key=lambda row: row['step'])
        kept = [_line(row) for row in rows if row['step'] <= step]
        folders.write_text(self._path, ''.join([','.join(('kind', *_COLUMNS)), '\n', *kept]))

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row of metrics.jsonl."""
        try:
            with tf.gfile.Open(self._path, 'a') as file:
                file.write(_line(row))
        except (tf.errors.OpError, OSError) as error:
            raise folders.cannot_write(self._path, error) from error


def _line(row: Mapping[str, Any]) -> str:
    kind = history.VALIDATION if row.get('kind') == history.VALIDATION else 'train'
    cells = (row.get(key) for key in _COLUMNS.values())
    # Numbers alone, for which no quoting is needed.
    shown = (f'{cell:.10g}' if isinstance(cell, (int, float)) else '' for cell in cells)
    return ','.join((kind, *shown)) + '\n'
