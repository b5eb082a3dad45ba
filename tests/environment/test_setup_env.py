"""The set-up's decisions: interpreter, stack, stamp. No network and no TensorFlow."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import environment
import pytest
import setup_env

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('tf_version', setup_env.STACKS)
def test_every_stack_has_pins_of_one_tensorflow(tf_version: str) -> None:
    lines = environment.requirements_file(tf_version).read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith('#')]
    versions = dict(pin.split(';')[0].strip().split('==') for pin in pins)
    assert len(versions) == len(pins)
    assert versions['tensorflow'] == tf_version
    assert versions['tf-keras'].split('.')[:2] == tf_version.split('.')[:2]
    # A URL or a hash would tie the file to one index.
    assert not [pin for pin in pins if '/' in pin or '--' in pin]


@pytest.mark.parametrize(
    ('tf_version', 'python', 'served'),
    [
        ('2.15.0', (3, 9, 18), False),
        ('2.15.0', (3, 10, 0), True),
        ('2.15.0', (3, 11, 7), True),
        ('2.15.0', (3, 12, 1), False),
        ('2.21.0', (2, 7, 18), False),
        ('2.21.0', (3, 9, 18), False),
        ('2.21.0', (3, 10, 13), True),
        ('2.21.0', (3, 13, 9), True),
        ('2.21.0', (3, 14, 0), False),
    ],
)
def test_python_range(tf_version: str, python: tuple[int, ...], served: bool) -> None:
    problem = setup_env.python_problem(tf_version, python, '/opt/python')
    assert (problem is None) == served


def test_a_wrong_python_is_named_with_the_way_out() -> None:
    problem = setup_env.python_problem('2.15.0', (3, 13, 0), '/opt/python3.13')
    assert problem == (
        'TensorFlow 2.15.0 needs Python 3.10 to 3.11, but /opt/python3.13 is Python 3.13.0; choose '
        'another interpreter, for example: make test TF=2.15.0 PYTHON=python3.11'
    )


def test_a_missing_venv_module_is_named_with_its_package() -> None:
    problem = setup_env.module_problem('/usr/bin/python3', (3, 11, 2), ['ensurepip'])
    assert problem is not None
    assert 'no module ensurepip' in problem
    assert 'python3.11-venv' in problem
    assert setup_env.module_problem('/usr/bin/python3', (3, 11, 2), []) is None


def test_the_entry_keeps_to_old_syntax() -> None:
    """An old Python must get as far as the message: no f-string, annotation or later syntax."""
    source = (ROOT / 'scripts' / 'setup_env.py').read_text(encoding='ascii')
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.Starred, ast.AsyncFor)
    for node in ast.walk(ast.parse(source)):
        assert not isinstance(node, newer)
        assert getattr(node, 'annotation', None) is None
        assert getattr(node, 'returns', None) is None


def test_make_refuses_an_unknown_stack_in_one_line() -> None:
    command = ['make', '--no-print-directory', '-C', str(ROOT), 'setup']
    result = subprocess.run(
        [*command, 'TF=2.14.0', f'PYTHON={sys.executable}'],
        capture_output=True,
        text=True,
        cwd='/',
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == (
        'setup: TF=2.14.0 is not a stack of this project; choose TF=2.15.0 or TF=2.21.0'
    )


def test_cache_dir_follows_the_user(tmp_path: Path) -> None:
    assert environment.cache_dir({'TF_SLIM_SUITE_CACHE': str(tmp_path)}) == tmp_path
    xdg = environment.cache_dir({'XDG_CACHE_HOME': str(tmp_path)})
    assert xdg == tmp_path / 'tf-slim-suite'
    assert environment.cache_dir({}) == Path.home().resolve() / '.cache' / 'tf-slim-suite'


class Checkout:
    """A folder with one requirement file, and stand-ins for venv and pip that count their calls."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.made = 0
        self.pip_fails: BaseException | None = None
        self.requirements = root / 'requirements' / 'tf-2.21.0.txt'
        self.requirements.parent.mkdir()
        self.requirements.write_text('tensorflow==2.21.0\n')
        monkeypatch.setattr(environment, 'make_venv', self.make_venv)
        monkeypatch.setattr(environment, 'run_pip', self.run_pip)
        monkeypatch.setattr(environment, 'compile_modules', lambda venv: None)

    def make_venv(self, venv: Path) -> None:
        self.made += 1
        (venv / 'bin').mkdir(parents=True)
        (venv / 'bin' / 'python').touch()

    def run_pip(self, venv: Path, *arguments: str) -> None:
        (venv / 'half-installed').touch()
        if self.pip_fails:
            raise self.pip_fails
        (venv / 'half-installed').unlink()

    def ensure(self) -> Path:
        return environment.ensure('2.21.0', self.root)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    return Checkout(tmp_path, monkeypatch)


