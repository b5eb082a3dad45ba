"""What a training run shows of its inside."""

from __future__ import annotations

import dataclasses

from runtime.options.fields import option


@dataclasses.dataclass(frozen=True)
class WatchingOptions:
    """What TensorBoard and chrome://tracing get beside the numbers of the log."""

    save_histograms: bool = option(
        False,
        'TensorBoard gets histograms of the weights and of the activations, as often as summaries',
    )
    save_sample_images: int = option(
        8,
        'images of the first batch, as the network gets them, for TensorBoard: what augmentation '
        'does to them; 0 for none, and none with --steps_per_run or '
        '--accumulate_steps',
        at_least=0,
    )
    profile_steps: str | None = option(
        None,
        'FIRST,LAST: steps of which a trace is written to --train_dir, for the profiler of '
        'TensorBoard and for chrome://tracing',
    )
