"""Names and signatures of the networks' modules, as the classic suite had them.

`tests/data/api_nets.json` holds for each module its functions with their signatures and, behind
these, their decorators; its classes; its constants; the attributes of its functions. A function may
have further parameters at the end, with defaults.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import operator
import pathlib
from typing import Any

import pytest

import slim

API = json.loads((pathlib.Path(__file__).parents[1] / 'data' / 'api_nets.json').read_text())
_NO_DEFAULT = inspect.Parameter.empty


def _members(path: str, kind: str) -> dict[str, Any]:
    return API[path].get(kind, {})


def _module(path: str) -> Any:
    return importlib.import_module(path.removesuffix('.py').replace('/', '.'))


def _expected(signature: str) -> list[tuple[str, Any]]:
    """(name with its stars, source of the default or None) of every parameter."""
    arguments = ast.parse(f'def f{signature}: pass').body[0].args
    positional = [argument.arg for argument in arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    rows = list(zip(positional, defaults, strict=True))
    if arguments.vararg:
        rows.append((f'*{arguments.vararg.arg}', None))
    rows += [
        (argument.arg, default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg:
        rows.append((f'**{arguments.kwarg.arg}', None))
    return rows


def _assert_signature(function: Any, signature: str) -> None:
    stars = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}
    got = list(inspect.signature(function).parameters.values())
    signature, *decorators = signature.split(' @')
    expected = _expected(signature)
    names = [stars.get(parameter.kind, '') + parameter.name for parameter in got]
    assert names[: len(expected)] == [name for name, _ in expected]
    assert all(parameter.default is not _NO_DEFAULT for parameter in got[len(expected) :])
    scoped = any(name.endswith('add_arg_scope') for name in decorators)
    assert slim.has_arg_scope(function) == scoped
    for parameter, (name, default) in zip(got, expected, strict=False):
        if default is None:
            assert parameter.default is _NO_DEFAULT, name
            continue
        assert parameter.default is not _NO_DEFAULT, name
        try:
            value = ast.literal_eval(default)
        except ValueError:
            continue  # a function or a constant; what it does is the numbers' test
        assert parameter.default == value, name


FUNCTIONS = [
    (path, name, signature)
    for path in API
    for name, signature in _members(path, 'functions').items()
]


@pytest.mark.parametrize(('path', 'name', 'signature'), FUNCTIONS)
def test_function(path: str, name: str, signature: str) -> None:
    _assert_signature(getattr(_module(path), name), signature)


@pytest.mark.parametrize('path', [path for path in API if _members(path, 'classes')])
def test_classes(path: str) -> None:
    for name, facts in _members(path, 'classes').items():
        kind = getattr(_module(path), name)
        assert isinstance(kind, type)
        for method, signature in facts['methods'].items():
            _assert_signature(getattr(kind, method), signature)


@pytest.mark.parametrize('path', [path for path in API if _members(path, 'constants')])
def test_constants(path: str) -> None:
    """The names are there; those with a plain value have it."""
    for name, source in _members(path, 'constants').items():
        value = getattr(_module(path), name)
        try:
            expected = ast.literal_eval(source)
        except (ValueError, SyntaxError):
            continue
        assert value == expected, name


@pytest.mark.parametrize('path', [path for path in API if _members(path, 'attributes')])
def test_attributes_of_functions(path: str) -> None:
    """A value is a literal or, in the same words, another attribute of the module."""

    def attribute(dotted):
        return operator.attrgetter(dotted)(_module(path))

    for dotted, source in _members(path, 'attributes').items():
        literal = source[0].isdigit()
        assert attribute(dotted) == (ast.literal_eval(source) if literal else attribute(source))
