"""The power goes after any step that the store does on the disk: what lies on the disk then, mounted again, is the old
generation or the new one, whole, and takes the next push."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store.ext4_image import (
    data_blocks,
    journal_blocks,
    make_image,
    mounted,
    need_loop_mounts,
    torn_data,
    torn_journal,
)
from store.store_pushes import NAME, check_whole, package_bytes, push

from edgert.store import disk
from edgert.store.home import Home
from edgert.store.slot import Slot
from edgert.store.trial import count_load

SEED = 20
STEPS_IN_CI = 12  # of each story, of some hundred
EXHAUSTIVE = os.environ.get("EDGERT_EXHAUSTIVE") == "1"
# All that edgert.store.disk does to the disk.
FUNCTIONS = ["append", "rename", "remove", "make_folder", "remove_folder", "sync_folder", "create_file"]
METHODS = ["write", "reserve", "set_mode", "sync"]

PACKAGES = {generation: package_bytes(generation) for generation in (1, 2, 3, 10)}


class Cuts:
    """Takes the image after every step, or of some, and looks at each in its turn."""

    def __init__(self, folder: Path, look: Callable[[Path, int, str], None], most: int | None) -> None:
        self.image, self.root = folder / "disk", folder / "root"
        self.cut, self.cut_root = folder / "cut", folder / "cut-root"
        self._look, self._most = look, most
        self.steps: list[str] = []
        self.chosen: set[int] | None = None if most is None else set()
        self._before = b""
        self._rng = random.Random(SEED)
        self._busy = False

    def choose(self, steps: int) -> None:
        if self._most is not None:
            self.chosen = set(random.Random(SEED).sample(range(steps), min(self._most, steps)))

    def after(self, step: str) -> None:
        if self._busy:
            return  # a step of the check itself
        self._busy = True
        try:
            number = len(self.steps)
            self.steps.append(step)
            if self.chosen is None or {number, number + 1} & self.chosen:
                now = self.image.read_bytes()
                if self.chosen is None or number in self.chosen:
                    self._take(now, number, step)
                self._before = now
        finally:
            self._busy = False

    def _take(self, now: bytes, number: int, step: str) -> None:
        images = {"": now}
        if self._before and self._before != now:
            data = data_blocks(self.root)
            images[", data torn"] = torn_data(self._before, now, data, self._rng)
            images[", journal torn"] = torn_journal(self._before, now, data, journal_blocks(self.image), self._rng)
        for how, image in images.items():
            self.cut.write_bytes(image)
            with mounted(self.cut, self.cut_root) as root:
                self._look(root / "home", number, f"after step {number}, {step}{how}, seed {SEED}")


def watch(cuts: Cuts, monkeypatch: pytest.MonkeyPatch) -> None:
    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **keywords: Any) -> Any:
            result = real(*arguments, **keywords)
            first = arguments[0]
            path = first.path if isinstance(first, disk.File) else first
            cuts.after(f"{name} {path}")
            return result

        return step

    for name in FUNCTIONS:
        monkeypatch.setattr(disk, name, watched(name, getattr(disk, name)))
    for name in METHODS:
        monkeypatch.setattr(disk.File, name, watched(name, getattr(disk.File, name)))


class Story:
    """What happens to a home, and which generations may be current meanwhile. `acknowledged` is what a caller was told:
    from then on no cut may take it back."""

    allowed: tuple[int | None, ...]

    def __init__(self) -> None:
        self.acknowledged: set[tuple[int, bool]] = set()  # (current, pending), any of them

    def before(self, home: Home) -> None:
        """Before the cuts begin."""

    def happens(self, home: Home) -> None:
        raise NotImplementedError


class FirstPush(Story):
    """To a disk that has no home yet."""

    allowed = (None, 1)

    def happens(self, home: Home) -> None:
        home.open()
        push(home, PACKAGES[1], 1)
        self.acknowledged = {(1, True)}


class NextPush(Story):
    """The third generation, which makes the first one superfluous."""

    allowed = (2, 3)

    def before(self, home: Home) -> None:
        home.open()
        push(home, PACKAGES[1], 1, confirm=True)
        push(home, PACKAGES[2], 2, confirm=True)

    def happens(self, home: Home) -> None:
        slot = push(home, PACKAGES[3], 3)
        self.acknowledged = {(3, True), (3, False)}
        slot.confirm()
        self.acknowledged = {(3, False)}


class TrialThatFails(Story):
    """Two loads end badly, the third goes back."""

    allowed = (1, 2)

    def before(self, home: Home) -> None:
        home.open()
        push(home, PACKAGES[1], 1, confirm=True)
        push(home, PACKAGES[2], 2, trials=2)

    def happens(self, home: Home) -> None:
        slot = Slot(home, NAME)
        for load in range(2):
            opened = count_load(slot)
            assert opened.trial is not None
            assert slot.state().loads == load + 1
            opened.trial.end()
        with pytest.warns(RuntimeWarning, match="ended badly 2 times"):
            assert count_load(slot).generation == 1
        self.acknowledged = {(1, False)}
        slot.settle()


class Rollback(Story):
    allowed = (1, 2)

    def before(self, home: Home) -> None:
        home.open()
        push(home, PACKAGES[1], 1, confirm=True)
        push(home, PACKAGES[2], 2, confirm=True)

    def happens(self, home: Home) -> None:
        Slot(home, NAME).rollback(2)
        self.acknowledged = {(1, False)}


@pytest.mark.parametrize("story_type", [FirstPush, NextPush, TrialThatFails, Rollback])
def test_the_old_generation_or_the_new_one_is_there(
    story_type: type[Story], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_loop_mounts()
    story = story_type()
    currents: set[int | None] = set()

    def look(path: Path, _number: int, step: str) -> None:
        try:
            home = Home(path)
            state = check_whole(home, PACKAGES)
            assert state.current in story.allowed
            if story.acknowledged:
                assert (state.current, state.pending) in story.acknowledged
            currents.add(state.current)
            home.open()
            if NAME in home.models():
                Slot(home, NAME).settle()
            newest = max(filter(None, story.allowed))
            if state.highest < newest:  # what was cut goes on
                push(home, PACKAGES[newest], newest)
                assert check_whole(home, PACKAGES).current == newest
                assert os.listdir(home.staging) == []
            push(home, PACKAGES[10], 10)
            state = check_whole(home, PACKAGES)
            assert (state.current, state.pending) == (10, True)
            assert os.listdir(home.staging) == []
            assert len(os.listdir(home.objects)) == (1 if state.previous is None else 2)
        except BaseException as error:
            raise AssertionError(f"{step}: {error}") from error

    if not EXHAUSTIVE:  # how many steps there are
        counting = Cuts(tmp_path, look, most=0)
        home = Home(tmp_path / "count")
        story_type().before(home)
        with monkeypatch.context() as patch:
            watch(counting, patch)
            story_type().happens(home)
    cuts = Cuts(tmp_path, look, None if EXHAUSTIVE else STEPS_IN_CI)
    if not EXHAUSTIVE:
        cuts.choose(len(counting.steps))
    make_image(cuts.image)
    with mounted(cuts.image, cuts.root) as root:
        home = Home(root / "home")
        story.before(home)
        os.sync()
        with monkeypatch.context() as patch:
            watch(cuts, patch)
            story.happens(home)
    if EXHAUSTIVE:
        assert currents == set(story.allowed)
        print(f"{story_type.__name__}: {len(cuts.steps)} steps, each cut three ways")


def test_every_step_is_watched() -> None:
    """What disk.py does to the disk, by the system's names for it, stands in functions that the cuts watch."""
    import ast
    import inspect

    changes = {"pwrite", "write", "rename", "mkdir", "rmdir", "unlink", "fsync", "posix_fallocate", "fchmod", "chmod"}
    tree = ast.parse(inspect.getsource(disk))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            called = {
                node.func.attr
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            }
            if called & changes:
                assert function.name in {*FUNCTIONS, *METHODS}
