"""A run and its folder when things go wrong, on the network of one layer of test_loop."""

import contextlib
import errno
import json
import os
import pathlib
import resource
import shutil
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from test_loop import train, values

from runtime.checkpoints import lock, starting
from runtime.results import exporter
from runtime.training import monitor
from slim import errors


def steps_of(folder):
    return sorted(
        int(path.stem.removeprefix('model.ckpt-')) for path in pathlib.Path(folder).glob('*.index')
    )


def data_file(folder, step):
    return pathlib.Path(folder) / f'model.ckpt-{step}.data-00000-of-00001'


def cut_off(folder, step):
    os.truncate(data_file(folder, step), 100)


def without_data(folder, step):
    data_file(folder, step).unlink()


def flipped(folder, step):
    path = data_file(folder, step)
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 40):
        content[place] ^= 1
    path.write_bytes(content)


def empty_index(folder, step):
    (pathlib.Path(folder) / f'model.ckpt-{step}.index').write_bytes(b'')


DAMAGES = [cut_off, without_data, flipped, empty_index]


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_taken(tmp_path, damage, capsys):
    train(tmp_path / 'whole', steps=6)
    train(tmp_path / 'run', steps=2)
    train(tmp_path / 'run', steps=4)
    damage(tmp_path / 'run', 4)
    with pytest.raises(errors.CheckpointError, match=r'ckpt-4 cannot be read.*strict_resume'):
        starting.origin(str(tmp_path / 'run'), None, strict=True)
    capsys.readouterr()
    assert train(tmp_path / 'run', steps=6) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if 'cannot be read' in x]
    assert 'model.ckpt-4 cannot' in line and line.endswith(f'from {tmp_path}/run/model.ckpt-2')
    whole, run = values(tmp_path / 'whole'), values(tmp_path / 'run')
    for name, value in whole.items():
        np.testing.assert_array_equal(run[name], value, err_msg=name)


@pytest.mark.once
@pytest.mark.parametrize('damage', DAMAGES)
def test_where_none_is_whole_nothing_begins_anew(tmp_path, damage):
    train(tmp_path, steps=2)
    damage(tmp_path, 2)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(errors.CheckpointError, match='ckpt-2 cannot be read') as failure:
        train(tmp_path, steps=4)
    assert '\n' not in str(failure.value)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize('damage', DAMAGES)
def test_fine_tuning_and_export_blame_a_damaged_checkpoint(tmp_path, damage):
    first = tmp_path / '[first]'
    train(first, steps=2)
    train(tmp_path / 'tuned', steps=1, tuned_from=str(first))
    damage(first, 2)
    prefix = str(first / 'model.ckpt-2')
    with pytest.raises(errors.CheckpointError, match=r'ckpt-2 cannot be read') as failure:
        train(tmp_path / 'other', steps=1, tuned_from=str(first))
    assert '\n' not in str(failure.value) and 'File "' not in str(failure.value)
    with tf.Graph().as_default() as graph, pytest.raises(errors.CheckpointError, match=r'ckpt-2'):
        tf.get_variable('fully_connected/weights', [6, 32])
        output = tf.identity(tf.global_variables()[0], name='output')
        saver = tf.train.Saver()
        exporter.freeze(graph.as_graph_def(), saver, prefix, output.op.name)


@pytest.mark.once
@pytest.mark.parametrize(
    'name',
    ['a [copy]', *(pytest.param(name, marks=pytest.mark.slow) for name in ('moved', 'what?*'))],
)
def test_a_moved_run_goes_on_and_touches_nothing_elsewhere(tmp_path, name):
    train(tmp_path / 'whole', steps=8)
    for steps in range(1, 6):
        train(tmp_path / 'run', steps=steps)
    shutil.copytree(tmp_path / 'run', tmp_path / name)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'run').rglob('*')}
    for steps in (6, 8):
        train(tmp_path / name, steps=steps)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'run').rglob('*')} == before
    assert steps_of(tmp_path / name) == [3, 4, 5, 6, 8]
    with starting.files.openable(str(tmp_path / name / 'model.ckpt-8')) as opened:
        run = values(opened)
    for variable, value in values(tmp_path / 'whole').items():
        np.testing.assert_array_equal(run[variable], value, err_msg=variable)


