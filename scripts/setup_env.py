"""Makes the virtual environment of one TensorFlow stack ready, and prints its path.

    python3 scripts/setup_env.py --tf 2.21.0 [--horovod]

Makes it when it is missing, out of date or half made, and builds the image operation into it; does
nothing (in a tenth of a second) when it is ready. With --horovod, Horovod is in it as well. `make
setup` and `make test` call this.

This file alone is also read by Pythons too old for the project, to tell them so: it keeps to syntax
that even Python 2.7 reads, and imports the rest once the interpreter is known to serve.
"""

import sys

# TensorFlow version -> (oldest, newest Python that the pinned stack has wheels for).
STACKS = {
    '2.15.0': ((3, 10), (3, 11)),
    '2.21.0': ((3, 10), (3, 13)),
}
DEFAULT_TF = '2.21.0'


def dotted(version):  # type: (tuple[int, ...]) -> str
    return '.'.join(str(part) for part in version)


def stack_problem(tf_version):  # type: (str) -> str | None
    """One line when there is no such stack."""
    if tf_version in STACKS:
        return None
    choices = ' or '.join('TF=' + known for known in sorted(STACKS))
    return 'TF={} is not a stack of this project; choose {}'.format(tf_version, choices)


def python_problem(tf_version, version, executable):
    # type: (str, tuple[int, ...], str) -> str | None
    """One line when this Python does not serve this stack; names the one found and the way out."""
    oldest, newest = STACKS[tf_version]
    if oldest <= tuple(version[:2]) <= newest:
        return None
    return (
        'TensorFlow {tf} needs Python {oldest} to {newest}, but {executable} is Python {found}; '
        'choose another interpreter, for example: make test TF={tf} PYTHON=python3.11'
    ).format(
        tf=tf_version,
        oldest=dotted(oldest),
        newest=dotted(newest),
        executable=executable,
        found=dotted(version[:3]),
    )


def module_problem(executable, version, missing):
    # type: (str, tuple[int, ...], list[str]) -> str | None
    """One line when the interpreter lacks what makes an environment, as Debian's bare one does."""
    if not missing:
        return None
    return (
        '{} has no module {}, so it cannot make a virtual environment; install it (on Debian and '
        'Ubuntu the package python{}-venv) or choose another interpreter with PYTHON='
    ).format(executable, ' and no '.join(missing), dotted(version[:2]))


def missing_modules():  # type: () -> list[str]
    from importlib.util import find_spec

    return [name for name in ('venv', 'ensurepip') if find_spec(name) is None]


def problem(tf_version):  # type: (str) -> str | None
    version = tuple(sys.version_info[:3])
    return (
        stack_problem(tf_version)
        or python_problem(tf_version, version, sys.executable)
        or module_problem(sys.executable, version, missing_modules())
    )


def main():  # type: () -> int
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--tf', default=DEFAULT_TF, help=' or '.join(sorted(STACKS)))
    parser.add_argument('--horovod', action='store_true', help='build and install Horovod as well')
    flags = parser.parse_args()
    found = problem(flags.tf)
    if found:
        sys.stderr.write('setup: ' + found + '\n')
        return 2

    import build_horovod
    import build_image_op
    import environment

    try:
        venv = environment.ensure(flags.tf)
        build_image_op.ensure(venv)
        if flags.horovod:
            build_horovod.ensure(venv, flags.tf)
    except environment.SetupError as error:
        environment.say(str(error))
        return 1
    except KeyboardInterrupt:
        environment.say('interrupted; the next call makes anew what is incomplete')
        return 130
    print(venv)
    return 0


if __name__ == '__main__':
    sys.exit(main())
