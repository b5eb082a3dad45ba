"""docs/adding_a_network.md: its files and commands, run as written."""

import pathlib
import re
import shlex
import subprocess
import sys
import textwrap

import processes
import pytest

GUIDE = (processes.ROOT / 'docs' / 'adding_a_network.md').read_text()


def _blocks(introduction: str) -> list[str]:
    """Every indented block of the guide that follows a line with this ending."""
    pattern = rf'{introduction}\n\n((?:    .*\n|\n)+)'
    return [textwrap.dedent(block) for block in re.findall(pattern, GUIDE)]


@pytest.mark.slow
@pytest.mark.once
def test_a_network_from_ones_own_script_is_trained_and_evaluated(server, digits, cache, tmp_path):
    for name in ('tinynet.py', 'train_mine.py', 'eval_mine.py'):
        (source,) = _blocks(f'`{re.escape(name)}`:')
        pathlib.Path(tmp_path, name).write_text(source)
    (commands,) = _blocks('after `make demo`:')
    commands = commands.replace('\\\n', ' ').replace('=1000', '=3')
    commands = commands.replace('$HOME/.cache/tf-slim-suite/digits-v1', str(digits))
    commands = re.sub('^export .*', '', commands).split('python3 ')[1:]
    train, evaluate = (shlex.split(command) for command in commands)
    how = {
        'cwd': tmp_path,
        'env': {**processes.user_environment(cache), 'PYTHONPATH': str(processes.ROOT)},
        'timeout': 300,
    }
    outputs = [
        subprocess.run([sys.executable, *train], capture_output=True, text=True, **how),
        server.run(evaluate[0], evaluate[1:], **how),
    ]
    assert [output.returncode for output in outputs] == [0, 0], outputs
    assert 'saved run/model.ckpt-3' in outputs[0].stdout
    assert 'images: 360/360' in outputs[1].stdout
