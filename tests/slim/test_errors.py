import pytest

from slim import errors


@pytest.mark.once
def test_a_name_that_a_checkpoints_file_has_is_the_files_fault():
    wrong = errors.unknown_name('network', 'resnet', ['lenet'])
    with pytest.raises(errors.UsageError), errors.names_of(''):
        raise wrong
    with (
        pytest.raises(
            errors.CheckpointError, match=r'^model\.json, unless --ignore_sidecar .*lenet'
        ),
        errors.names_of('model.json'),
    ):
        raise wrong
