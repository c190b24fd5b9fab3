"""Results that are kept: found again, never trusted blindly, never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgert.cache import Cache, cache_key, open_cache

KEY = cache_key("test", b"package", 3, None)


def entry_files(cache: Cache) -> list[Path]:
    return sorted(path for path in cache.folder.rglob("*") if path.is_file())


def test_what_was_put_is_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "folder")
    assert cache.get(KEY) is None
    arrays = {
        "file": np.arange(5),
        "facts.json": np.ones((2, 3), np.float32),
        "": np.array(2.5),
        "a/b": np.array(["x"]),
    }
    cache.put(KEY, {"drop": 0.5, "list": [1, None, "é"]}, arrays)
    for found in (cache.get(KEY), Cache(tmp_path / "new" / "folder").get(KEY)):
        assert found is not None
        assert found.facts == {"drop": 0.5, "list": [1, None, "é"]}
        assert found.arrays.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array)
    cache.put(KEY, None)
    assert cache.get(KEY) is not None
    assert cache.get(KEY).facts is None  # type: ignore[union-attr]
    assert len(entry_files(cache)) == 1
    assert cache.trouble is None


def test_keys_depend_on_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        cache_key(*parts)
        for parts in (
            (),
            ("a",),
            ("a", "b"),
            ("ab",),
            (b"a",),
            (b"ab",),
            ("1",),
            (1,),
            (1.0,),
            (None,),
            ("None",),
            (b"a", "b"),
        )
    ]
    assert len(set(keys)) == len(keys)
    monkeypatch.setattr("edgert.cache._code_digest", lambda: "code")  # which somebody may be writing at this moment
    code = "import edgert.cache as c; c._code_digest = lambda: 'code'; print(c.cache_key('test', b'package', 3, None))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == cache_key("test", b"package", 3, None)


def test_keys_depend_on_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgert.cache._code_digest", lambda: "other code")
    assert cache_key("test", b"package", 3, None) != KEY


@pytest.mark.parametrize("at", [0.0, 0.1, 0.3, 0.6, 0.9, 0.999])
def test_damaged_entries_are_absent_and_written_anew(tmp_path: Path, at: float) -> None:
    cache = Cache(tmp_path)
    arrays = {"a": np.random.default_rng(0).normal(size=1000)}
    cache.put(KEY, {"x": 1}, arrays)
    (path,) = entry_files(cache)
    good = path.read_bytes()
    place = min(int(at * len(good)), len(good) - 1)
    for bad in (good[:place], good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :]):
        path.write_bytes(bad)
        found = cache.get(KEY)
        # A flipped bit in what no reader looks at (a date) leaves the entry whole.
        assert found is None or (found.facts == {"x": 1} and np.array_equal(found.arrays["a"], arrays["a"]))
    assert Cache(tmp_path).put(KEY, {"x": 2}).facts == {"x": 2}
    assert cache.get(KEY) is not None


def test_no_damage_raises(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put(KEY, {"a": 1}, {"a": np.arange(50.0), "b": np.zeros((3, 4), np.float32)})
    (path,) = entry_files(cache)
    good, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(600):
        bad = bytearray(good)
        for at in rng.integers(0, len(good), 3):
            bad[at] = rng.integers(0, 256)
        path.write_bytes(bad[: rng.integers(0, len(bad))] if rng.random() < 0.3 else bad)
        cache.get(KEY)
    path.write_bytes(good)
    assert cache.get(KEY) is not None


def test_entries_of_another_key_or_kind_are_absent(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put(KEY, {"x": 1})
    other = cache_key("other")
    path = cache._path(other)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cache._path(KEY).read_bytes())
    assert cache.get(other) is None
    np.savez(path, **{"facts.json": np.array([{"key": other, "value": 1}], dtype=object)}, allow_pickle=True)
    assert cache.get(other) is None
    np.savez(path, **{"facts.json": np.frombuffer(b"[1, 2]", np.uint8)})
    assert cache.get(other) is None
    path.unlink()
    path.mkdir()
    assert cache.get(other) is None


def test_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="pickled"):
        Cache(tmp_path).put(KEY, {}, {"a": np.array([object()])})


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=50_000)
    keys = [cache_key(i) for i in range(10)]
    for i, key in enumerate(keys):
        cache.put(key, i, {"a": np.zeros(1000)})  # 8.5 KB each
        os.utime(cache._path(key), ns=(i, i))
        assert cache.get(keys[0]) is not None  # used again and again
        os.utime(cache._path(keys[0]), ns=(100 + i, 100 + i))
    assert sum(path.stat().st_size for path in entry_files(cache)) <= 50_000
    assert cache.get(keys[0]) is not None
    assert cache.get(keys[9]) is not None
    assert cache.get(keys[1]) is None
    assert [path for path in entry_files(cache) if path.suffix == ".partial"] == []


def test_many_writers_at_once(tmp_path: Path) -> None:
    def write(i: int) -> None:
        Cache(tmp_path, limit_bytes=100_000).put(cache_key(i % 7), i % 7, {"a": np.full(1000, i % 7)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(100)))
    for i in range(7):
        found = Cache(tmp_path).get(cache_key(i))
        assert found is not None
        assert found.facts == i
        assert (found.arrays["a"] == i).all()


def test_a_place_that_cannot_be_written_is_told_and_forgiven(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    cache = Cache(tmp_path / "file" / "cache")
    assert cache.put(KEY, {"x": 1}).facts == {"x": 1}
    assert cache.get(KEY) is None
    assert cache.trouble is not None
    assert "cannot be written" in cache.trouble


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGERT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert open_cache("off") is None
    assert open_cache(tmp_path).folder == tmp_path  # type: ignore[union-attr]
    pytest.importorskip("platformdirs")
    chosen = open_cache()
    assert chosen is not None
    assert chosen.folder.is_relative_to(tmp_path / "xdg") or sys.platform != "linux"
    monkeypatch.setenv("EDGERT_CACHE", str(tmp_path / "env"))
    assert open_cache().folder == tmp_path / "env"  # type: ignore[union-attr]
    assert open_cache(tmp_path / "option").folder == tmp_path / "option"  # type: ignore[union-attr]
    monkeypatch.setenv("EDGERT_CACHE", "off")
    assert open_cache() is None
    monkeypatch.delenv("EDGERT_CACHE")
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert open_cache() is None
