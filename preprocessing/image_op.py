"""The compiled image operation: from the pixels of a crop to a network's input in one pass.

  python3 -m preprocessing.image_op

builds image_op.cc for the TensorFlow of this Python, in about a second after TensorFlow's import;
`make setup` does so. Where it has been built, the pipeline uses it in place of TensorFlow's
operations, which compute the same numbers in several passes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shlex
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from slim.errors import OutputError, SuiteError

SOURCE = pathlib.Path(__file__).with_suffix('.cc')
BUILD_COMMAND = 'python3 -m preprocessing.image_op'

_COMPILERS = ('c++', 'g++', 'clang++')
# Every processor rounds alike. -fno-trapping-math changes no number: without it GCC makes no
# vectors of minima and maxima on processors without AVX-512.
_FLAGS = ('-std=c++17', '-O3', '-ffp-contract=off', '-fno-trapping-math', '-shared', '-fPIC')
_COMPILE_SECONDS = 600


class BuildError(SuiteError, RuntimeError):
    """The operation cannot be built here."""


@dataclasses.dataclass(frozen=True)
class ImageOp:
    """The loaded operation."""

    library: Any  # the module of tf.load_op_library

    def __call__(
        self,
        image: tf.Tensor,
        height: int,
        width: int,
        *,
        scale: float = 1.0,
        offset: Sequence[float] = (0.0, 0.0, 0.0),
        grid: tf.Tensor | None = None,
        colours: tf.Tensor | None = None,
        mirrored: tf.Tensor | bool = False,
    ) -> tf.Tensor:
        """Bilinear samples of `image`, float32 [height, width, 3], times `scale` plus `offset`.

        Args:
          image: uint8 [h, w, 3], one pixel at least.
          height, width: of the result, in pixels.
          scale: of the numbers 0..255.
          offset: one number per channel.
          grid: float32 [4], in pixels of `image`: row and column of the first sample, and how far
            rows and columns are apart. Outside of the image is what is on its edge. None: the grid
            of tf.compat.v1.image.resize_bilinear.
          colours: float32 [2]: what is added to the brightness, where 1 is white, and then the
            factor of the saturation; results are clipped to 0..255 before `scale`. None: none.
          mirrored: bool scalar, whether left and right change places.
        """
        nothing = tf.zeros([0])
        view = self.library.tf_slim_bilinear_view(
            image=image,
            grid=nothing if grid is None else grid,
            colours=nothing if colours is None else colours,
            mirrored=mirrored,
            height=height,
            width=width,
            scale=scale,
            offset=list(offset),
        )
        view.set_shape([height, width, 3])
        return view


def load() -> ImageOp | None:
    """The operation, or None where it has not been built. Raises BuildError for a library that
    does not load."""
    for folder in _folders():
        path = folder / _library_name()
        if path.exists():
            try:
                return ImageOp(tf.load_op_library(str(path)))
            except (tf.errors.OpError, OSError) as error:
                reason = str(error).splitlines()[0]
                raise BuildError(
                    f'{path} does not load ({reason}). Remove it, and build it anew with: '
                    f'{BUILD_COMMAND}. --nocustom_image_op does without.'
                ) from error
    return None


def build(environ: Mapping[str, str] = os.environ) -> pathlib.Path:
    """Compiles the operation into Python's environment and returns the library's path.

    Raises BuildError without a compiler, or with what the compiler said, and OutputError where no
    folder can be written.
    """
    compiler = _compiler(environ)
    folders = _folders()
    folder = next(filter(_can_write, folders), None)
    if folder is None:
        raise OutputError(f'cannot write into {" or ".join(map(str, folders))}')
    folder.mkdir(parents=True, exist_ok=True)
    # Moved into place when it is whole, as other processes may be loading.
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        built = pathlib.Path(unfinished) / _library_name()
        _compile(compiler, built)
        return built.replace(folder / built.name)


def _compile(compiler: list[str], library: pathlib.Path) -> None:
    folder = tf.sysconfig.get_lib()
    frameworks = sorted(pathlib.Path(folder).glob('libtensorflow_framework.so*'))
    if not frameworks:
        raise BuildError(f'{folder} has no libtensorflow_framework.so')
    command = [*compiler, *_FLAGS, f'-I{tf.sysconfig.get_include()}', str(SOURCE)]
    command += ['-o', str(library), str(frameworks[0])]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors='replace', timeout=_COMPILE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f'{shlex.join(compiler)} did not run ({error})') from error
    if done.returncode:
        raise BuildError(f'{shlex.join(command)} failed:\n{done.stderr.strip()}')


def _library_name() -> str:
    made_of = SOURCE.read_bytes() + ' '.join(_FLAGS).encode()
    return f'image-op-tf{tf.__version__}-{hashlib.sha256(made_of).hexdigest()[:16]}.so'


def _folders() -> list[pathlib.Path]:
    """Where libraries lie: in Python's environment, or in the user's where that is the system's."""
    prefixes = [sys.prefix]
    if sys.prefix == sys.base_prefix:
        prefixes.append(site.getuserbase())
    return [pathlib.Path(prefix) / 'lib' / 'tf-slim-suite' for prefix in prefixes]


def _can_write(folder: pathlib.Path) -> bool:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


def _compiler(environ: Mapping[str, str]) -> list[str]:
    """The words of $CXX, or the first compiler that is there."""
    choices = [shlex.split(environ['CXX'])] if environ.get('CXX') else [[n] for n in _COMPILERS]
    for words in choices:
        if words and shutil.which(words[0], path=environ.get('PATH')):
            return words
    names = ', '.join(' '.join(words) for words in choices)
    raise BuildError(f'no C++ compiler ({names}) found; install one, or name it with CXX=')


if __name__ == '__main__':
    try:
        print(build())
    except SuiteError as failure:
        sys.exit(f'error: {failure}')
