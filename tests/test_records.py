"""Records are written by one writer, read by name, and say where they are from."""

import json
import re

import pytest
import torch

from hybridlib import records

RECORDS = sorted(records.RESULTS.glob("*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_published_records_are_as_the_writer_writes_them(path, tmp_path):
    """Whatever wrote one, only what was found differs between two versions of a file."""
    records.write(json.loads(path.read_text()), tmp_path / "again.json")
    assert path.read_text() == (tmp_path / "again.json").read_text()


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_record_says_how_to_get_it(path):
    record = records.published(path.stem)
    command = "python -m hybridlib.recipes NAME|python benchmarks/NAME.py( --[a-z-]+ [0-9]+)+"
    assert record["name"] == path.stem and re.fullmatch(command.replace("NAME", path.stem), record["command"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", record["date"]) and record["versions"]["torch"]
    assert "core" in record["hardware"] or "GPU" in record["hardware"] or "NVIDIA" in record["hardware"]


def test_only_records_are_published(tmp_path, monkeypatch):
    """A name is a name: it is not glued to a folder, from which dots and strokes would lead anywhere."""
    (tmp_path / "results").mkdir()
    (tmp_path / "x.json").write_text("{}")
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    for name in ("../x", str(tmp_path / "x"), "", "x"):
        with pytest.raises(ValueError, match="there is no record"):
            records.published(name)


ANYTHING = [
    {}, [], "text", None, 1.5, {"a": {}, "b": []}, [[], {}], {"long": "x" * 500}, {"numbers": list(range(500))},
    {"curve": [{"epoch": epoch, "loss": epoch / 7, "sizes": [1, 2]} for epoch in range(40)], "é": "«中»"},
    [[{"deep": [{"deeper": list(range(60))}] * 3}] * 2],
]  # fmt: skip


@pytest.mark.parametrize("value", ANYTHING)
def test_compact_json_is_json(value):
    text = records.as_json(value)
    assert json.loads(text) == value and json.dumps(json.loads(text)) == json.dumps(value)


def test_what_belongs_together_stands_on_a_line():
    lines = records.as_json(ANYTHING[-2]).splitlines()
    assert (
        lines[1] == ' "curve": [' and lines[2] == '  {"epoch": 0, "loss": 0.0, "sizes": [1, 2]},' and len(lines) == 45
    )
    assert len(records.as_json(ANYTHING[-3]).splitlines()) == 3, "plain values are never broken"


def test_names_that_are_numbers_and_tuples_are_written_too(tmp_path):
    records.write({"hidden": (8, 8), "by": {1: 0.5}}, tmp_path / "new" / "record.json")
    assert json.loads((tmp_path / "new" / "record.json").read_text()) == {"hidden": [8, 8], "by": {"1": 0.5}}


def test_the_score_is_a_mean_with_its_standard_error():
    log_prob = -torch.rand(400, generator=torch.Generator().manual_seed(0))
    found = records.score(log_prob, D=2)
    assert found["nll"] == pytest.approx(-log_prob.mean().item(), abs=1e-4)
    assert found["se"] == pytest.approx(log_prob.std().item() / 20, abs=1e-4)
    assert found["bits_per_dim"] == pytest.approx(found["nll"] / 2 / 0.693147, abs=1e-4)
    assert records.share(1, 4) == {"share": 0.25, "se": 0.2165} and records.share(0, 0) == {"share": 0, "se": 0}
