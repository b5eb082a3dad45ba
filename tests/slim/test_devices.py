"""The device: found before it is used, or an error that names what is missing."""

import pytest

from slim import cluster, devices, errors, options, precision


@pytest.fixture(autouse=True)
def forget_the_choice(monkeypatch):
    monkeypatch.setattr(devices, '_chosen', None)


def test_auto_takes_the_cpu_where_there_is_nothing_else_and_says_why():
    device = devices.choose('auto')
    assert (device.kind, device.name) == ('CPU', '/device:CPU:0')
    assert 'no Gaudi card' in device.reason
    assert 'no GPU' in device.reason
    assert devices.chosen_device_type() == 'CPU'


def test_before_any_choice_there_is_none():
    assert devices.chosen_device_type() is None


@pytest.mark.parametrize(
    ('wanted', 'missing'), [('hpu', 'no Gaudi card and no package'), ('gpu', 'no GPU')]
)
def test_a_device_that_is_not_there_is_an_error_and_no_silent_cpu(wanted, missing):
    with pytest.raises(errors.DeviceError, match=f'--device={wanted}: .*{missing}'):
        devices.choose(wanted)
    assert devices.chosen_device_type() is None


def test_auto_prefers_hpu_to_gpu(monkeypatch):
    loaded = []
    monkeypatch.setitem(devices._MISSING, 'hpu', lambda: '')
    monkeypatch.setitem(devices._MISSING, 'gpu', lambda: '')
    monkeypatch.setattr(devices, '_load_bridge', lambda: loaded.append('bridge'))
    assert devices.choose('auto').name == '/device:HPU:0'
    assert loaded == ['bridge']


def test_bf16_is_refused_on_the_cpu_with_the_way_out():
    with pytest.raises(errors.UsageError, match='--dtype=fp32'):
        precision.check('CPU', options.DeviceOptions(dtype='bf16'))
    precision.check('HPU', options.DeviceOptions(dtype='bf16'))


@pytest.mark.parametrize(
    ('flags', 'already', 'expected'),
    [
        (options.DeviceOptions(), None, '0'),
        (options.DeviceOptions(), 'basic', 'basic'),
        (options.DeviceOptions(dtype='bf16'), 'basic', 'full'),
        (options.DeviceOptions(dtype='bf16', bf16_config_path='/a.json'), None, '/a.json'),
    ],
)
def test_the_bridges_precision_is_set_in_the_environment(monkeypatch, flags, already, expected):
    monkeypatch.delenv('TF_BF16_CONVERSION', raising=False)
    if already:
        monkeypatch.setenv('TF_BF16_CONVERSION', already)
    precision.prepare_environment(flags)
    import os

    assert os.environ['TF_BF16_CONVERSION'] == expected


def test_a_conversion_file_without_bf16_is_an_error_and_not_ignored(tmp_path):
    (tmp_path / 'lists.json').write_text('{}')
    path = str(tmp_path / 'lists.json')
    with pytest.raises(errors.UsageError, match='--dtype=bf16'):
        precision.check('HPU', options.DeviceOptions(bf16_config_path=path))
    with pytest.raises(errors.UsageError, match='no such file'):
        precision.check('HPU', options.DeviceOptions(dtype='bf16', bf16_config_path=path + 'x'))


def test_processes_of_mpirun_do_not_train_side_by_side_by_accident(monkeypatch):
    monkeypatch.setenv('OMPI_COMM_WORLD_SIZE', '2')
    with pytest.raises(errors.UsageError, match='give --use_horovod'):
        cluster.start(options.ClusterOptions())


def test_more_workers_than_there_are_is_an_error():
    with pytest.raises(errors.UsageError, match='mpirun -np 4'):
        cluster.start(options.ClusterOptions(num_workers=4))
    assert cluster.start(options.ClusterOptions()).size == 1


def test_one_worker_on_its_own_needs_no_horovod():
    alone = options.ClusterOptions(use_horovod=True, num_workers=1)
    assert isinstance(cluster.start(alone), cluster.SingleProcess)
    with pytest.raises(errors.UsageError, match='but 1 worker'):
        cluster.start(options.ClusterOptions(use_horovod=True, num_workers=2))
