"""Who may import whom, as tables over the source's syntax trees. Nothing is imported or run."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ('slim', 'nets', 'datasets', 'preprocessing', 'deployment')
ROOTS = (
    'demo_mobilenetv2',
    'train_image_classifier',
    'eval_image_classifier',
    'preprocess_imagenet',
    'verify_dataset',
    'export_inference_graph',
    'download_and_convert_data',
    'doctor',
)
# The modules of slim/ that belong to TF-Slim's vocabulary; the other ones are the runtime.
VOCABULARY = ('__init__', 'compat', 'errors')
RUNTIME = tuple(
    f'slim.{path.stem}'
    for path in sorted((ROOT / 'slim').glob('*.py'))
    if path.stem not in VOCABULARY
)
OURS = (*PACKAGES, *ROOTS)

# Package -> what it may import of the project. A name allows what is below it, unless the second
# table takes that away. Roots, tests, benchmarks and scripts have no row here: see below.
ALLOWED = {
    'nets': ('nets', 'slim'),
    'deployment': ('deployment', 'slim'),
    'preprocessing': ('preprocessing', 'slim.errors'),
    'datasets': ('datasets', 'slim.errors'),
    'slim': ('slim',),
}
REFUSED = {
    'nets': RUNTIME,
    # Where clones are placed follows the device that the process has chosen.
    'deployment': tuple(name for name in RUNTIME if name != 'slim.devices'),
    'preprocessing': ('tf_slim',),
    'datasets': ('tf_slim',),
}
# Outside name -> the one file of the packages and roots that imports it.
ONLY_IN = {
    'habana_frameworks': 'slim/devices.py',
    'habana_tensorflow': 'slim/devices.py',
    'horovod': 'slim/cluster.py',
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


def violations(path: str, source: str) -> list[str]:
    """What breaks the rules in the file at `path` (relative to the project's root)."""
    parts = Path(path).with_suffix('').parts
    group = parts[0]
    broken = []
    for name in imported_names(ast.parse(source), '.'.join(parts[:-1])):
        if group == 'scripts':
            siblings = {file.stem for file in (ROOT / 'scripts').glob('*.py')}
            if name.split('.')[0] not in siblings | set(sys.stdlib_module_names):
                broken.append(f'{path} imports {name}: scripts/ runs before anything is installed')
            continue
        if group in ALLOWED:
            if below(name, OURS) and not below(name, ALLOWED[group]):
                broken.append(f'{path} imports {name}: {group}/ may not')
            if below(name, REFUSED.get(group, ())):
                broken.append(f'{path} imports {name}: {group}/ may not')
        if group in OURS:
            for guarded, home in ONLY_IN.items():
                if below(name, (guarded,)) and path != home:
                    broken.append(f'{path} imports {name}: only {home} may')
    return broken


def python_files() -> list[str]:
    folders = (*PACKAGES, 'scripts', 'tests', 'benchmarks')
    paths = [*ROOT.glob('*.py')]
    for folder in folders:
        paths += (ROOT / folder).rglob('*.py')
    return sorted(str(path.relative_to(ROOT)) for path in paths)


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
        ('slim/trainer.py', 'from nets import nets_factory'),
        ('slim/trainer.py', 'import horovod.tensorflow as hvd'),
        ('slim/trainer.py', 'import train_image_classifier'),
        ('train_image_classifier.py', 'import habana_frameworks.tensorflow'),
        ('slim/cluster.py', "importlib.import_module('habana_frameworks.tensorflow')"),
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
        ('slim/cluster.py', 'import horovod.tensorflow as hvd'),
        ('slim/devices.py', "importlib.import_module('habana_frameworks.tensorflow')"),
        ('slim/compat.py', 'from tensorflow.python.ops import array_ops'),
        ('train_image_classifier.py', 'from nets import nets_factory\nfrom slim import trainer'),
        ('scripts/build_horovod.py', 'import environment, tarfile'),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert violations(path, source) == []


@pytest.mark.skipif(not RUNTIME, reason='slim/ has no runtime module yet')
def test_networks_do_not_reach_into_the_runtime() -> None:
    assert len(violations('nets/lenet.py', f'import {RUNTIME[0]}')) == 1


def test_relative_imports_are_resolved() -> None:
    tree = ast.parse('from . import a\nfrom .b import c\nfrom ..d import e\nfrom ... import f')
    assert list(imported_names(tree, 'nets.mobilenet')) == [
        'nets.mobilenet.a',
        'nets.mobilenet.b.c',
        'nets.d.e',
        'f',
    ]
