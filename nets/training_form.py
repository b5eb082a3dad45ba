"""Training or inference form: how a network's own `is_training` meets the arg scopes around it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow.compat.v1 as tf

import slim

_LOG = logging.getLogger('slim')


@contextlib.contextmanager
def form_scope(is_training: Any, *functions: Callable[..., Any]) -> Iterator[None]:
    """The arg scope of a network's `is_training`, for batch norm and for what drops.

    Args:
      is_training: a bool or a bool tensor. None leaves batch norm as the caller's arg scopes have
        it, and dropout as well; dropout that they say nothing of does not drop, since slim's own
        default, to drop, would spoil an evaluation.
      *functions: whose `is_training` it is: `slim.batch_norm`, `slim.dropout`, ...
    """
    if is_training is not None:
        if slim.batch_norm in functions:
            _name_contradictions(is_training)
        with slim.arg_scope(functions, is_training=is_training):
            yield
    elif slim.dropout in functions and _scoped_form(slim.dropout) is None:
        with slim.arg_scope([slim.dropout], is_training=False):
            yield
    else:
        yield


def name_overruled(is_training: Any) -> None:
    """Tells the debug log if arg scopes inside of `form_scope` have changed batch norm's form."""
    scoped = _scoped_form(slim.batch_norm)
    if _contradict(scoped, is_training):
        _log(f'an arg scope of the table, is_training={scoped}, overrules', is_training)


def _name_contradictions(is_training: Any) -> None:
    """Tells the debug log, once, if arg scopes say something else than the network.

    That is no error: a network's own argument counts more than the arg scope, as everywhere in
    TF-Slim, and a layer's `normalizer_params` count more than both.
    """
    found = []
    scoped = _scoped_form(slim.batch_norm)
    if _contradict(scoped, is_training):
        found.append(f'the arg scope of batch norm, is_training={scoped}, gives way to')
    for arguments in slim.current_arg_scope().values():
        param = (arguments.get('normalizer_params') or {}).get('is_training')
        if _contradict(param, is_training):
            found.append(f'normalizer_params of an arg scope, is_training={param}, overrule')
            break
    if found:
        _log(' and '.join(found), is_training)


def _scoped_form(function: Callable[..., Any]) -> Any:
    """What the arg scope has for the function's `is_training`, None for nothing."""
    key = slim.arg_scope_func_key(function)
    return slim.current_arg_scope().get(key, {}).get('is_training')


def _contradict(scoped: Any, own: Any) -> bool:
    """Whether both are known when the graph is built, and differ; a tensor is not."""
    return isinstance(scoped, (bool, int)) and isinstance(own, (bool, int)) and scoped != own


def _log(found: str, is_training: Any) -> None:
    scope = tf.get_variable_scope().name or 'the network'
    _LOG.debug("%s: %s the network's own is_training=%s", scope, found, is_training)
