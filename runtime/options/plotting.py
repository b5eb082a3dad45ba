"""The flags of plot_runs.py."""

from __future__ import annotations

import dataclasses

from runtime.options.fields import option


@dataclasses.dataclass(frozen=True)
class Plotting:
    """Every flag of plot_runs.py."""

    output_file: str = option(
        'curves.png', 'the picture; its ending says its form: .png, .svg or .pdf', path='written'
    )
