"""What is decided about Horovod's build: source, options, cache. Nothing is compiled."""

from __future__ import annotations

from pathlib import Path

import build_horovod
import environment
import pytest

pytestmark = pytest.mark.once

CMAKE = """\
# TF SOURCES
list(APPEND TF_SOURCES "horovod/tensorflow/mpi_ops.cc")
list(APPEND TF_SOURCES "horovod/tensorflow/xla_mpi_ops.cc")
add_library(${TF_TARGET_LIB} SHARED ${SOURCES} ${TF_SOURCES})
target_link_libraries(${TF_TARGET_LIB} ${LINKER_LIBS} ${TF_LINKER_LIBS})
set_target_properties(${TF_TARGET_LIB} PROPERTIES OUTPUT_NAME "mpi_lib")
"""


@pytest.mark.parametrize(
    ('tf_version', 'has_xla'),
    [('2.15.0', True), ('2.15.1', True), ('2.16.0', False), ('2.21.0', False), ('3.0.0', False)],
)
def test_xla_source_is_left_out_from_2_16(tf_version: str, has_xla: bool) -> None:
    adapted = build_horovod.adapted_cmake(CMAKE, tf_version)
    assert ('xla_mpi_ops.cc' in adapted) == has_xla
    kept = [line for line in CMAKE.splitlines() if 'xla' not in line]
    assert [line for line in adapted.splitlines() if line in kept] == kept


@pytest.mark.parametrize('count', [0, 2])
def test_an_unknown_source_is_refused(count: int) -> None:
    line = 'list(APPEND TF_SOURCES "horovod/tensorflow/xla_mpi_ops.cc")\n'
    with pytest.raises(environment.SetupError, match=f'found {count};'):
        build_horovod.without_xla(CMAKE.replace(line, line * count))
    with pytest.raises(environment.SetupError, match='target_link_libraries'):
        build_horovod.relocatable(CMAKE.replace('target_link', 'link'))


def test_the_library_finds_its_neighbours_relative_to_itself() -> None:
    lines = build_horovod.relocatable(CMAKE).splitlines()
    link = next(n for n, line in enumerate(lines) if line.startswith('target_link_libraries('))
    # The library without a soname is renamed before it is linked.
    assert lines[link - 1] == build_horovod.BARE_NAME
    run_path = build_horovod.RUN_PATH.split('"')[1].split(':')
    assert all(folder.startswith('$ORIGIN/') for folder in run_path)
    library = Path('/venv/lib/python3.11/site-packages/horovod/tensorflow')
    found = {(library / folder.removeprefix('$ORIGIN/')).resolve() for folder in run_path}
    assert found == {
        Path('/venv/lib'),
        Path('/venv/lib/python3.11/site-packages/tensorflow'),
        Path('/venv/lib/python3.11/site-packages/tensorflow/python'),
    }


def test_arch_flags_are_those_of_the_processor() -> None:
    assert build_horovod.arch_flags('model name: x\nflags\t\t: fpu avx avx2 fma\n') == '-mavx -mfma'
    assert build_horovod.arch_flags('Features\t: fp asimd\n') == ''


def test_whatever_makes_another_wheel_has_another_key() -> None:
    options = build_horovod.build_options({})
    keys = {
        build_horovod.wheel_key('2.15.0', options),
        build_horovod.wheel_key('2.21.0', options),
        build_horovod.wheel_key('2.21.0', {**options, 'HOROVOD_BUILD_ARCH_FLAGS': '-mavx512'}),
        build_horovod.wheel_key(
            '2.21.0', build_horovod.build_options({'HOROVOD_GPU_OPERATIONS': 'NCCL'})
        ),
    }
    assert len(keys) == 4
    assert build_horovod.build_options({'PATH': '/bin', 'HOROVOD_TIMELINE': 't.json'}) == options


@pytest.mark.parametrize(
    ('environ', 'programs', 'lacking'),
    [
        ({}, {'c++', 'make'}, []),
        ({}, {'clang++', 'make'}, []),
        ({'CXX': 'g++-12 -m64'}, {'g++-12', 'make'}, []),
        ({'CXX': 'g++-12'}, {'g++', 'make'}, ['C++ compiler (g++-12)']),
        ({}, {'make'}, ['C++ compiler (c++, g++, clang++)', 'CXX=']),
        ({}, {'g++'}, ['a make, not found']),
        ({}, set(), ['C++ compiler (c++, g++, clang++) and make']),
    ],
)
def test_a_missing_compiler_is_named(
    environ: dict[str, str], programs: set[str], lacking: list[str]
) -> None:
    problem = build_horovod.toolchain_problem(
        environ, lambda name: name if name in programs else None
    )
    assert (problem is None) == (not lacking)
    assert all(words in problem for words in lacking if problem)
    assert '\n' not in (problem or '')


class Machine:
    """Stand-ins for the compiler, pip and mpirun, and a cache folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.built: list[str] = []
        self.installed: list[Path] = []
        self.verdicts: list[str | None] = []
        monkeypatch.setenv('TF_SLIM_SUITE_CACHE', str(folder / 'cache'))
        monkeypatch.setattr(build_horovod, 'build', self.build)
        monkeypatch.setattr(build_horovod, 'install', self.install)

    def venv(self, name: str) -> Path:
        venv = self.folder / name
        venv.mkdir()
        return venv

    def build(self, venv: Path, tf_version: str, target: Path, options: dict[str, str]) -> None:
        self.built.append(tf_version)
        target.mkdir(parents=True)
        (target / 'horovod-0.28.1-any.whl').write_text(venv.name)

    def install(self, venv: Path, wheel: Path) -> str | None:
        assert wheel.exists()
        self.installed.append(venv)
        return self.verdicts.pop(0) if self.verdicts else None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_horovod_is_built_once_and_installed_once_each(machine: Machine) -> None:
    first, second, other = machine.venv('first'), machine.venv('second'), machine.venv('other')
    for venv in (first, first, second, second):
        build_horovod.ensure(venv, '2.21.0')
    assert machine.built == ['2.21.0']
    assert machine.installed == [first, second]
    build_horovod.ensure(other, '2.15.0')
    assert machine.built == ['2.21.0', '2.15.0']


def test_a_cached_wheel_that_fails_is_built_anew(machine: Machine) -> None:
    build_horovod.ensure(machine.venv('first'), '2.21.0')
    machine.verdicts = ['mpirun failed', None]
    build_horovod.ensure(machine.venv('second'), '2.21.0')
    assert machine.built == ['2.21.0', '2.21.0']


def test_a_build_that_fails_leaves_neither_wheel_nor_stamp(machine: Machine) -> None:
    venv = machine.venv('venv')
    machine.verdicts = ['mpirun failed']
    with pytest.raises(environment.SetupError, match='does not work: mpirun failed'):
        build_horovod.ensure(venv, '2.21.0')
    build_horovod.ensure(venv, '2.21.0')
    assert machine.built == ['2.21.0', '2.21.0']


def test_a_cache_that_cannot_be_written_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.folder / 'file').touch()
    monkeypatch.setenv('TF_SLIM_SUITE_CACHE', str(machine.folder / 'file'))
    with pytest.raises(environment.SetupError, match='TF_SLIM_SUITE_CACHE=DIR'):
        build_horovod.ensure(machine.venv('venv'), '2.21.0')
