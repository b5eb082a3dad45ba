"""Whether a checkpoint's variables are those of a model, and which configuration would fit them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mobilenet import common_modules
from mobilenet.configs import archs
from mobilenet.tf1_loader import names
from mobilenet.tf1_loader.slim_checkpoint import Held
from slim import errors

_LISTED = 4
_KINDS = tuple(archs.MODEL_CONFIGS.values())
_CLASSIFIER = 'Logits/'
# The published widths first.
_WIDTHS = (
    *(1.0, 0.75, 0.5, 0.35, 0.25, 1.4, 1.3),
    *(hundredths / 100 for hundredths in range(5, 405, 5)),
)
_NORMS = {'BatchNorm': 'batch_norm', 'LayerNorm': 'layer_norm', 'GroupNorm': 'group_norm'}


def check(held: Held, wanted: Mapping[str, Sequence[int]], has_classifier: bool = True) -> None:
    """CheckpointError unless a checkpoint holds exactly the wanted variables.

    One error names what is missing, what has another shape, what is left over, and, if there is
    one, the configuration that would fit.

    Args:
      held: what the checkpoint has.
      wanted: variable, below the scope, to its shape in the model.
      has_classifier: False for a model that ends with the features: a classifier may be left over.
    """
    missing = [name for name in wanted if name not in held.shapes]
    misshapen = [
        f'{name} is {held.shapes[name]} in the checkpoint and {list(shape)} in the model'
        for name, shape in wanted.items()
        if name in held.shapes and list(held.shapes[name]) != list(shape)
    ]
    left_over = [
        name
        for name in held.shapes
        if name not in wanted and (has_classifier or not name.startswith(_CLASSIFIER))
    ]
    found = {
        'the model has and the checkpoint lacks': missing,
        'in other shapes': misshapen,
        'the checkpoint has and the model does not': left_over,
    }
    wrong = '; '.join(f'{what}: {_listed(lines)}' for what, lines in found.items() if lines)
    if wrong:
        fit = fitting_config(held.shapes)
        raise errors.CheckpointError(
            f'Checkpoint {held.prefix}, scope {held.scope}, does not fit the model; {wrong}. '
            + (f'It fits {shown(fit)}' if fit else 'It fits none of the networks')
        )


def _listed(lines: Sequence[str]) -> str:
    rest = len(lines) - _LISTED
    return ', '.join(lines[:_LISTED]) + (f' and {rest} more' if rest > 0 else '')


def fitting_config(
    shapes: Mapping[str, Sequence[int]], kinds: Iterable[type[archs.MobileNetConfig]] = _KINDS
) -> archs.MobileNetConfig | None:
    """The configuration that a checkpoint's variables are of, by their blocks and widths.

    Args:
      shapes: variable, below the scope, to shape.
      kinds: the networks to consider.

    Returns:
      None where it is none of them. The size of the images is the default one, as no variable
      tells it.
    """
    for kind in kinds:
        if not _has_the_blocks(kind, shapes):
            continue
        config = kind()
        usual = config.finegrain_classification_mode
        for config.width_multiplier in _WIDTHS:
            for config.finegrain_classification_mode in (usual, not usual):
                if _has_the_widths(config, shapes):
                    return _completed(config, shapes)
    return None


def _completed(
    config: archs.MobileNetConfig, shapes: Mapping[str, Sequence[int]]
) -> archs.MobileNetConfig:
    """The configuration with what other variables tell: classes, norm, channels of the images."""
    classifier = shapes.get(f'{_CLASSIFIER}Conv2d_1c_1x1/weights')
    config.num_classes = classifier[-1] if classifier else 0
    for norm, name in _NORMS.items():
        if any(f'/{norm}/' in variable for variable in shapes):
            config.normalization_name = name
    stem = next(shapes[name] for name in ('Conv/weights', 'Conv2d_0/weights') if name in shapes)
    height, width, _ = config.input_shape
    config.input_shape = (height, width, stem[2])
    return config


def shown(config: archs.MobileNetConfig) -> str:
    """`MobileNetV2Config(num_classes=10, width_multiplier=0.5)`: what is not the default."""
    default = type(config)()
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    arguments = [
        f'{name}={value!r}' for name, value in values.items() if value != getattr(default, name)
    ]
    return f'{type(config).__name__}({", ".join(arguments)})'


def _spatial_layers(config: archs.MobileNetConfig) -> Iterator[tuple[str, int]]:
    """(variable, kernel size) of the layers that tell a network's blocks from another's."""
    to_slim = names.name_map(type(config))
    for index, block in enumerate(config.blocks):
        layer = f'expanded_conv_{index}'
        if block.block_type == archs.BlockType.DepSepConv.value:
            yield to_slim(f'Conv2d_{index}/depthwise') + '/depthwise_weights', block.kernel[0]
        elif block.block_type == archs.BlockType.InvertedResConv.value:
            if block.depthwise:
                yield to_slim(f'{layer}/depthwise') + '/depthwise_weights', block.kernel[0]
            elif block.expansion_size > 1:
                yield to_slim(f'{layer}/expand') + '/weights', block.kernel[0]
            if block.squeeze_factor:
                yield to_slim(f'{layer}/squeeze_excite/squeeze') + '/weights', 1


def _has_the_blocks(kind: type[archs.MobileNetConfig], shapes: Mapping[str, Sequence[int]]) -> bool:
    return all(name in shapes and shapes[name][0] == size for name, size in _spatial_layers(kind()))


def _has_the_widths(config: archs.MobileNetConfig, shapes: Mapping[str, Sequence[int]]) -> bool:
    widths = dict(_block_widths(config))
    last_layers = {name for name in shapes if name.endswith(('/project/weights', 'wise/weights'))}
    return last_layers <= set(widths) and all(
        name in shapes and shapes[name][-1] == width for name, width in widths.items()
    )


def _block_widths(config: archs.MobileNetConfig) -> Iterator[tuple[str, int]]:
    """(weights of its last layer, their channels) of every block."""
    to_slim = names.name_map(type(config))
    convolutions = 0
    for index, block, placed in common_modules.placed_blocks(config):
        if block.block_type == archs.BlockType.GlobalPooling.value:
            continue
        layer = {
            archs.BlockType.Conv.value: f'Conv2d_{index}_{convolutions}',
            archs.BlockType.DepSepConv.value: f'Conv2d_{index}/pointwise',
            archs.BlockType.InvertedResConv.value: f'expanded_conv_{index}/project',
        }[block.block_type]
        convolutions += block.block_type == archs.BlockType.Conv.value
        width = common_modules.width_op(config)
        channels = width(block.filters, placed['width_multiplier'], min_depth=config.min_depth)
        yield f'{to_slim(layer)}/weights', channels
