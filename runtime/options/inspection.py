"""The flags of inspect_network.py."""

from __future__ import annotations

import dataclasses

from runtime.options.fields import option

INSPECTION_FORMATS = ('table', 'csv', 'json')


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Every flag of inspect_network.py."""

    model_name: str | None = option(None, 'name of the network in nets_factory')
    num_classes: int | None = option(
        None, "outputs of the network; default: as published, or the checkpoint's", at_least=1
    )
    image_size: int | None = option(
        None, "side of the square input in pixels; default: the network's own", at_least=1
    )
    use_grayscale: bool = option(False, 'input of one channel instead of three')
    num_frames: int | None = option(
        None, 'frames of a video, for a network of videos; default: as published', at_least=1
    )
    list: bool = option(
        False, 'name all networks, preprocessings, data sets, optimizers and schedules'
    )
    checkpoint_path: str | None = option(
        None,
        'checkpoint, or folder of one, to compare with --model_name, or of which the network is '
        'looked for',
        path='read',
    )
    ignore_sidecar: bool = option(
        False, "leave the checkpoint's PREFIX.json unread, and the names in it unused"
    )
    format: str = option('table', 'form of the answer', choices=INSPECTION_FORMATS)
