"""The report's page in a real browser that has no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from packages import digits
from report.browser import Browser, chromium
from report.twin_models import CHANNELS, chain

from edgert.quickstart import sample_folder
from edgert.report.quantisation import Report, quantisation_report, render
from edgert.report.quantisation.facts import Accuracy

SECTIONS = ("summary", "graph", "error", "layers", "histograms", "cost", "memory", "choices")
ACCURACIES = (
    Accuracy("top1", "%", "float", 97.5, 95.0, 98.8, 540),
    Accuracy("top1", "%", "quantised", 97.25, 94.7, 98.6, 540),
    Accuracy("top1", "%", "drop", 0.25, -0.3, 0.8, 540),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def report() -> Report:
    with np.load(sample_folder() / "calibration.npz") as archive:
        samples = [{"image": image[None]} for image in archive["image"][:12]]
    return quantisation_report(
        digits(quantize=False), digits(quantize=True), lambda: samples,
        files=("digits.onnx", "digits.ert"), accuracies=ACCURACIES, notes=("a note",), seconds=0.01,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(report), encoding="utf-8")
    return path


def test_everything_is_there_and_nothing_is_asked_for(browser: Browser, report: Report, page: Path) -> None:
    browser.open(page)
    assert browser.run("return document.documentElement.dataset.drawn") == "true"
    for section in SECTIONS:
        (found,) = browser.find(f"#{section}")
        assert found.is_displayed(), section
    nodes = browser.find(".node[data-layer]")
    assert len(nodes) == len(report.layers)
    assert len(browser.find(".edge")) >= len(report.layers)
    drawn = [layer for layer in report.layers if layer.distribution is not None]
    assert len(drawn) > 5
    assert len(browser.find("#histogram-grid .histogram svg .hist-after")) == len(drawn)
    assert len(browser.find("#histogram-grid .hist-range")) == sum(layer.range_low is not None for layer in drawn)
    assert len(browser.find("#layer-table tbody tr")) == len(report.layers)
    assert len(browser.find("#accuracy tbody tr")) == len(ACCURACIES)
    assert "94.7 to 98.6" in browser.find("#accuracy")[0].text
    for chart in ("sqnr-chart", "size-chart", "time-chart", "arena-chart"):
        assert browser.find(f"#{chart} svg"), chart
    assert len(browser.find("#arena-chart .block")) == len(report.arena.blocks)
    assert "a note" in browser.find("#choices")[0].text
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


def test_a_click_on_a_node_shows_its_layer(browser: Browser, report: Report, page: Path) -> None:
    browser.open(page)
    for layer in (report.layers[2], report.layers[4]):
        (node,) = browser.find(f'.node[data-layer="{layer.index}"]')
        browser.click(node)
        (detail,) = browser.find("#detail")
        assert layer.name in detail.text
        assert layer.operator in detail.text
        assert f"{layer.sqnr_db:.1f} dB" in detail.text
        assert detail.find_elements("css selector", ".hist-before")
        assert "selected" in node.get_attribute("class")
    browser.run("arguments[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))",
                browser.find(f'.node[data-layer="{report.layers[1].index}"]')[0])  # fmt: skip
    assert report.layers[1].name in browser.find("#detail h3")[0].text
    (link,) = browser.find(f'#layer-table td a[data-select="{report.layers[3].index}"]')
    browser.click(link)
    assert report.layers[3].name in browser.find("#detail h3")[0].text
    assert browser.complaints() == []


def test_the_table_is_sorted_by_its_headings(browser: Browser, report: Report, page: Path) -> None:
    browser.open(page)
    heading = next(th for th in browser.find("#layer-table th") if th.text == "SQNR")
    column = "return [...document.querySelectorAll('#layer-table tbody tr')].map(r => r.cells[5].dataset.value ?? '')"
    for rising in (True, False):
        browser.click(heading)
        found = [float(text) for text in browser.run(column) if text]
        assert found == sorted(found, reverse=not rising)
        assert len(found) == sum(layer.sqnr_db is not None or layer.exact for layer in report.layers)


def test_it_fits_a_phone_and_the_dark(browser: Browser, report: Report, page: Path) -> None:
    browser.open(page)
    light = browser.run("return getComputedStyle(document.body).backgroundColor")
    browser.open(page, width=390, height=844, dark=True)
    assert browser.run("return getComputedStyle(document.body).backgroundColor") != light
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    (node,) = browser.find('.node[data-layer="2"]')
    browser.click(node)
    (detail,) = browser.find("#detail")
    assert detail.is_displayed()
    assert browser.run("return arguments[0].getBoundingClientRect().bottom", detail) <= 844
    browser.find("#detail .close")[0].click()  # it stays at the window's lower edge
    assert not detail.is_displayed()
    assert browser.complaints() == []


def test_zoom_and_scale(browser: Browser, page: Path) -> None:
    browser.open(page)
    width = "return document.querySelector('#graph-view svg').getBoundingClientRect().width"
    before = browser.run(width)
    browser.click(browser.find("#zoom-in")[0])
    assert browser.run(width) == pytest.approx(before * 1.3, rel=0.01)
    browser.click(browser.find("#zoom-fit")[0])
    assert browser.run("const v = document.getElementById('graph-view'); return v.scrollHeight - v.clientHeight") <= 2
    outline = "return document.querySelector('#histogram-grid .hist-before').getAttribute('d')"
    logarithmic = browser.run(outline)
    browser.click(browser.find("#log-scale")[0])
    assert browser.run(outline) != logarithmic


NASTY = (
    "</script><script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 2">',
    "{{ 7 * 7 }} ' & \u2028 <!-- <script>",
    "javascript:window.pwned = 3",
)


def test_names_of_a_stranger_stay_text(browser: Browser, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = [{"input1": rng.normal(size=(1, 4, 4, CHANNELS)).astype(np.float32)} for _ in range(2)]
    report = quantisation_report(
        chain(4, names=NASTY), chain(4, {1: 0.05}, names=NASTY, rescaled=NASTY), lambda: samples,
        files=NASTY[:2], data=NASTY[1], notes=NASTY, accuracies=(Accuracy(NASTY[0], NASTY[1], NASTY[2], 1, 0, 2, 3),),
        seconds=0,
    )  # fmt: skip
    path = tmp_path / "nasty.html"
    path.write_text(render(report), encoding="utf-8")
    browser.open(path)
    assert browser.run("return document.documentElement.dataset.drawn") == "true"
    for layer, name in zip(report.layers, NASTY, strict=True):
        browser.run(
            "document.querySelector(`.node[data-layer='${arguments[0]}']`)"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))",
            layer.index,
        )
        assert browser.run("return document.querySelector('#detail h3').textContent") == name
    assert browser.run("return [typeof window.pwned, document.querySelectorAll('img').length]") == ["undefined", 0]
    assert browser.run("return document.querySelectorAll('script').length") == 3
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]


def test_the_page_itself_may_ask_for_nothing(browser: Browser, page: Path) -> None:
    browser.open(page)
    refused = browser.driver.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:1/').then(() => done('sent'), error => done(String(error)))"
    )
    assert "TypeError" in refused
    assert any("Content Security Policy" in text for text in browser.complaints())
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 4'; document.body.append(s)"
    )
    assert browser.run("return typeof window.pwned") == "undefined"