def test_nothing_is_done_when_nothing_changed(checkout: Checkout) -> None:
    venv = checkout.ensure()
    major, minor = sys.version_info[:2]
    assert venv == checkout.root / f'.venv-tf2.21.0-py{major}.{minor}'
    assert checkout.ensure() == venv
    assert checkout.made == 1


def test_what_is_installed_is_compiled_but_for_what_is_no_python(tmp_path: Path) -> None:
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'python').symlink_to(sys.executable)
    packages = tmp_path / 'lib' / 'site-packages'
    packages.mkdir(parents=True)
    (packages / 'old.py').write_text('print "of Python 2"')
    (packages / 'zoo.py').write_text('')
    environment.compile_modules(tmp_path)
    assert [path.name.partition('.')[0] for path in packages.glob('__pycache__/*')] == ['zoo']


@pytest.mark.parametrize(
    'interruption', [KeyboardInterrupt(), environment.SetupError('pip failed')]
)
def test_a_setup_cut_short_is_made_anew(checkout: Checkout, interruption: BaseException) -> None:
    checkout.pip_fails = interruption
    with pytest.raises(type(interruption)):
        checkout.ensure()
    checkout.pip_fails = None
    venv = checkout.ensure()
    assert checkout.made == 2
    assert not (venv / 'half-installed').exists()
    checkout.ensure()
    assert checkout.made == 2


def test_changed_pins_make_a_new_environment(checkout: Checkout) -> None:
    venv = checkout.ensure()
    (venv / 'leftover').touch()
    checkout.requirements.write_text('tensorflow==2.21.1\n')
    checkout.ensure()
    assert checkout.made == 2
    assert not (venv / 'leftover').exists()


@pytest.mark.parametrize('content', ['', '{"recipe": 1', '[]', '{}'])
def test_a_damaged_stamp_vouches_for_nothing(checkout: Checkout, content: str) -> None:
    (checkout.ensure() / environment.STAMP_NAME).write_text(content)
    checkout.ensure()
    assert checkout.made == 2


def test_a_vanished_interpreter_makes_a_new_environment(checkout: Checkout) -> None:
    (checkout.ensure() / 'bin' / 'python').unlink()
    checkout.ensure()
    assert checkout.made == 2


def test_a_moved_checkout_makes_a_new_environment(checkout: Checkout, tmp_path: Path) -> None:
    checkout.ensure()
    moved = tmp_path.with_name(f'{tmp_path.name}-moved')
    tmp_path.rename(moved)
    environment.ensure('2.21.0', moved)
    assert checkout.made == 2


def test_another_python_or_recipe_makes_a_new_environment(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.ensure()
    monkeypatch.setattr(environment, 'RECIPE', environment.RECIPE + 1)
    checkout.ensure()
    assert checkout.made == 2
    monkeypatch.setattr(environment.platform, 'python_version', lambda: '3.99.0')
    checkout.ensure()
    assert checkout.made == 3
