import pytest

from actors.experts.files import OWN_VARIABLE


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """No test reads or writes the experts and datasets of the person who runs it."""
    monkeypatch.setenv(OWN_VARIABLE, str(tmp_path / "experts"))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "experts"
