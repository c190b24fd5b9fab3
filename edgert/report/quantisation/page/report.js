// Draws the graph and the charts of a report from the JSON that the page carries. Names come from a stranger's model:
// they are set as text and as attributes, never parsed as markup.
"use strict";
(() => {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const placement = JSON.parse(document.getElementById("placement-data").textContent);
  const layers = report.layers;
  const place = new Map(layers.map((layer, i) => [layer.index, i]));
  const steps = [10, 20, 30, 40, 50];
  const byId = (id) => document.getElementById(id);

  // --- elements and texts ---

  function make(space, tag, attributes, children) {
    const node = space ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    for (const child of children) node.append(child); // a string becomes text
    return node;
  }
  const html = (tag, attributes, ...children) => make(false, tag, attributes, children);
  const svg = (tag, attributes, ...children) => make(true, tag, attributes, children);

  const number = (x, digits = 4) => (x === null || x === undefined ? "" : String(Number(x.toPrecision(digits))));
  const count = (x) => x.toLocaleString("en");
  function size(bytes) {
    if (bytes === null) return "";
    if (bytes < 1024) return `${Math.round(bytes)} B`;
    return bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(2)} MiB`;
  }
  const time = (us) => (us === null ? "" : us < 1000 ? `${number(us, 3)} us` : `${number(us / 1000, 3)} ms`);
  const decibels = (db, exact) => (exact ? "equal" : db === null ? "" : `${db.toFixed(1)} dB`);
  const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const percent = (share) => (share === null ? "" : `${number(100 * share, 2)} %`);

  function level(layer) {
    if (!layer.compared) return "none";
    if (layer.sqnr_db === null) return layer.exact ? "level5" : "level0";
    return `level${steps.filter((step) => layer.sqnr_db >= step).length}`;
  }
  const ownExact = (layer) => layer.compared && layer.own_sqnr_db === null;
  const notInt8 = new Set(report.not_int8);

  // --- choosing a layer ---

  let chosen = null;
  function select(index, scroll) {
    chosen = index;
    for (const old of document.querySelectorAll(".selected")) old.classList.remove("selected");
    for (const old of document.querySelectorAll(".edge.lit")) old.classList.remove("lit");
    const layer = layers[place.get(index)];
    const node = document.querySelector(`.node[data-layer="${index}"]`);
    if (node) {
      node.classList.add("selected");
      if (scroll) centre(node);
    }
    document.querySelector(`#layer-table tr[data-select="${index}"]`)?.classList.add("selected");
    for (const edge of document.querySelectorAll(`.edge[data-from="${index}"], .edge[data-to="${index}"]`)) {
      edge.classList.add("lit");
    }
    showDetail(layer);
  }

  function showDetail(layer) {
    const detail = byId("detail");
    const facts = [
      ["operator", `${layer.operator} (${layer.index})`],
      ["source node", layer.node],
      ["result", `${layer.dtype} [${layer.shape.join(", ")}]`],
      ["computes in", layer.computes],
      ["weights", layer.weights],
      ["SQNR", decibels(layer.sqnr_db, layer.exact)],
      ["own SQNR", decibels(layer.own_sqnr_db, ownExact(layer))],
      ["cosine", number(layer.cosine, 6)],
      ["largest difference", number(layer.max_abs_diff)],
      ["range", layer.range_low === null ? "" : `${number(layer.range_low)} to ${number(layer.range_high)}`],
      ["seen", layer.seen_low === null ? "" : `${number(layer.seen_low)} to ${number(layer.seen_high)}`],
      ["clipped", percent(layer.clipped)],
      ["scale", number(layer.scale, 6)],
      ["zero point", layer.zero_point === null ? "" : String(layer.zero_point)],
      ["channels", layer.rescaled ? "rescaled by the quantiser" : ""],
      ["size", layer.stored_bytes ? `${size(layer.stored_bytes)} (float: ${size(layer.float_bytes)})` : ""],
      ["time", layer.us ? time(layer.us) + (layer.float_us === null ? "" : ` (float: ${time(layer.float_us)})`) : ""],
      ["multiply-adds", layer.macs ? count(layer.macs) : ""],
      ["memory of the result", size(layer.output_bytes)],
      ["kernel", layer.kernel],
    ];
    const list = html("dl");
    for (const [name, text] of facts) if (text) list.append(html("dt", null, name), html("dd", null, text));
    const close = html("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
    close.addEventListener("click", () => detail.classList.remove("chosen"));
    detail.replaceChildren(close, html("h3", null, layer.name), list);
    if (layer.distribution) detail.append(histogram(layer, 300, 150));
    detail.dataset.layer = layer.index;
    detail.classList.add("chosen");
    detail.scrollTop = 0;
  }

  // Anything with data-select chooses its layer.
  document.addEventListener("click", (event) => {
    const source = event.target.closest("[data-select]");
    if (source) select(Number(source.dataset.select), true);
  });

  // --- the graph ---

  const view = byId("graph-view");
  let zoom = 1;
  let drawing = null;

  function drawGraph() {
    const [width, height] = placement.node;
    const margin = 14;
    const full = [placement.width + 2 * margin, placement.height + 2 * margin];
    drawing = svg("svg", { viewBox: `${-margin} ${-margin} ${full[0]} ${full[1]}`, role: "group" });
    drawing.append(
      svg("defs", null,
        svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
          svg("path", { d: "M0 0L8 4L0 8z", class: "arrow" }))));
    const name = (node) => (node === 0 ? -1 : layers[node - 1].index);
    for (const [from, to, points] of placement.routes) {
      const path = points.map((point) => [...point]);
      path[0][1] += height / 2;
      path[path.length - 1][1] -= height / 2;
      let d = `M${path[0]}`;
      for (let i = 1; i < path.length; i++) {
        const [x0, y0] = path[i - 1], [x1, y1] = path[i], middle = (y0 + y1) / 2;
        d += `C${x0} ${middle} ${x1} ${middle} ${x1} ${y1}`;
      }
      drawing.append(svg("path", { class: "edge", d, "marker-end": "url(#arrow)", "data-from": name(from), "data-to": name(to) }));
    }
    placement.centres.forEach(([x, y], node) => {
      const corner = { x: x - width / 2, y: y - height / 2, width, height, rx: 8 };
      if (node === 0) {
        const group = svg("g", { class: "node none input" }, svg("rect", corner));
        group.append(svg("text", { x, y: y + 4, "text-anchor": "middle", class: "title" }, "input"));
        drawing.append(group);
        return;
      }
      const layer = layers[node - 1];
      const type = layer.weights && layer.weights !== layer.computes ? `${layer.computes}/${layer.weights}` : layer.computes;
      const group = svg("g", {
        class: `node ${level(layer)}${notInt8.has(layer.index) ? " other" : ""}`, "data-layer": layer.index,
        tabindex: 0, role: "button", "aria-label": `${layer.operator} ${layer.name}`,
      }, svg("title", null, layer.name), svg("rect", corner));
      const db = decibels(layer.sqnr_db, layer.exact);
      const shape = (layer.dtype === layer.computes ? "" : `${layer.dtype} `) + layer.shape.join("×");
      group.append(
        svg("text", { x: x - width / 2 + 10, y: y - 5, class: "title" }, clip(layer.operator, 29 - type.length)),
        svg("text", { x: x + width / 2 - 10, y: y - 5, "text-anchor": "end" }, clip(type, 16)),
        svg("text", { x: x - width / 2 + 10, y: y + 14 }, clip(shape, 18)),
        svg("text", { x: x + width / 2 - 10, y: y + 14, "text-anchor": "end" }, db));
      group.addEventListener("click", () => {
        if (!dragged) select(layer.index, false);
      });
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          select(layer.index, false);
        }
      });
      drawing.append(group);
    });
    view.replaceChildren(drawing);
    setZoom(Math.min(1, Math.max(0.6, (view.clientWidth - 4) / full[0])) || 1); // small, but not too small to read
    view.scrollLeft = (view.scrollWidth - view.clientWidth) / 2;
  }

  function setZoom(wanted, x = view.clientWidth / 2, y = view.clientHeight / 2) {
    const before = zoom;
    zoom = Math.min(3, Math.max(0.05, wanted));
    const box = drawing.viewBox.baseVal;
    drawing.setAttribute("width", box.width * zoom);
    drawing.setAttribute("height", box.height * zoom);
    view.scrollLeft = (view.scrollLeft + x) * (zoom / before) - x;
    view.scrollTop = (view.scrollTop + y) * (zoom / before) - y;
  }

  function centre(node) {
    const own = node.getBoundingClientRect(), box = view.getBoundingClientRect();
    view.scrollLeft += own.left + own.width / 2 - box.left - box.width / 2;
    view.scrollTop += own.top + own.height / 2 - box.top - box.height / 2;
  }

  byId("zoom-in").addEventListener("click", () => setZoom(zoom * 1.3));
  byId("zoom-out").addEventListener("click", () => setZoom(zoom / 1.3));
  byId("zoom-fit").addEventListener("click", () => {
    const box = drawing.viewBox.baseVal;
    setZoom(Math.min(1, view.clientWidth / box.width, view.clientHeight / box.height));
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls
    event.preventDefault();
    const box = view.getBoundingClientRect();
    setZoom(zoom * Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  let grip = null;
  let dragged = false;
  view.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) grip = [event.clientX, event.clientY, view.scrollLeft, view.scrollTop];
    dragged = false;
  });
  addEventListener("pointermove", (event) => {
    if (!grip) return;
    const [x, y, left, top] = grip;
    if (Math.abs(event.clientX - x) + Math.abs(event.clientY - y) > 4) dragged = true;
    view.classList.toggle("dragged", dragged);
    view.scrollLeft = left - (event.clientX - x);
    view.scrollTop = top - (event.clientY - y);
  });
  addEventListener("pointerup", () => {
    grip = null;
    view.classList.remove("dragged");
  });

  // --- charts along the order of execution ---

  const MOST_DECIBELS = 80;
  const PAD = { left: 62, right: 12, top: 10, bottom: 26 };

  // Round numbers from low to high, apart by 1, 2 or 5 times a power of ten, or by a power of two for bytes.
  function ticks(low, high, wanted, bytes) {
    const rough = (high - low) / wanted || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = bytes ? 2 ** Math.ceil(Math.log2(rough)) : [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let t = Math.ceil(low / step) * step; t <= high + step / 1e6; t += step) found.push(Number(t.toPrecision(12)));
    return found;
  }

  // An empty chart with a column for each of `columns` operators: {svg, x(i): left edge of a column, column, y(value)}.
  function frame(host, columns, low, high, height, text) {
    const least = Math.max(host.clientWidth || 800, 320);
    const width = Math.max(least, PAD.left + PAD.right + columns * 7);
    const column = (width - PAD.left - PAD.right) / Math.max(columns, 1);
    const x = (i) => PAD.left + i * column;
    const y = (value) => PAD.top + (height - PAD.top - PAD.bottom) * (1 - (value - low) / (high - low || 1));
    const chart = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    for (const tick of ticks(low, high, 5, text === size)) {
      chart.append(
        svg("line", { class: "axis", x1: PAD.left, x2: width - PAD.right, y1: y(tick), y2: y(tick) }),
        svg("text", { x: PAD.left - 6, y: y(tick) + 4, "text-anchor": "end" }, text(tick)));
    }
    const every = Math.max(1, Math.ceil(34 / column));
    for (let i = 0; i < columns; i += every) {
      chart.append(svg("text", { x: x(i) + column / 2, y: height - 9, "text-anchor": "middle" }, String(i)));
    }
    host.replaceChildren(chart);
    return { chart, x, y, column, bottom: y(low) };
  }

  function sqnrChart() {
    const host = byId("sqnr-chart");
    const compared = layers.filter((layer) => layer.compared);
    const probes = report.costliest ? report.costliest.probes : [];
    const values = [];
    for (const layer of compared) values.push(layer.sqnr_db, layer.own_sqnr_db);
    for (const probe of probes) values.push(probe.sqnr_db);
    const known = values.filter((value) => value !== null);
    if (!known.length) {
      host.replaceChildren(html("p", { class: "muted" }, "Every tensor is equal to the float model's."));
      return;
    }
    const last = layers[layers.length - 1].index + 1;
    // A tensor that is as good as equal must not squeeze all others: it is drawn at the upper edge.
    const highest = Math.min(Math.max(...known) * 1.03, MOST_DECIBELS);
    const area = frame(host, last, Math.min(0, ...known), highest, 300, (t) => `${t} dB`);
    const height = (db) => area.y(Math.min(db, highest));
    const middle = (index) => area.x(index) + area.column / 2;
    const series = (points, kind, title) => {
      let d = "";
      points.forEach((p, i) => { // a layer that is as good as equal leaves a gap
        if (p.db !== null) d += `${i && points[i - 1].db !== null ? "L" : "M"}${p.x} ${height(p.db)}`;
      });
      area.chart.append(svg("path", { class: `line ${kind}`, d }));
      for (const point of points.filter((p) => p.db !== null)) {
        area.chart.append(svg("circle", { class: `dot ${kind}`, cx: point.x, cy: height(point.db), r: 3.2,
          "data-select": point.layer.index }, svg("title", null, `${title}, ${point.layer.name}: ${decibels(point.db, false)}`)));
      }
    };
    const points = (key) => compared.map((l) => ({ x: middle(l.index), db: l[key], layer: l }));
    const first = [];
    const names = new Set();
    for (const layer of compared) if (!names.has(layer.name)) { names.add(layer.name); first.push(layer); }
    series(points("own_sqnr_db"), "own", "by itself");
    series(points("sqnr_db"), "running", "as the models run");
    for (const probe of probes) {
      const [from, to] = [first[probe.first], first[probe.last]];
      if (probe.sqnr_db === null || !from || !to) continue;
      const text = `results with layers ${from.index} to ${to.index} alone quantised: ${decibels(probe.sqnr_db, false)}`;
      const y = height(probe.sqnr_db);
      const mark = from === to
        ? svg("circle", { class: "dot result", cx: middle(from.index), cy: y, r: 4.5, "data-select": from.index })
        : svg("line", { class: "line result", x1: middle(from.index), x2: middle(to.index), y1: y, y2: y });
      mark.append(svg("title", null, text));
      area.chart.append(mark);
    }
    const key = html("p", { class: "key" });
    for (const [text, colour] of [["as the models run", "--after"], ["by itself", "--before"], ["results, with these layers alone quantised", "--range-edge"]]) {
      const item = html("span", null, text);
      item.style.setProperty("--c", `var(${colour})`);
      key.append(item);
    }
    host.append(key);
  }

  function pairChart(id, before, after, text) {
    const host = byId(id);
    const highest = Math.max(...layers.map((l) => Math.max(before(l) || 0, after(l) || 0)));
    if (!(highest > 0)) {
      host.replaceChildren();
      return;
    }
    const area = frame(host, layers[layers.length - 1].index + 1, 0, highest * 1.05, 240, text);
    for (const layer of layers) {
      const pair = [["before", before(layer), 0.08], ["after", after(layer), 0.5]];
      for (const [kind, value, start] of pair) {
        if (!value) continue;
        const top = area.y(value);
        area.chart.append(svg("rect", { class: `bar ${kind}`, x: area.x(layer.index) + area.column * start, y: top,
          width: area.column * 0.42, height: Math.max(area.bottom - top, 0.5), "data-select": layer.index },
          svg("title", null, `${layer.name}, ${kind === "before" ? "float" : "quantised"}: ${text(value)}`)));
      }
    }
  }

  function arenaChart() {
    const host = byId("arena-chart");
    const { bytes, blocks, live_bytes: live } = report.arena;
    if (!blocks.length) {
      host.replaceChildren(html("p", { class: "muted" }, "The model has no arena."));
      return;
    }
    const area = frame(host, live.length, 0, Math.max(bytes, ...live), 320, size);
    const group = svg("g");
    for (const block of blocks) {
      const top = area.y(block.offset + block.bytes);
      const rect = svg("rect", { class: "block", x: area.x(block.first), y: top, height: Math.max(area.y(block.offset) - top, 1),
        width: (block.last - block.first + 1) * area.column },
        svg("title", null, `${block.name}: ${size(block.bytes)} at ${count(block.offset)}, operators ${block.first} to ${block.last}`));
      if (place.has(block.first)) rect.setAttribute("data-select", block.first);
      group.append(rect);
    }
    let d = "";
    live.forEach((value, i) => { d += `${i ? "L" : "M"}${area.x(i)} ${area.y(value)}H${area.x(i + 1)}`; });
    area.chart.append(group, svg("path", { class: "live", d }));
    const key = html("p", { class: "key" });
    const item = html("span", null, "bytes that are needed while the operator runs");
    item.style.setProperty("--c", "var(--text)");
    key.append(item);
    host.append(key);
  }

  // --- histograms ---

  function histogram(layer, width, height) {
    const { low, width: bin, before, after } = layer.distribution;
    const ranged = layer.range_low !== null;
    let from = before.length, to = -1;
    before.forEach((n, i) => { if (n || after[i]) { from = Math.min(from, i); to = Math.max(to, i); } });
    if (ranged) {
      from = Math.min(from, Math.floor((layer.range_low - low) / bin));
      to = Math.max(to, Math.floor((layer.range_high - low) / bin));
    }
    from = Math.max(0, from - 1);
    to = Math.min(before.length - 1, to + 1);
    const pad = { left: 6, right: 6, top: 6, bottom: 16 };
    const scaled = byId("log-scale").checked ? (n) => Math.log1p(n) : (n) => n;
    let most = 1;
    for (let i = from; i <= to; i++) most = Math.max(most, scaled(before[i]), scaled(after[i]));
    const x = (value) => pad.left + ((value - low) / bin - from) / (to - from + 1) * (width - pad.left - pad.right);
    const y = (n) => pad.top + (height - pad.top - pad.bottom) * (1 - scaled(n) / most);
    const outline = (counts) => {
      let d = `M${x(low + from * bin).toFixed(1)} ${y(0)}`;
      for (let i = from; i <= to; i++) d += `V${y(counts[i]).toFixed(1)}H${x(low + (i + 1) * bin).toFixed(1)}`;
      return `${d}V${y(0)}`;
    };
    const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `values of ${layer.name} before and after quantisation` });
    if (ranged) {
      const left = x(layer.range_low), right = x(layer.range_high);
      chart.append(svg("rect", { class: "hist-range", x: left, y: pad.top, width: Math.max(right - left, 1), height: height - pad.top - pad.bottom }));
      for (const at of [left, right]) {
        chart.append(svg("line", { class: "hist-edge", x1: at, x2: at, y1: pad.top, y2: height - pad.bottom }));
      }
    }
    chart.append(svg("path", { class: "hist-before", d: outline(before) }), svg("path", { class: "hist-after", d: outline(after) }),
      svg("text", { x: pad.left, y: height - 4 }, number(low + from * bin, 3)),
      svg("text", { x: width - pad.right, y: height - 4, "text-anchor": "end" }, number(low + (to + 1) * bin, 3)));
    const caption = html("figcaption", null,
      html("a", { href: "#graph", "data-select": layer.index, title: layer.name }, layer.name),
      html("span", { class: "muted" }, layer.clipped ? `${percent(layer.clipped)} clipped` : decibels(layer.sqnr_db, layer.exact)));
    return html("figure", { class: "histogram", "data-layer": layer.index }, caption, chart);
  }

  function drawHistograms() {
    byId("histogram-grid").replaceChildren(...layers.filter((l) => l.distribution).map((l) => histogram(l, 280, 130)));
  }
  byId("log-scale").addEventListener("change", () => {
    drawHistograms();
    if (chosen !== null) showDetail(layers[place.get(chosen)]);
  });

  // --- the table of layers ---

  const table = byId("layer-table");
  table.tHead.addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (!heading) return;
    const column = heading.cellIndex, falling = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const numeric = heading.classList.contains("n");
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [one, two] = [value(a), value(b)];
      if (one === "" || two === "") return (one === "") - (two === ""); // what is unknown stays last
      const order = numeric ? Number(one) - Number(two) : one.localeCompare(two);
      return falling ? -order : order;
    });
    table.tBodies[0].append(...rows);
  });

  function drawCharts() {
    sqnrChart();
    pairChart("size-chart", (l) => l.float_bytes, (l) => l.stored_bytes, size);
    pairChart("time-chart", (l) => l.float_us, (l) => l.us, time);
    arenaChart();
  }

  if (layers.length) {
    drawGraph();
    drawCharts();
    drawHistograms();
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth !== width) drawCharts();
      width = innerWidth;
    });
    if (report.costliest && innerWidth > 860) select(report.costliest.index, true);
  }
  document.documentElement.dataset.drawn = "true";
})();
