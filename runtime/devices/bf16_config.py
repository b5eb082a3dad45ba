"""The JSON file that tells an HPU's library what to compute in bf16, checked before it loads.

Pure Python. Keys and meaning are those of Gaudi's public documentation and sample files:

    {"allowlist": ["Conv2D", ...],               always converted
     "conditional_list": [...],                  if an input or output of theirs is
     "strict_conditional_list": [...],           if all of them are
     "non_convertible_exceptions": [["regular expression of node names", "type or empty"], ...],
     "convertible_exceptions": [...]}            these nodes are, whatever their type

What is listed nowhere stays float32.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

from slim import errors

LISTS = ('allowlist', 'conditional_list', 'strict_conditional_list')
EXCEPTIONS = ('non_convertible_exceptions', 'convertible_exceptions')
# Spelt otherwise in older releases, and in one place of the documentation.
_OLD_SPELLINGS = {
    'allow_list': 'allowlist',
    'whitelist': 'allowlist',
    'graylist': 'conditional_list',
    'input_only_exceptions': 'convertible_exceptions',
}
_OPERATION_TYPE = re.compile(r'_?[A-Za-z][A-Za-z0-9_>]*')


def check(path: str) -> None:
    """UsageError that names the file, the key and the entry that cannot be meant."""
    try:
        content = json.loads(pathlib.Path(path).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UsageError(f'--bf16_config_path={path} cannot be read: {error}') from error
    except json.JSONDecodeError as error:
        raise errors.UsageError(f'--bf16_config_path={path} is no JSON: {error}') from error
    for problem in _problems(content):
        raise errors.UsageError(f'--bf16_config_path={path}: {problem}')


def _problems(content: Any) -> list[str]:
    if not isinstance(content, dict):
        return [f'an object with {", ".join(LISTS)} is wanted, not {content!r:.40}']
    known = (*LISTS, *EXCEPTIONS)
    problems = [
        f'the key {key!r} is now spelt {_OLD_SPELLINGS[key]!r}'
        if key in _OLD_SPELLINGS
        else f'unknown key {key!r}. {errors.did_you_mean(key, known)}'
        for key in content
        if key not in known
    ]
    for key in known:
        entries = content.get(key, [])
        if not isinstance(entries, list):
            problems.append(f'{key} must be a list, not {entries!r:.40}')
            continue
        is_wrong = _wrong_type if key in LISTS else _wrong_exception
        problems += [f'{key}: {reason}' for reason in map(is_wrong, entries) if reason]
    if not content.get('allowlist') and not content.get('convertible_exceptions'):
        problems.append('allowlist is empty: nothing would be converted')
    return problems


def _wrong_type(entry: Any) -> str:
    if isinstance(entry, str) and _OPERATION_TYPE.fullmatch(entry):
        return ''
    return f'{entry!r:.40} is no operation type such as "Conv2D"'


def _wrong_exception(entry: Any) -> str:
    is_pair = isinstance(entry, list) and len(entry) == 2
    if not is_pair or not all(isinstance(part, str) for part in entry):
        return f'{entry!r:.60} must be ["regular expression", "operation type or empty"]'
    try:
        re.compile(entry[0])
    except re.error as error:
        return f'{entry[0]!r} is no regular expression: {error}'
    return _wrong_type(entry[1]) if entry[1] else ''
