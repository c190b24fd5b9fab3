"""Keys: against OpenSSH and OpenSSL, damaged files, and keys that nobody should trust."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="signatures need the package cryptography")

from edgert.manifest.keys import (
    KeyFileError,
    PrivateKey,
    PublicKey,
    SignatureError,
    Trust,
    UnknownKeyError,
    _small_order,
    default_key_path,
    new_key,
    trust,
)

# RFC 8032, 7.1, test 2
RFC_SECRET = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
RFC_PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
RFC_SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_rfc_8032() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(RFC_SECRET)))
    assert key.public.raw.hex() == RFC_PUBLIC
    assert key.sign(b"\x72").hex() == RFC_SIGNATURE
    key.public.verify(b"\x72", bytes.fromhex(RFC_SIGNATURE))


def test_signatures() -> None:
    key, other = new_key(), new_key()
    data = os.urandom(1000)
    signature = key.sign(data)
    assert len(signature) == 64
    assert len(key.key_id) == 8
    key.public.verify(data, signature)
    for bit in range(0, 512, 7):
        damaged = bytearray(signature)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureError):
            key.public.verify(data, bytes(damaged))
    for wrong in (b"", signature[:63], signature + b"\0"):
        with pytest.raises(SignatureError):
            key.public.verify(data, wrong)
    with pytest.raises(SignatureError):
        other.public.verify(data, signature)
    with pytest.raises(SignatureError):
        key.public.verify(data + b"\0", signature)


def test_signature_is_not_malleable() -> None:
    """S + L verifies where S is not bounded (RFC 8032, 5.1.7): one manifest would have several signatures."""
    key = new_key()
    signature = key.sign(b"data")
    order = 2**252 + 27742317777372353535851937790883648493
    larger = int.from_bytes(signature[32:], "little") + order
    with pytest.raises(SignatureError):
        key.public.verify(b"data", signature[:32] + larger.to_bytes(32, "little"))


def test_private_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGERT_KEY_PASSPHRASE", raising=False)
    key = new_key("ada@line 3")
    path = tmp_path / "deep" / "key.pem"
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert PrivateKey.load(path).public == key.public
    with pytest.raises(KeyFileError, match="is there already"):
        key.save(path)
    monkeypatch.setenv("EDGERT_KEY_PASSPHRASE", "not needed")
    assert PrivateKey.load(path).public == key.public


def test_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGERT_KEY_PASSPHRASE", raising=False)
    key, path = new_key(), tmp_path / "key.pem"
    key.save(path, "correct horse")
    assert b"ENCRYPTED" in path.read_bytes()
    with pytest.raises(KeyFileError, match="EDGERT_KEY_PASSPHRASE"):
        PrivateKey.load(path)
    with pytest.raises(KeyFileError, match="passphrase is wrong"):
        PrivateKey.load(path, "battery")
    assert PrivateKey.load(path, "correct horse").public == key.public
    monkeypatch.setenv("EDGERT_KEY_PASSPHRASE", "correct horse")
    assert PrivateKey.load(path).public == key.public


def test_other_files(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    path = tmp_path / "key.pem"
    with pytest.raises(KeyFileError, match="edgert keys new"):
        PrivateKey.load(path)
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(KeyFileError, match="another kind of key"):
        PrivateKey.load(path)
    for content in (b"", b"hello", os.urandom(500), b"-----BEGIN PRIVATE KEY-----\n", bytes(1 << 17)):
        path.write_bytes(content)
        with pytest.raises(KeyFileError):
            PrivateKey.load(path)
        with pytest.raises(KeyFileError):
            PublicKey.load(path)
    with pytest.raises(KeyFileError):
        PrivateKey.load(tmp_path)


def test_public_lines() -> None:
    key = new_key("ada@line 3")
    line = key.public.line()
    assert line.startswith("edgert-ed25519 ")
    assert line.endswith(" ada@line 3")
    assert "\n" not in line
    for text in (line, f"\n# of line 3\n{line}\n\n", f"  {line}\r\n"):
        again = PublicKey.from_text(text)
        assert again == key.public
        assert again.comment == "ada@line 3"
    for wrong in (
        "",
        f"{line}\n{line}",
        line.replace("edgert", "edgerd"),
        line[:30],
        "edgert-ed25519",
        "edgert-ed25519 !",
    ):
        with pytest.raises(KeyFileError):
            PublicKey.from_text(wrong)
    assert new_key("a\nb\x1b[31m").public.line().count("\n") == 0


def test_keys_that_anybody_signs_for() -> None:
    import base64

    for raw in _small_order():
        with pytest.raises(KeyFileError, match="anybody"):
            PublicKey.from_text(f"edgert-ed25519 {base64.b64encode(raw).decode()}")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen (openssh-client)")
def test_reads_what_openssh_writes(tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada@line 3", "-f", tmp_path / "id"],
        check=True,
        timeout=60,
    )
    key = PublicKey.load(tmp_path / "id.pub")
    assert len(key.raw) == 32
    assert key.comment == "ada@line 3"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "other"], check=True, timeout=60)
    with pytest.raises(KeyFileError, match="needed edgert-ed25519"):
        PublicKey.load(tmp_path / "other.pub")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl(tmp_path: Path) -> None:
    """Its keys sign here, and its tool verifies what is signed here."""
    pem, public = tmp_path / "key.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", pem], check=True, timeout=60)
    subprocess.run(["openssl", "pkey", "-in", pem, "-pubout", "-out", public], check=True, timeout=60)
    key = PrivateKey.load(pem)
    assert PublicKey.load(public) == key.public
    with pytest.raises(KeyFileError, match="must stay where it was made"):
        PublicKey.load(pem)


def test_trust(tmp_path: Path) -> None:
    key, other = new_key("ada"), new_key()
    assert Trust(tmp_path / "keys").key_ids == ()
    place = trust(key.public, tmp_path / "keys")
    assert trust(key.public, tmp_path / "keys") == place
    assert [path.name for path in (tmp_path / "keys").iterdir()] == [place.name]
    found = Trust(tmp_path / "keys")
    assert found.key_ids == (key.key_id,)
    assert not found.problems
    data = b"manifest"
    assert found.check(key.key_id, data, key.sign(data)).comment == "ada"
    with pytest.raises(UnknownKeyError, match="edgert keys trust"):
        found.check(other.key_id, data, other.sign(data))
    with pytest.raises(SignatureError):
        found.check(key.key_id, data, other.sign(data))  # another key under a trusted one's id


def test_trust_skips_what_it_cannot_use(tmp_path: Path) -> None:
    key = new_key()
    good = trust(key.public, tmp_path)
    (tmp_path / "bad.pub").write_text("hello")
    (tmp_path / "folder.pub").mkdir()
    (tmp_path / "gone.pub").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.pub")  # reading it would wait for ever
    (tmp_path / "large.pub").write_bytes(bytes(1 << 20))
    open_to_all = tmp_path / "open.pub"
    open_to_all.write_text(new_key().public.line())
    open_to_all.chmod(0o666)
    (tmp_path / "README").write_text("no key")
    found = Trust(tmp_path)
    assert found.key_ids == (key.key_id,)
    assert len(found.problems) == 6
    assert any("open.pub" in line and "chmod o-w" in line for line in found.problems)
    assert good.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_everybody_may_write(tmp_path: Path) -> None:
    key = new_key()
    trust(key.public, tmp_path / "keys")
    (tmp_path / "keys").chmod(0o777)
    found = Trust(tmp_path / "keys")
    assert not found.key_ids
    assert "chmod o-w" in found.problems[0]


def test_default_key_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_key_path() == tmp_path / "edgert" / "keys" / "default.pem"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_key_path() == tmp_path / ".config" / "edgert" / "keys" / "default.pem"
