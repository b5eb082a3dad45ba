"""The commands of README's tour, as they stand there."""

import re
import shlex

import processes
import pytest


def commands():
    """Those of the section, as lists of words."""
    text = (processes.ROOT / 'README.md').read_text()
    (section,) = re.findall(r'^## A tour$(.*?)^## ', text, re.M | re.S)
    code = re.sub(r'\\\n *', '', '\n'.join(re.findall(r'^    (.*)$', section, re.M)))
    return [shlex.split(line) for line in code.splitlines()]


@pytest.mark.slow
@pytest.mark.once
def test_it_is_walked_from_training_to_a_file_for_the_phone(
    run_script, cache, tmp_path, exhaustive
):
    # Of the first run, whose accuracy then is what the README says only with --exhaustive.
    steps, least = (1000, 0.98) if exhaustive else (600, 0.88)
    out = []
    for python, name, *arguments in commands():
        assert python == 'python3'
        moved = [
            word.replace('=1000', f'={steps}')
            .replace('/tmp/tour', str(tmp_path))
            .replace('~/.cache/tf-slim-suite', str(cache))
            for word in arguments
        ]
        out.append(run_script(name, *moved, cwd=processes.ROOT, timeout=1200).stdout)
    assert len(out) == 10
    demo, trained, plotted, evaluated, _, predicted, exported, of_file, timed, _ = out
    accuracy = {}
    for shown in (demo, evaluated):
        assert 'images: 360/360\n' in shown
        accuracy[shown] = float(re.search(r'^Accuracy: (.*)', shown, re.M)[1])
    # `make demo` takes 2,000 steps; the second run 300, with statistics computed anew.
    assert accuracy[demo] >= least and accuracy[evaluated] >= 0.94
    assert 'the best so far' in trained
    assert (tmp_path / 'runs.png').exists() and 'runs.png' in plotted
    assert (tmp_path / 'report' / 'index.html').exists()
    assert 'digits.tflite' in exported
    # The file says what the checkpoint says, of each picture.
    classes = [re.findall(r'^\S+\.jpg.*?(\d)', text, re.M) for text in (predicted, of_file)]
    assert classes[0] == classes[1] and len(classes[0]) > 30
    assert 'forward' in timed
