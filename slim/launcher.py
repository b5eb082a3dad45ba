"""Starts the scripts as child processes: argument lists, no shell, the child's exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def script_command(script: str, values: Mapping[str, Any]) -> list[str]:
    """The argument list that runs a script of this project with flags.

    Args:
      script: file name below the project's root, such as 'train_image_classifier.py'.
      values: flag name to value; a flag whose value is None is left out.
    """
    flags = [f'--{name}={value}' for name, value in values.items() if value is not None]
    return [sys.executable, os.path.join(_ROOT, script), *flags]


def run(command: Sequence[str]) -> int:
    """Runs a command to its end; returns its exit code, 128 + n where signal n killed it.

    SIGINT, SIGTERM and SIGHUP to this process go on to the child, which ends in its own way.
    """
    forwarded = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in forwarded}
    # Ctrl-C reaches the child through the terminal's process group; a second copy would stop it
    # before it has saved. In a session of its own the child gets exactly the copy sent here.
    child = subprocess.Popen(command, start_new_session=True)
    for number in forwarded:
        signal.signal(number, lambda received, _: child.send_signal(received))
    try:
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
