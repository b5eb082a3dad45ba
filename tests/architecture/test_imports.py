"""Who may import whom, as tables over the source's syntax trees. Nothing is imported or run."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# `make check` has them on each stack.
pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = (
    'slim',
    'runtime',
    'nets',
    'datasets',
    'preprocessing',
    'deployment',
    'detection',
    'mobilenet',
    'research',
)
ROOTS = (
    'demo_mobilenetv2',
    'train_image_classifier',
    'eval_image_classifier',
    'preprocess_imagenet',
    'verify_dataset',
    'export_inference_graph',
    'inspect_network',
    'predict_image',
    'plot_runs',
    'download_and_convert_data',
    'train_object_detector',
    'eval_object_detector',
    'export_object_detector',
    'doctor',
)
OURS = (*PACKAGES, *ROOTS)

# The classic modules of datasets/ that join its rooms; the others on that floor are sets.
FACADES = (
    'datasets.dataset_utils',
    'datasets.build_imagenet_data',
    'datasets.process_bounding_boxes',
)

# Place -> what it may import of the project beside itself. The longest place that holds a module
# decides, and a name allows what is below it. Roots, tests, benchmarks and scripts have no row.
_BASE = ('runtime.options', 'runtime.folders', 'slim')
ALLOWED = {
    'slim': (),
    'nets': ('slim',),
    'preprocessing': ('slim.errors',),
    'datasets': ('slim.errors',),
    'datasets/records': ('slim.errors',),
    'datasets/conversion': ('slim.errors', 'slim.status_line', 'datasets'),
    **{facade.replace('.', '/'): ('slim.errors', 'datasets') for facade in FACADES},
    # The Keras models and their trainer; the room below has its old name.
    'mobilenet': ('slim.errors', 'nets', 'datasets', 'preprocessing', 'runtime'),
    # What flags and --help need: no TensorFlow.
    'mobilenet/configs': ('slim.errors', 'nets.mobilenet.architectures'),
    'research': ('mobilenet',),
    # Where clones are placed follows the device that the process has chosen.
    'deployment': ('slim', 'runtime.devices.devices'),
    # Boxes as mathematics: who reads, trains and draws knows it, it knows nobody.
    'detection': ('slim.errors',),
    # From the bottom to the top: each room may use those above its row.
    'runtime/options': ('slim.errors',),
    'runtime/flags': ('slim.errors',),
    'runtime/app': ('slim.errors',),
    'runtime/folders': ('slim.errors',),
    'runtime/devices': _BASE,
    'runtime/checkpoints': _BASE,
    'runtime/workers': (*_BASE, 'runtime.devices', 'runtime.checkpoints'),
    'runtime/input': _BASE,
    # What runs have written, as tables and curves.
    'runtime/curves': _BASE,
    'runtime/startup': ('runtime.options', 'runtime.devices', 'runtime.workers'),
    'runtime/training': (
        *_BASE,
        'runtime.startup',
        'runtime.devices',
        'runtime.checkpoints',
        'runtime.workers',
        'runtime.input',
        'runtime.curves',
        'deployment',
        'detection',
    ),
    'runtime/results': (
        *_BASE,
        'runtime.startup',
        'runtime.devices',
        'runtime.checkpoints',
        'runtime.workers',
        'runtime.input',
        'runtime.training',
        'detection',
    ),
    # What sees the whole of it: what is there, what the flags name, and which names there are.
    'runtime/diagnosis': ('runtime', 'slim'),
    'runtime/catalogue': (
        'runtime.options',
        'runtime.results.tables',
        'nets.published',
        'datasets.names',
        'preprocessing.names',
    ),
    'runtime/lookup': ('runtime.options', 'slim.errors', 'datasets', 'nets', 'preprocessing'),
    'runtime/detection_lookup': (
        'runtime.options',
        'slim.errors',
        'datasets',
        'nets',
        'preprocessing',
    ),
}
# What a place may not import although its row allows what is above it.
REFUSED = {
    'datasets': ('datasets.conversion', *FACADES),
    'datasets/conversion': FACADES,
}
# Only nets, deployment and the runtime see TF-Slim itself.
NO_TF_SLIM = ('preprocessing', 'datasets')
# Outside name -> the one file of the packages and roots that imports it.
ONLY_IN = {
    'habana_frameworks': 'runtime/devices/devices.py',
    'habana_tensorflow': 'runtime/devices/devices.py',
    'horovod': 'runtime/workers/cluster.py',
    'tensorflow.python': 'slim/compat.py',
}
UNFINISHED = re.compile('TO' + 'DO|FIX' + r'ME')


def below(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f'{prefix}.') for prefix in prefixes)


def imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names that the source imports, those by a constant `import_module('...')` included.

    `from a import b` gives `a.b`, for b may be a module. `package` is where relative imports start.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split('.')[: len(package.split('.')) - node.level + 1]
            base = [*(parents if node.level else []), *filter(None, [node.module])]
            yield from ('.'.join([*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, 'attr', getattr(node.func, 'id', None))
            name = getattr(node.args[0], 'value', None)
            if called in ('import_module', '__import__') and isinstance(name, str):
                yield name


def place_of(path: str) -> str | None:
    """The row of ALLOWED for the file at `path` (relative to the project's root), or None."""
    parts = Path(path).with_suffix('').parts
    for length in range(len(parts), 0, -1):
        if '/'.join(parts[:length]) in ALLOWED:
            return '/'.join(parts[:length])
    return None


def violations(path: str, source: str) -> list[str]:
    """What breaks the rules in the file at `path` (relative to the project's root)."""
    parts = Path(path).with_suffix('').parts
    group, place = parts[0], place_of(path)
    broken = []
    for name in imported_names(ast.parse(source), '.'.join(parts[:-1])):
        if group == 'scripts':
            siblings = {file.stem for file in (ROOT / 'scripts').glob('*.py')}
            if name.split('.')[0] not in siblings | set(sys.stdlib_module_names):
                broken.append(f'{path} imports {name}: scripts/ runs before anything is installed')
            continue
        if group in PACKAGES and place is None:
            broken.append(f'{path} imports {name}: it has no row in ALLOWED')
        if place and below(name, OURS):
            allowed = (place.replace('/', '.'), *ALLOWED[place])
            if not below(name, allowed) or below(name, REFUSED.get(place, ())):
                broken.append(f'{path} imports {name}: {place} may not')
        if group in NO_TF_SLIM and below(name, ('tf_slim',)):
            broken.append(f'{path} imports {name}: {group}/ may not')
        if group in OURS:
            for guarded, home in ONLY_IN.items():
                if below(name, (guarded,)) and path != home:
                    broken.append(f'{path} imports {name}: only {home} may')
    return broken


def python_files() -> list[str]:
    folders = (*PACKAGES, 'scripts', 'tests', 'tools', 'benchmarks')
    paths = [*ROOT.glob('*.py')]
    for folder in folders:
        paths += (ROOT / folder).rglob('*.py')
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def test_the_scripts_are_those_that_are_installed() -> None:
    at_the_root = {path.stem for path in ROOT.glob('*.py')}
    modules = re.search(
        r'^py-modules = \[(.*?)^\]', (ROOT / 'pyproject.toml').read_text(), re.M | re.S
    )
    assert modules is not None
    assert set(ROOTS) == at_the_root == set(re.findall(r"'(.*?)'", modules[1]))


@pytest.mark.parametrize('path', python_files())
def test_file_keeps_the_rules(path: str) -> None:
    source = (ROOT / path).read_text(encoding='utf-8')
    assert violations(path, source) == []
    assert UNFINISHED.findall(source) == []


@pytest.mark.parametrize(
    ('path', 'source'),
    [
        ('nets/lenet.py', 'from datasets import imagenet'),
        ('nets/lenet.py', 'import deployment.model_deploy'),
        ('nets/nasnet/nasnet.py', 'from ...preprocessing import x'),
        ('deployment/model_deploy.py', 'from nets.nets_factory import get_network_fn'),
        ('preprocessing/vgg_preprocessing.py', 'import slim'),
        ('preprocessing/vgg_preprocessing.py', 'from slim import conv2d'),
        ('datasets/imagenet.py', 'import tf_slim as slim'),
        ('datasets/imagenet.py', 'def f():\n    import preprocessing'),
        ('datasets/records/framing.py', 'from datasets import imagenet'),
        ('datasets/records/framing.py', 'from datasets.conversion import worker_pool'),
        ('datasets/imagenet.py', 'from datasets.conversion import verification'),
        ('datasets/record_set.py', 'from datasets import dataset_utils'),
        ('datasets/conversion/digits.py', 'from datasets.dataset_utils import has_labels'),
        ('datasets/dataset_utils.py', 'import tf_slim'),
        ('datasets/conversion/digits.py', 'from runtime.input import inputs'),
        ('nets/lenet.py', 'from runtime import options'),
        ('detection/losses.py', 'import slim'),
        ('detection/losses.py', 'from datasets import imagenet'),
        ('deployment/model_deploy.py', 'from runtime.devices import precision'),
        ('runtime/training/loop.py', 'from nets import nets_factory'),
        ('runtime/training/loop.py', 'import horovod.tensorflow as hvd'),
        ('runtime/training/loop.py', 'import train_image_classifier'),
        ('runtime/training/loop.py', 'from runtime.results import evaluator'),
        ('runtime/training/loop.py', 'from runtime import lookup'),
        ('runtime/workers/cluster.py', 'from runtime.training import loop'),
        ('runtime/devices/devices.py', 'from runtime.workers import cluster'),
        ('runtime/input/inputs.py', 'def f():\n    from runtime.checkpoints import files'),
        ('runtime/options/data.py', 'from runtime import flags'),
        ('runtime/lookup.py', 'from runtime.training import loop'),
        ('slim/compat.py', 'from runtime import options'),
        ('runtime/new_room/module.py', 'import os'),
        ('mobilenet/configs/archs.py', 'from mobilenet import common_modules'),
        ('mobilenet/configs/archs.py', 'from nets.mobilenet import conv_blocks'),
        ('nets/mobilenet/mobilenet_v2.py', 'from mobilenet.configs import archs'),
        ('train_image_classifier.py', 'import habana_frameworks.tensorflow'),
        ('runtime/workers/cluster.py', "importlib.import_module('habana_frameworks.tensorflow')"),
        ('nets/lenet.py', 'from tensorflow.python.ops import nn_ops'),
        ('nets/lenet.py', 'from tensorflow import python'),
        ('scripts/environment.py', 'import numpy'),
    ],
)
def test_a_breach_is_seen(path: str, source: str) -> None:
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ('path', 'source'),
    [
        ('nets/lenet.py', 'import slim\nimport tensorflow.compat.v1 as tf\nimport tf_slim'),
        ('nets/mobilenet/mobilenet.py', 'from nets.mobilenet import conv_blocks'),
        ('nets/mobilenet/mobilenet.py', 'from . import conv_blocks'),
        ('datasets/imagenet.py', 'from slim.errors import DataError\nfrom slim import errors'),
        ('datasets/imagenet.py', 'from datasets.records import description'),
        ('datasets/conversion/verification.py', 'from datasets import dataset_factory'),
        ('datasets/dataset_utils.py', 'from datasets.conversion import archives'),
        ('runtime/workers/cluster.py', 'import horovod.tensorflow as hvd'),
        ('runtime/devices/devices.py', "importlib.import_module('habana_frameworks.tensorflow')"),
        ('slim/compat.py', 'from tensorflow.python.ops import array_ops'),
        (
            'train_image_classifier.py',
            'from runtime import lookup\nfrom runtime.training import loop',
        ),
        ('runtime/training/loop.py', 'from runtime.workers import cluster\nimport slim'),
        ('runtime/lookup.py', 'from nets import nets_factory'),
        ('runtime/diagnosis.py', 'from runtime.workers import mpi_command'),
        ('scripts/build_horovod.py', 'import environment, tarfile'),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert violations(path, source) == []


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Module to the modules of `sources` that it imports, at the top, below TYPE_CHECKING or in a
    function. `sources`: source by dotted name, a package's under the package's name.

    That `import a.b` runs a/__init__ first is left out: it holds for every module of a package.
    """
    graph = {}
    for module, source in sources.items():
        is_package = any(other.startswith(f'{module}.') for other in sources)
        package = module if is_package else module.rpartition('.')[0]
        imported = set()
        for name in imported_names(ast.parse(source), package):
            parts = name.split('.')
            prefixes = ('.'.join(parts[:end]) for end in range(len(parts), 0, -1))
            imported.add(next((prefix for prefix in prefixes if prefix in sources), ''))
        graph[module] = imported - {'', module}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in turn, the first one again at the end; [] for none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_there_is_no_circle() -> None:
    sources = {}
    for path in python_files():
        parts = Path(path).with_suffix('').parts
        if parts[0] in OURS:
            name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
            sources[name] = (ROOT / path).read_text(encoding='utf-8')
    assert circle(import_graph(sources)) == []


@pytest.mark.parametrize(
    'back',
    ['import p.a', 'def f():\n    from p import a', 'if TYPE_CHECKING:\n    from .a import X'],
)
def test_a_circle_is_seen(back: str) -> None:
    sources = {'p': '', 'p.a': 'from p.b import x', 'p.b': 'import p.c', 'p.c': back}
    assert set(circle(import_graph(sources))) == {'p.a', 'p.b', 'p.c'}
    assert circle(import_graph(sources | {'p.c': 'import os'})) == []


def test_relative_imports_are_resolved() -> None:
    tree = ast.parse('from . import a\nfrom .b import c\nfrom ..d import e\nfrom ... import f')
    assert list(imported_names(tree, 'nets.mobilenet')) == [
        'nets.mobilenet.a',
        'nets.mobilenet.b.c',
        'nets.d.e',
        'f',
    ]
