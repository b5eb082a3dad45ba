"""What the doctor makes of what it finds."""

import sys

import pytest

from runtime import diagnosis
from runtime.devices import devices
from slim import errors

CPU_ONLY = [
    diagnosis.Finding('TensorFlow', '2.21.0', '', ('cpu', 'gpu', 'hpu')),
    diagnosis.Finding('GPU', 'TensorFlow lists no GPU', 'pip install ...', ('gpu',)),
    diagnosis.Finding('Horovod', 'not installed', 'make horovod', ('many workers',)),
]


@pytest.mark.parametrize(
    ('device', 'many_workers', 'expected'),
    [
        ('auto', False, True),
        ('cpu', False, True),
        ('gpu', False, False),
        ('cpu', True, False),
    ],
)
def test_only_what_is_asked_for_has_to_be_there(device, many_workers, expected):
    assert diagnosis.can_train(CPU_ONLY, device, many_workers) == expected


def test_the_table_has_the_command_below_what_is_missing():
    lines = [' '.join(line.split()) for line in diagnosis.table(CPU_ONLY).splitlines()]
    assert lines == [
        'ok TensorFlow 2.21.0',
        'missing GPU TensorFlow lists no GPU',
        'for gpu: pip install ...',
        'missing Horovod not installed',
        'for many workers: make horovod',
    ]


def test_without_tensorflow_and_on_an_old_python_it_says_so(monkeypatch):
    monkeypatch.setattr(devices, 'package_version', lambda package: '')
    monkeypatch.setattr(sys, 'version_info', (3, 9, 1))
    findings = {finding.subject: finding for finding in diagnosis.examine()}
    assert findings['TensorFlow'].found == 'not installed'
    assert 'scripts/setup_env.py' in findings['TensorFlow'].mend
    assert 'Python 3.10 to 3.13' in findings['Python'].mend
    assert not diagnosis.can_train(list(findings.values()), 'cpu', False)


def test_a_tensorflow_that_is_too_new_or_has_another_keras_is_not_fit(monkeypatch):
    versions = {'tensorflow': '2.22.1', 'tf-keras': '2.21.0'}
    monkeypatch.setattr(devices, 'package_version', lambda package: versions.get(package, ''))
    assert [finding.good for finding in diagnosis._tensorflow()] == [False, False]
    versions.update({'tensorflow': '2.19.0', 'tf-keras': '2.19.1'})
    assert [finding.good for finding in diagnosis._tensorflow()] == [True, True]


def test_horovod_that_does_not_import_is_to_be_built_again(monkeypatch):
    monkeypatch.setattr(devices, 'package_version', lambda package: '0.28.1')
    monkeypatch.setattr(diagnosis, '_tensorflow_of_horovod', lambda: '2.15.0')
    monkeypatch.setattr(diagnosis, '_HOROVOD_TRIAL', 'raise ImportError("undefined symbol")')
    [finding] = diagnosis._horovod()
    assert finding.found == '0.28.1 for TensorFlow 2.15.0, ImportError: undefined symbol'
    assert 'setup_env.py --horovod' in finding.mend


def _fails():
    raise errors.DataError('x.so does not load')


@pytest.mark.parametrize(
    ('load', 'found', 'mend'),
    [
        (object, 'built', ''),
        (lambda: None, 'not built', 'build it'),
        (_fails, 'x.so does not load', 'build it'),
    ],
    ids=['built', 'not built', 'does not load'],
)
def test_the_image_operation_is_wished_for_and_not_needed(load, found, mend):
    finding = diagnosis.image_operation(load, 'build it')
    assert (finding.found, finding.mend) == (found, mend)
    assert diagnosis.can_train([finding], 'cpu', True)
