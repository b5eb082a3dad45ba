"""The start of a process: what importing TensorFlow leaves behind."""

import os
import pathlib

ROOT = pathlib.Path(__file__).parents[2]

PROGRAM = """
import gc

from runtime import startup

startup.import_tensorflow_quietly()
assert gc.get_freeze_count() > 100_000, gc.get_freeze_count()


class Knot:
    def __init__(self, name):
        self.itself, self.name = self, name

    def __del__(self):
        if self.name:
            print(self.name, 'is collected')


Knot('the first')
for _ in range(200_000):
    Knot('')
print('the end')
Knot('the last')
"""


def test_garbage_is_collected_in_a_run_and_not_looked_for_at_its_end(server, tmp_path):
    (tmp_path / 'program.py').write_text(PROGRAM)
    ours = {name: value for name, value in os.environ.items() if not name.startswith('TF_')}
    environment = {**ours, 'PYTHONPATH': str(ROOT)}
    done = server.run(tmp_path / 'program.py', [], cwd=tmp_path, env=environment, timeout=300)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == 'the first is collected\nthe end\n'
