"""XLA: the environment that it reads, the sessions that use it, and what its failure becomes."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from runtime import options, startup
from runtime.devices import devices, xla
from runtime.workers import cluster
from slim import errors

ROOT = pathlib.Path(__file__).parents[3]
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != 'TF_CPP_MIN_LOG_LEVEL'}


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """machine(gpu): whether there is a node of a GPU; returns the cache's folder."""

    def make(gpu):
        node = tmp_path / 'nvidia0'
        node.touch()
        monkeypatch.setattr(xla, '_GPU_NODES', (str(node) if gpu else str(tmp_path / 'none'),))
        return tmp_path / 'cache' / 'xla'

    for name in ('TF_XLA_FLAGS', 'XLA_FLAGS'):
        monkeypatch.setenv(name, '')  # Put back afterwards, also where there is none.
        monkeypatch.delenv(name)
    monkeypatch.setenv('TF_SLIM_SUITE_CACHE', str(tmp_path / 'cache'))
    return make


def prepared(version='2.21.0', **flags):
    """The two variables after the start with these flags, and the lines of the log."""
    lines = xla.prepare_environment(options.DeviceOptions(**flags), version)
    return [xla.os.environ.get(name, '') for name in ('TF_XLA_FLAGS', 'XLA_FLAGS')], lines


def test_nothing_is_set_where_xla_is_not_used(machine):
    machine(gpu=False)
    assert prepared() == prepared(xla='off') == (['', ''], [])
    machine(gpu=True)
    for flags in ({'xla': 'off'}, {'device': 'hpu'}, {'device': 'cpu'}):
        assert prepared(**flags) == (['', ''], [])


def test_a_cpu_needs_a_word_to_compile_and_keeps_nothing(machine):
    cache = machine(gpu=False)
    assert prepared(xla='on') == (['--tf_xla_cpu_global_jit', ''], [])
    assert prepared(xla='on')[0][0] == '--tf_xla_cpu_global_jit'
    assert not cache.exists()


def test_a_gpu_keeps_what_it_compiled_in_folders_of_this_tensorflow(machine):
    cache = machine(gpu=True)
    clusters, tuning = cache / '2.21.0' / 'clusters', cache / '2.21.0' / 'autotuning'
    assert prepared()[0] == [
        f'--tf_xla_persistent_cache_directory={clusters}',
        f'--xla_gpu_per_fusion_autotune_cache_dir={tuning}',
    ]
    assert clusters.is_dir()
    assert tuning.is_dir()


def test_an_older_tensorflow_is_not_given_flags_that_it_fails_with(machine):
    cache = machine(gpu=True)
    assert prepared('2.15.0') == (['', ''], [])
    assert not cache.exists()


def test_what_the_user_has_set_stays(machine, monkeypatch):
    cache = machine(gpu=True)
    monkeypatch.setenv('TF_XLA_FLAGS', '--tf_xla_persistent_cache_directory=')
    monkeypatch.setenv('XLA_FLAGS', '--xla_dump_to=/dump')
    tuning = f'--xla_gpu_per_fusion_autotune_cache_dir={cache}/2.21.0/autotuning'
    assert prepared()[0] == [
        '--tf_xla_persistent_cache_directory=',
        f'--xla_dump_to=/dump {tuning}',
    ]


def test_a_cache_that_cannot_be_written_is_told_and_not_used(machine, monkeypatch, tmp_path):
    machine(gpu=True)
    (tmp_path / 'file').touch()
    for folder in (tmp_path / 'file', tmp_path / 'a folder'):
        monkeypatch.setenv('TF_SLIM_SUITE_CACHE', str(folder))
        found, lines = prepared()
        assert found == ['', '']
        assert [line.startswith('XLA keeps nothing for the next start') for line in lines] == [
            True,
            True,
        ]


def test_auto_is_for_a_gpu(monkeypatch):
    on = {kind: xla.is_on(kind, 'auto') for kind in ('HPU', 'GPU', 'CPU')}
    assert on == {'HPU': False, 'GPU': True, 'CPU': False}
    assert xla.is_on('CPU', 'on')
    assert not xla.is_on('GPU', 'off')
    with pytest.raises(errors.UsageError, match='--xla=on: an HPU has a compiler'):
        xla.is_on('HPU', 'on')


def test_sessions_compile_where_the_first_line_says_so():
    device = devices.Device('CPU', 'for the test')
    for compiled in (False, True):
        runtime = startup.Runtime(device, cluster.SingleProcess(), xla=compiled)
        level = runtime.session_config().graph_options.optimizer_options.global_jit_level
        assert (level == tf.OptimizerOptions.ON_1) == compiled
        assert str(runtime).endswith(', fp32, XLA' if compiled else ', fp32')


@pytest.mark.parametrize('ended', [False, True])
def test_what_xla_writes_in_a_good_run_is_left_out_and_nothing_else(ended):
    code = (
        'import os\n'
        'from runtime import startup\n'
        'with startup.without_xla_chatter():\n'
        '    os.write(2, b"E0000 text_format.cc:378] Error parsing text-format "\n'
        '                b"tensorflow.XlaSerializedCacheEntry: 2:1\\nan abort says why\\n")\n'
        f'    {ended} and os.abort()\n'
        'os.write(2, b"afterwards\\n")\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT
    )
    assert done.stderr == 'an abort says why\n' + ('' if ended else 'afterwards\n')
    assert (done.returncode == -signal.SIGABRT) == ended


def test_a_failure_of_xla_is_one_line_and_another_error_none():
    message = (
        'Graph execution error:\n\nNo registered "Strange" OpKernel for XLA_GPU_JIT devices\n'
        '\t [[{{node cluster_0_1/xla_compile}}]]\n0 successful operations.'
    )
    said = xla.failure(tf.errors.InvalidArgumentError(None, None, message))
    assert said == (
        'XLA cannot compile the graph: No registered "Strange" OpKernel for XLA_GPU_JIT devices; '
        'use --xla=off'
    )
    other = tf.errors.InvalidArgumentError(None, None, 'Bad crop [[{{node DecodeJpeg}}]]')
    assert xla.failure(other) == ''
