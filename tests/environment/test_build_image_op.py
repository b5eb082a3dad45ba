"""When the set-up builds the image operation. No compiler and no TensorFlow."""

from __future__ import annotations

import subprocess
from pathlib import Path

import build_image_op
import environment
import pytest

pytestmark = pytest.mark.once


class Builder:
    """A stand-in for the environment's Python, which counts its calls."""

    def __init__(self, venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.venv = venv
        self.built = 0
        self.says = 'error: no luck'
        self.code = 0
        monkeypatch.setattr(build_image_op.subprocess, 'run', self.run)
        monkeypatch.setattr(build_image_op.shutil, 'which', lambda name: f'/usr/bin/{name}')

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command == [str(self.venv / 'bin' / 'python'), '-m', 'preprocessing.image_op']
        self.built += 1
        library = self.venv / f'{self.built}.so'
        if not self.code:
            library.touch()
        return subprocess.CompletedProcess(command, self.code, f'{library}\n', self.says)


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    return Builder(tmp_path, monkeypatch)


def test_it_is_built_once(builder: Builder) -> None:
    for _ in range(3):
        build_image_op.ensure(builder.venv)
    assert builder.built == 1


def test_a_library_that_is_gone_or_of_another_source_is_built_anew(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_image_op.ensure(builder.venv)
    (builder.venv / '1.so').unlink()
    build_image_op.ensure(builder.venv)
    assert builder.built == 2
    monkeypatch.setattr(build_image_op, 'source_digest', lambda: 'changed')
    build_image_op.ensure(builder.venv)
    assert builder.built == 3


def test_a_build_that_fails_is_told_and_does_not_stop_the_setup(
    builder: Builder, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.code = 1
    builder.says = 'chatter\nerror: g++ failed:\nimage_op.cc:1: no'
    build_image_op.ensure(builder.venv)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ['error: g++ failed:', 'image_op.cc:1: no']
    assert 'is not built (exit code 1; its own words are above)' in lines[2]
    builder.code = 0
    build_image_op.ensure(builder.venv)
    assert builder.built == 2


def test_without_a_compiler_nothing_is_tried(
    builder: Builder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build_image_op.shutil, 'which', lambda name: None)
    build_image_op.ensure(builder.venv)
    assert 'there is no C++ compiler' in capsys.readouterr().err
    assert builder.built == 0


def test_the_sources_are_there() -> None:
    assert all((environment.ROOT / name).is_file() for name in build_image_op.SOURCES)
