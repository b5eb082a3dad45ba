"""Every name that a flag can take, by kind. No TensorFlow: an answer takes no time."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from datasets import names as dataset_names
from nets import published
from preprocessing import names as preprocessing_names
from runtime import options
from runtime.results import tables

# Kind to the flag that takes its names, and the names.
KINDS: dict[str, tuple[str, Sequence[str]]] = {
    'networks': ('model_name', tuple(published.NETWORKS)),
    'preprocessings': (
        'preprocessing_name',
        tuple(name for names in preprocessing_names.NAMES.values() for name in names),
    ),
    'data sets': ('dataset_name', dataset_names.NAMES),
    'optimizers': ('optimizer', options.OPTIMIZERS),
    'schedules': ('learning_rate_decay_type', options.LEARNING_RATE_DECAY_TYPES),
}


def shown(form: str) -> str:
    """All of them, in a form of options.INSPECTION_FORMATS."""
    if form == 'json':
        return json.dumps({kind: list(listed) for kind, (_, listed) in KINDS.items()}, indent=1)
    if form == 'csv':
        rows = [(kind, flag, name) for kind, (flag, listed) in KINDS.items() for name in listed]
        return tables.as_csv(('kind', 'flag', 'name'), rows)
    paragraphs = []
    for kind, (flag, listed) in KINDS.items():
        lines = textwrap.wrap(', '.join(listed), 98, break_on_hyphens=False)
        paragraphs.append('\n  '.join([f'{len(listed)} {kind}, --{flag}:', *lines]))
    return '\n\n'.join(paragraphs)
