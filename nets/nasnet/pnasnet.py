"""PNASNet-5: one cell, found by progressive search, that also reduces.

Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang, Murphy, ECCV 2018, arXiv:1712.00559.
Counted as in `nasnet.py`:

    network           images   variables   multiply-adds
    pnasnet_large        331    86,238,977    24,937 million
    pnasnet_mobile       224     5,099,232       587 million

    with slim.arg_scope(pnasnet.pnasnet_large_arg_scope()):
        logits, end_points = pnasnet.build_pnasnet_large(images, num_classes=1001)
"""

from __future__ import annotations

import slim
from nets.nasnet import nasnet, nasnet_utils
from nets.nasnet.hparams import HParams
from nets.network import Network

arg_scope = slim.arg_scope

_SHARED_SETTINGS = {
    **nasnet.SHARED_SETTINGS,
    'skip_reduction_layer_input': 1,
    'dense_dropout_keep_prob': 0.5,
    'total_training_steps': 250000,
}


def large_imagenet_config():
    """The settings of PNASNet-5 (N = 4, F = 216)."""
    return HParams(
        **_SHARED_SETTINGS,
        stem_multiplier=3.0,
        num_cells=12,
        num_conv_filters=216,
        drop_path_keep_prob=0.6,
    )


def mobile_imagenet_config():
    """The settings of PNASNet-5 (N = 3, F = 54)."""
    return HParams(
        **_SHARED_SETTINGS,
        stem_multiplier=1.0,
        num_cells=9,
        num_conv_filters=54,
        drop_path_keep_prob=1.0,
    )


# Figure 1 of the paper.
_NORMAL_CELL = nasnet_utils.cell_table(
    ('separable_5x5_2', 1, 'max_pool_3x3', 1),
    ('separable_7x7_2', 0, 'max_pool_3x3', 0),
    ('separable_5x5_2', 0, 'separable_3x3_2', 0),
    ('separable_3x3_2', 4, 'max_pool_3x3', 0),
    ('separable_3x3_2', 1, 'none', 0),
    output=(2, 3, 4, 5, 6),
)


class PNasNetNormalCell(nasnet_utils.NasNetABaseCell):
    """The cell of PNASNet-5, at stride 1 and 2; for arguments see `NasNetABaseCell`."""

    def __init__(
        self,
        num_conv_filters,
        drop_path_keep_prob,
        total_num_cells,
        total_training_steps,
        use_bounded_activation=False,
    ):
        super().__init__(
            num_conv_filters,
            *_NORMAL_CELL,
            drop_path_keep_prob,
            total_num_cells,
            total_training_steps,
            use_bounded_activation,
        )


def _cells(normal_cell, hparams):
    """The rows of a PNASNet: at a reduction the cell itself is wider, and of stride 2."""
    scaling = 1.0
    cells = []
    for number in range(hparams.num_cells):
        stride, previous = 1, -2
        if number in nasnet.reduction_indices(hparams):
            stride = 2
            scaling *= hparams.filter_scaling_rate
            if not hparams.skip_reduction_layer_input:
                previous = -3  # the second input of the cell before
        cells.append(nasnet.Cell(f'Cell_{number}', normal_cell, scaling, stride, previous))
    return cells


def _build_pnasnet(images, num_classes, is_training, final_endpoint, config):
    num_stem_cells = 2
    arguments = nasnet.cell_arguments(config, is_training, config.num_cells + num_stem_cells)
    cell = PNasNetNormalCell(**arguments)
    return nasnet.build_network(
        images,
        nasnet.imagenet_stem(cell),
        _cells(cell, config),
        config,
        num_classes,
        is_training,
        final_endpoint,
    )


def build_pnasnet_large(images, num_classes, is_training=True, final_endpoint=None, config=None):
    """Builds PNASNet-5 (N = 4, F = 216).

    Arguments and result are those of `nasnet.build_nasnet_large`; drop path follows the graph's
    global step, and `config` is `large_imagenet_config()` if None.
    """
    config = large_imagenet_config() if config is None else config
    return _build_pnasnet(images, num_classes, is_training, final_endpoint, config)


build_pnasnet_large.default_image_size = 331


def build_pnasnet_mobile(images, num_classes, is_training=True, final_endpoint=None, config=None):
    """Builds PNASNet-5 (N = 3, F = 54).

    Arguments and result are those of `build_pnasnet_large`; `config` is `mobile_imagenet_config()`
    if None.
    """
    config = mobile_imagenet_config() if config is None else config
    return _build_pnasnet(images, num_classes, is_training, final_endpoint, config)


build_pnasnet_mobile.default_image_size = 224


def pnasnet_large_arg_scope(weight_decay=4e-5, batch_norm_decay=0.9997, batch_norm_epsilon=1e-3):
    """The arg scope of `build_pnasnet_large`; see `nasnet.cells_arg_scope`."""
    return nasnet.cells_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def pnasnet_mobile_arg_scope(weight_decay=4e-5, batch_norm_decay=0.9997, batch_norm_epsilon=1e-3):
    """The arg scope of `build_pnasnet_mobile`; see `nasnet.cells_arg_scope`."""
    return nasnet.cells_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


NETWORKS = (
    Network('pnasnet_large', build_pnasnet_large, pnasnet_large_arg_scope, 'batch_norm_decay'),
    Network('pnasnet_mobile', build_pnasnet_mobile, pnasnet_mobile_arg_scope, 'batch_norm_decay'),
)
