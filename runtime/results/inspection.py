"""A network layer by layer: shapes, parameters and multiply-adds, read off its graph; and how
networks fit a checkpoint, in words."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

import slim
from runtime.checkpoints import fitting
from runtime.results import tables

# Kind of operation with a kernel -> what a layer of it is called, and the dimensions of the kernel
# that one output sums over.
_KERNELS: dict[str, tuple[str, Callable[[list[int]], list[int]]]] = {
    'Conv2D': ('convolution', lambda kernel: kernel[:3]),
    'Conv3D': ('convolution 3d', lambda kernel: kernel[:4]),
    'MatMul': ('fully connected', lambda kernel: kernel[:1]),
    'DepthwiseConv2dNative': ('depthwise', lambda kernel: kernel[:2]),
}
_POOLINGS = {
    'MaxPool': 'max pooling',
    'MaxPool3D': 'max pooling 3d',
    'AvgPool': 'average pooling',
    'AvgPool3D': 'average pooling 3d',
    'Mean': 'mean',
}
# The input of a batch norm that is a variable whatever its scale and shift are.
_BATCH_NORMS, _MEAN = ('FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'), 3
_NORM = 'batch norm'
_VARIABLES = ('VarHandleOp', 'VariableV2', 'Variable')


@dataclasses.dataclass(frozen=True)
class Layer:
    """An operation with parameters or a pooling, or variables that no such operation has."""

    name: str
    kind: str
    output: list[int | None] | None  # shape, of a batch; None of variables alone
    parameters: int
    multiply_adds: int  # of the batch


def multiply_adds(operation: tf.Operation) -> int | None:
    """Outputs x weights that each output sums over; None where it has no kernel."""
    if operation.type not in _KERNELS:
        return None
    _, summed_over = _KERNELS[operation.type]
    outputs = operation.outputs[0].shape.num_elements()
    return outputs * math.prod(summed_over(operation.inputs[1].shape.as_list()))


def layers() -> list[Layer]:
    """Those of the network in the default graph, in its order.

    The parameters are all its model variables, each in one layer: those of a normalization, where
    one follows, in that of the convolution. The multiply-adds are those of all kernels.
    """
    found = list(_operations(tf.get_default_graph()))
    owner_of = _owners(found)
    parameters: dict[int, int] = collections.Counter()
    rest: dict[str, int] = collections.Counter()  # by scope
    for variable in slim.get_model_variables():
        name, count = variable.op.name, variable.shape.num_elements()
        number = owner_of(name)
        if number is None:
            rest[_scope(name)] += count
        else:
            parameters[number] += count
    rows = [
        Layer(
            layer.name,
            layer.kind,
            layer.operation.outputs[0].shape.as_list(),
            parameters[number],
            multiply_adds(layer.operation) or 0,
        )
        for number, layer in enumerate(found)
        # The variables of other normalizations belong to a convolution.
        if layer.kind != _NORM or number in parameters
    ]
    return rows + [Layer(scope, 'variables', None, count, 0) for scope, count in rest.items()]


_COLUMNS = ('layer', 'kind', 'output', 'parameters', 'multiply_adds')
_FIT_COLUMNS = ('network', 'classes', 'fits', 'missing', 'misshapen', 'left_over')
_LISTED = 20


def build(function: Callable[..., Any], input_shape: Sequence[int]) -> None:
    """Adds a network, for a batch of one, to the default graph."""
    function(tf.placeholder(tf.float32, [1, *input_shape], name='input'))


def report(about: Mapping[str, Any], form: str) -> str:
    """The layers of the default graph and their sums, in a form of options.INSPECTION_FORMATS.

    Args:
      about: what else is told, name to value; `network` and `input` are in the last line.
      form: 'table', 'csv' or 'json'.
    """
    rows = layers()
    table = [dataclasses.astuple(row) for row in rows]
    sums = {
        'parameters': sum(row.parameters for row in rows),
        'trainable_parameters': sum(v.shape.num_elements() for v in tf.trainable_variables()),
        'multiply_adds': sum(row.multiply_adds for row in rows),
    }
    if form == 'csv':
        return tables.as_csv(_COLUMNS, table)
    if form == 'json':
        listed = [dict(zip(_COLUMNS, row, strict=True)) for row in table]
        return json.dumps({**about, **sums, 'layers': listed}, indent=1)
    return (
        f'{tables.text(_COLUMNS, table)}\n\n{about["network"]}: {sums["parameters"]:,} parameters, '
        f'{sums["trainable_parameters"]:,} of them learn; {sums["multiply_adds"]:,} multiply-adds '
        f'for an input of {tables.shape(about["input"])}'
    )


def fit_report(fits: Sequence[fitting.Fit], form: str) -> str:
    """How networks fit a checkpoint, the closest first; as a table with what is wrong of that."""
    rows = [
        (
            fit.name,
            fit.num_classes,
            'yes' if fit.fits else 'no',
            *(len(found) for found in (fit.missing, fit.misshapen, fit.left_over)),
        )
        for fit in fits
    ]
    if form == 'csv':
        return tables.as_csv(_FIT_COLUMNS, rows)
    if form == 'json':
        return json.dumps([{**dataclasses.asdict(fit), 'fits': fit.fits} for fit in fits], indent=1)
    closest = fits[0]
    parts = [tables.text(_FIT_COLUMNS, rows)]
    for kind, found in (
        (
            f'missing in the checkpoint, of the {closest.variables} of {closest.name}',
            closest.missing,
        ),
        ('of another shape', closest.misshapen),
        (f'left over, not of {closest.name}', closest.left_over),
    ):
        if found:
            more = [f'... and {len(found) - _LISTED} more'] if len(found) > _LISTED else []
            parts.append('\n  '.join([f'{kind}: {len(found)}', *found[:_LISTED], *more]))
    return '\n\n'.join(parts)


@dataclasses.dataclass(frozen=True)
class _Found:
    name: str
    kind: str
    operation: tf.Operation
    kernel: str = ''  # name of the variable that it is


def _operations(graph: tf.Graph) -> Iterator[_Found]:
    for operation in graph.get_operations():
        scope = _scope(operation.name) or operation.name
        if operation.type in _KERNELS:
            kernel = _variable_behind(operation.inputs[1])
            yield _Found(_scope(kernel) or scope, _KERNELS[operation.type][0], operation, kernel)
        elif operation.type in _BATCH_NORMS:
            yield _Found(_scope(_variable_behind(operation.inputs[_MEAN])), _NORM, operation)
        elif operation.type in _POOLINGS and len(operation.inputs[0].shape) > 3:
            yield _Found(scope, _POOLINGS[operation.type], operation)


def _owners(found: list[_Found]) -> Callable[[str], int | None]:
    """Name of a variable to the number of its layer: whose kernel it is, else that of the closest
    scope around it that has a kernel, else that has a normalization."""
    kernels = {layer.kernel: number for number, layer in enumerate(found) if layer.kernel}
    scopes = {layer.name: number for number, layer in enumerate(found) if layer.kernel}
    norms = {layer.name: number for number, layer in enumerate(found) if layer.kind == _NORM}

    def owner_of(name: str) -> int | None:
        around = [name]
        while around[-1]:
            around.append(_scope(around[-1]))
        for known in (kernels, scopes, norms):
            for scope in around[:-1]:
                if scope in known:
                    return known[scope]
        return None

    return owner_of


def _scope(name: str) -> str:
    return name.rpartition('/')[0]


def _variable_behind(tensor: Any) -> str:
    """The name of the variable that a tensor is the value of; '' where there is none."""
    operation = tensor.op
    while operation.type not in _VARIABLES:
        if not operation.inputs:
            return ''
        operation = operation.inputs[0].op
    return operation.name
