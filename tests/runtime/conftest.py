"""Puts fake_records.py on the path; the flags of a training."""

import dataclasses
import typing

import pytest

from runtime import options
from runtime.options import fields


@pytest.fixture
def train_flags():
    """train_flags(flag=value, ...): the flags of a training, the others at their defaults."""

    def with_values(**values):
        groups = typing.get_type_hints(options.Training)
        given = {field.name: groups[field.name]() for field in dataclasses.fields(options.Training)}
        return fields.with_values(options.Training(**given), values)

    return with_values
