"""What classes and images are called in a report."""

from __future__ import annotations

import os
from typing import Any

from runtime.results.reports.rows import Rows
from slim import errors

_LONGEST = 60


class Names:
    """What classes and images are called."""

    def __init__(self, dataset: Any, classes: int, labels_offset: int) -> None:
        """`dataset`: a `datasets.dataset.Dataset`."""
        self._dataset = dataset
        self.labels = [place + labels_offset for place in range(classes)]
        known = dataset.labels_to_names or {}
        self.classes = [known.get(label, '') for label in self.labels]
        self.shown = [
            errors.shortened(name, _LONGEST) if name else str(label)
            for label, name in zip(self.labels, self.classes, strict=True)
        ]

    def files(self, rows: Rows) -> list[str]:
        """The record file of each row, without its folder."""
        files = [os.path.basename(path) for path in self._dataset.data_sources]
        return [files[number] for number in rows.files.tolist()]

    def images(self, rows: Rows) -> list[str]:
        """The name of each image; its file and number where the record has none."""
        return [
            name.decode(errors='backslashreplace') or f'{file}:{number}'
            for name, file, number in zip(
                rows.names.tolist(), self.files(rows), rows.records.tolist(), strict=True
            )
        ]
