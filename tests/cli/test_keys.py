"""edgert keys on the command line."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("cryptography", reason="signatures need the package cryptography")

from edgert.cli.main import cli, run
from edgert.manifest.keys import PrivateKey, PublicKey, Trust


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("EDGERT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EDGERT_KEY_PASSPHRASE", raising=False)


def test_new_show_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", "--comment", "line 3"]) == 0
    private = tmp_path / "config" / "edgert" / "keys" / "default.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    made = PrivateKey.load(private)
    assert made.key_id.hex() in capsys.readouterr().out
    assert run(["keys", "show"]) == 0
    line = capsys.readouterr().out
    assert PublicKey.from_text(line) == made.public
    assert run(["keys", "trust", str(private.with_suffix(".pub"))]) == 0
    assert Trust(tmp_path / "home" / "keys").key_ids == (made.key_id,)
    capsys.readouterr()
    assert run(["keys", "new"]) == 2  # never over a key that is in use
    assert "is there already" in capsys.readouterr().err
    assert PrivateKey.load(private).public == made.public


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", "--key", str(tmp_path / "a.pem"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert run(["keys", "show", "--key", made["public"], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"id": made["id"], "line": made["line"]}
    assert run(["keys", "trust", made["public"], "--home", str(tmp_path / "other"), "--json"]) == 0
    trusted = json.loads(capsys.readouterr().out)
    assert PublicKey.load(Path(trusted["file"])).key_id.hex() == made["id"]


def test_trust_from_standard_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new"]) == 0
    capsys.readouterr()
    assert run(["keys", "show"]) == 0
    line = capsys.readouterr().out
    result = CliRunner().invoke(cli, ["keys", "trust", "-"], input=line)
    assert result.exit_code == 0, result.output
    assert Trust(tmp_path / "home" / "keys").key_ids == (PublicKey.from_text(line).key_id,)


def test_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EDGERT_KEY_PASSPHRASE", "correct horse")
    assert run(["keys", "new", "--passphrase"]) == 0
    monkeypatch.delenv("EDGERT_KEY_PASSPHRASE")
    capsys.readouterr()
    assert run(["keys", "show"]) == 0  # from the public file: nothing is unlocked
    line = capsys.readouterr().out
    path = tmp_path / "config" / "edgert" / "keys" / "default.pem"
    assert PrivateKey.load(path, "correct horse").public == PublicKey.from_text(line)
    path.with_suffix(".pub").unlink()
    assert run(["keys", "show"]) == 2
    assert "EDGERT_KEY_PASSPHRASE" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["show"], ["trust", "nowhere.pub"], ["show", "--key", "nowhere.pem"]])
def test_one_line_of_advice(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", *words]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "cannot be read" in text


def test_private_key_is_not_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new"]) == 0
    assert run(["keys", "trust", str(tmp_path / "config" / "edgert" / "keys" / "default.pem")]) == 2
    assert "must stay where it was made" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