def test_the_state_file_has_names_that_outlive_a_move(tmp_path):
    for steps in (1, 2):
        train(tmp_path / 'run', steps=steps)
    (tmp_path / 'run').rename(tmp_path / 'moved')
    latest = tf.train.latest_checkpoint(str(tmp_path / 'moved'))
    assert latest == str(tmp_path / 'moved' / 'model.ckpt-2')
    state = tf.train.get_checkpoint_state(str(tmp_path / 'moved'))
    assert [os.path.basename(path) for path in state.all_model_checkpoint_paths] == [
        'model.ckpt-1',
        'model.ckpt-2',
    ]


def test_steps_between_saves_and_how_many_stay_are_flags(tmp_path):
    train(tmp_path / 'two', steps=7, save_interval_steps=2, keep_checkpoint_max=2)
    assert steps_of(tmp_path / 'two') == [6, 7]
    train(tmp_path / 'all', steps=7, save_interval_steps=1, keep_checkpoint_max=0)
    assert steps_of(tmp_path / 'all') == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.once
def test_a_second_run_in_the_folder_is_refused_before_it_writes(tmp_path):
    train(tmp_path, steps=2)
    before = sorted(os.listdir(tmp_path))
    with lock.held(str(tmp_path)), pytest.raises(errors.OutputError, match='is training there'):
        train(tmp_path, steps=4)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_run_that_another_one_has_overtaken_ends(tmp_path):
    train(tmp_path, steps=2)
    starting.check_unchanged(str(tmp_path), str(tmp_path / 'model.ckpt-2'))
    train(tmp_path, steps=3)
    for seen in (str(tmp_path / 'model.ckpt-2'), None):
        with pytest.raises(errors.OutputError, match=r'just written .*model.ckpt-3'):
            starting.check_unchanged(str(tmp_path), seen)
    cut_off(tmp_path, 3)
    starting.check_unchanged(str(tmp_path), str(tmp_path / 'model.ckpt-2'))


@pytest.mark.once
def test_left_over_files_go_at_the_start_of_the_run_that_has_the_folder(tmp_path, capsys):
    train(tmp_path, steps=2)
    left = tmp_path / 'model.ckpt-3.data-00000-of-00001.tempstate77'
    left.write_text('')
    train(tmp_path, steps=3)
    assert not left.exists()
    assert f'removed what is left of an unfinished save: {left.name}' in capsys.readouterr().out


def full_metrics(folder, monkeypatch):
    os.symlink('/dev/full', folder / 'metrics.jsonl')
    return 'metrics.jsonl'


def full_tensorboard(folder, monkeypatch):
    class Full(tf.io.TFRecordWriter):
        def write(self, record):
            if len(record) > 100:
                raise tf.errors.ResourceExhaustedError(
                    None, None, f'{folder}/events; {os.strerror(errno.ENOSPC)}'
                )
            super().write(record)

    monkeypatch.setattr(tf.io, 'TFRecordWriter', Full)
    return 'events.out.tfevents'


def full_log(folder, monkeypatch):
    def say(line):
        if line.startswith('global step'):
            raise monitor.folders.cannot_write('the log', OSError(errno.ENOSPC, 'x'))

    monkeypatch.setattr(monitor, 'say', say)
    return 'the log'


