"""The names that `--list` shows are those of the factories and tables."""

import json

import pytest

from datasets import dataset_factory
from nets import nets_factory
from preprocessing import preprocessing_factory
from runtime import catalogue, flags, options
from runtime.training import optimizers, schedules

pytestmark = pytest.mark.once

TABLES = {
    'networks': ('model_name', nets_factory.networks_map),
    'preprocessings': ('preprocessing_name', preprocessing_factory.preprocessing_fn_map),
    'data sets': ('dataset_name', dataset_factory.datasets_map),
    'optimizers': ('optimizer', optimizers._OPTIMIZERS),
    'schedules': ('learning_rate_decay_type', schedules._DECAYS),
}


def test_every_kind_has_the_names_that_its_factory_has():
    assert catalogue.KINDS.keys() == TABLES.keys()
    for kind, (flag, table) in TABLES.items():
        listed_flag, listed = catalogue.KINDS[kind]
        assert listed_flag == flag and flag in flags.names(options.Training), kind
        assert sorted(listed) == sorted(table), kind


def test_all_forms_name_all():
    as_json = json.loads(catalogue.shown('json'))
    assert as_json == {kind: list(listed) for kind, (_, listed) in catalogue.KINDS.items()}
    lines = catalogue.shown('csv').splitlines()
    assert lines[0] == 'kind,flag,name'
    assert 'networks,model_name,mobilenet_v2' in lines
    assert len(lines) == 1 + sum(map(len, as_json.values()))
    text = catalogue.shown('table')
    assert text.startswith(f'{len(as_json["networks"])} networks, --model_name:\n  ')
    words = set(text.replace(',', ' ').split())
    assert words.issuperset(name for listed in as_json.values() for name in listed)
