"""The network and the averages of its weights."""

from __future__ import annotations

import dataclasses

from runtime.options.fields import option


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Which network."""

    model_name: str = option('mobilenet_v2', 'name of the network in nets_factory')


@dataclasses.dataclass(frozen=True)
class TrainingNetworkOptions(NetworkOptions):
    """Which network, and how it is regularized."""

    weight_decay: float = option(4e-05, 'L2 coefficient of the weights', at_least=0)
    batch_norm_decay: float | None = option(
        None,
        "decay of the moving statistics of batch norm; default: the network's own "
        '(lower it for runs of a few hundred steps)',
        at_least=0,
        at_most=1,
    )
    label_smoothing: float = option(
        0.1, 'share of the label spread evenly over all classes', at_least=0, at_most=1
    )


@dataclasses.dataclass(frozen=True)
class AverageOptions:
    """Moving averages of the weights."""

    moving_average_decay: float | None = option(
        0.9999,
        'decay of the moving averages over the variables of the network; 0 for none',
        at_least=0,
        at_most=1,
    )