# The log line is due at step 2, TensorBoard's first numbers at step 1; all workers end with the
# next step, which is saved.
@pytest.mark.parametrize(
    ('fill', 'last'), [(full_metrics, 3), (full_tensorboard, 2), (full_log, 3)]
)
def test_a_full_disk_under_a_log_is_called_so_and_the_steps_are_kept(
    tmp_path, fill, last, monkeypatch
):
    what = fill(tmp_path, monkeypatch)
    with pytest.raises(errors.OutputError, match='No space left on device: ') as failure:
        train(tmp_path, steps=50)
    assert what in str(failure.value) and '\n' not in str(failure.value)
    assert steps_of(tmp_path) == [last]


@contextlib.contextmanager
def files_of_at_most(size, monkeypatch):
    # Python would leave a module half compiled, for good.
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_save_that_does_not_fit_is_one_line_and_leaves_nothing_of_itself(tmp_path, monkeypatch):
    train(tmp_path, steps=1)
    with pytest.raises(errors.OutputError) as failure, files_of_at_most(2000, monkeypatch):
        train(tmp_path, steps=3)
    assert str(failure.value) == (
        f'File too large: checkpoint {tmp_path}/model.ckpt-3 cannot be written'
    )
    assert steps_of(tmp_path) == [1]
    assert not [name for name in os.listdir(tmp_path) if 'ckpt-3' in name]


@pytest.mark.parametrize(
    ('kind', 'steps', 'said'),
    [
        ('gone', 6, 'No such file or directory: FILE, of the data set, cannot be read'),
        ('cut off in a record', 6, 'A record cannot be used: '),
        ('cut off between two', 8, 'The records have ended after step 8: are files cut off?'),
    ],
)
def test_data_that_go_during_training_are_blamed_and_the_steps_kept(tmp_path, kind, steps, said):
    paths = [str(tmp_path / name) for name in 'ab']

    def batch():
        read = tf.data.Dataset.from_tensor_slices(paths).flat_map(tf.data.TFRecordDataset)
        return tf.data.make_one_shot_iterator(read).get_next()

    for path in paths:
        with tf.io.TFRecordWriter(path) as writer:
            for _ in range(6):
                writer.write(b'x')
    length = os.path.getsize(paths[1]) // 6  # of a record
    train(tmp_path / 'whole', steps=steps, also_needs=batch)
    damage = {
        'gone': lambda: os.unlink(paths[1]),
        'cut off in a record': lambda: os.truncate(paths[1], length - 2),
        'cut off between two': lambda: os.truncate(paths[1], 2 * length),
    }
    damage[kind]()
    with pytest.raises(errors.DataError) as failure:
        train(tmp_path / 'run', steps=9, also_needs=batch)
    assert str(failure.value).startswith(said.replace('FILE', paths[1]))
    assert steps_of(tmp_path / 'run') == [steps]
    run = values(tmp_path / 'run')
    for variable, value in values(tmp_path / 'whole').items():
        np.testing.assert_array_equal(run[variable], value, err_msg=variable)


def test_too_little_memory_of_the_device_is_still_called_so(tmp_path):
    def allocate():
        raise MemoryError  # ResourceExhaustedError to TensorFlow, whose allocators wait first

    def no_memory():
        return tf.py_func(allocate, [], tf.float32)

    with pytest.raises(errors.DeviceError, match='lower --batch_size=4'):
        train(tmp_path, steps=2, also_needs=no_memory)


def test_events_of_runs_in_the_same_second_do_not_overwrite_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor.event_file.time, 'time', lambda: 1e9)
    for steps in (2, 4):
        train(tmp_path, steps=steps)
    events = sorted(tmp_path.glob('events.out.tfevents.*'))
    found = [
        {event.step for event in tf.train.summary_iterator(str(path)) if event.step}
        for path in events
    ]
    assert found == [{1, 2}, {3, 4}]


@pytest.mark.once
def test_metrics_are_lines_of_json_also_after_a_resume(tmp_path):
    for steps in (2, 4):
        train(tmp_path, steps=steps)
    lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    assert [json.loads(line)['step'] for line in lines] == [2, 4]
