"""The examples of docs/python.md run as they stand there."""

from __future__ import annotations

import re

from conftest import ROOT


def test_the_examples_run(world, server, tmp_path, monkeypatch, capsys):
    (tmp_path / "demo").mkdir()
    for name in ("feeds", "bundle"):
        (tmp_path / "demo" / name).symlink_to(world.path(name))
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text()
    scores, service = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(scores, {})
    assert "p_watch" in capsys.readouterr().out
    assert "http://127.0.0.1:8088" in service
    exec(service.replace("http://127.0.0.1:8088", server.url), {})
    assert "invalid 0 kind" in capsys.readouterr().out
