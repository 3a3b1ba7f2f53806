"""The folder of the small kit."""

import pytest
import small_kit


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """The small kit's folder, which is the current one."""
    small_kit.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
