(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const themes = JSON.parse(document.getElementById("themes")?.textContent ?? "{}");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const look = () => (dark.matches ? "dark" : "light");

  // The library and the figures are compressed and written in base64.
  const unpacked = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  const loaded = async () => {
    const source = document.createElement("script");
    source.textContent = await unpacked(document.getElementById("library").textContent);
    document.head.append(source);
  };
  const described = async (text) => {
    const { lists, spec } = JSON.parse(await unpacked(text));
    for (const trace of spec.data)
      for (const [name, value] of Object.entries(trace))
        if (value?.list !== undefined) trace[name] = lists[value.list];
    return spec;
  };

  const charts = [];
  const overTime = (chart) => chart._fullLayout.xaxis?.type === "date";
  const config = (layout) => ({
    responsive: true,
    displaylogo: false,
    displayModeBar: "hover",
    modeBarButtons: [layout.xaxis?.type === "date"
      ? ["toImage", "zoom2d", "pan2d", "resetScale2d"] : ["toImage"]],
  });
  const draw = async (source) => {
    const element = document.getElementById(source.dataset.chart);
    const { data, layout } = await described(source.textContent);
    layout.template = themes[look()];
    await Plotly.newPlot(element, data, layout, config(layout));
    charts.push(element);
    if (overTime(element)) follow(element);
    sift(element);
  };
  const pause = () => new Promise((resume) => setTimeout(resume));
  const drawAll = async () => {
    const sources = all("script[data-chart]");
    if (!sources.length) return;
    try {
      await loaded();
    } catch (error) {
      for (const source of sources) excuse(source, error);
      throw error;
    }
    for (const source of sources) {
      await draw(source).catch((error) => { excuse(source, error); console.error(error); });
      performance.mark(source.dataset.chart);
      document.documentElement.dataset.figures ??= "begun";
      await pause();
    }
  };
  const excuse = (source, error) => {
    const said = document.createElement("p");
    said.textContent = typeof DecompressionStream === "undefined"
      ? "This browser cannot unpack the figures: it has no DecompressionStream. The tables are complete without them."
      : `This figure could not be drawn: ${error.message}`;
    document.getElementById(source.dataset.chart).replaceChildren(said);
  };

  const dress = (name, size) => charts.forEach((chart) =>
    Plotly.relayout(chart, { template: themes[name], ...size?.(chart) }));
  // A figure is not laid out anew for paper: wider than a sheet it would be cut.
  const sheet = (chart) => ({ width: Math.min(690, chart._fullLayout.width) });
  dark.addEventListener("change", () => dress(look()));
  window.addEventListener("beforeprint", () => dress("light", sheet));
  window.addEventListener("afterprint", () => dress(look(), () => ({ width: null, autosize: true })));

  all(".choices button").forEach((button) => {
    button.addEventListener("click", () => {
      Plotly[button.dataset.method](button.dataset.for, JSON.parse(button.dataset.arguments));
      all("button", button.parentElement).forEach((b) =>
        b.setAttribute("aria-pressed", String(b === button)));
    });
  });

  // A stretch of time chosen in one figure is shown by all, each with its values in view.
  const named = (layout, letter) => Object.keys(layout).filter((key) => RegExp(`^${letter}axis\\d*$`).test(key));
  const instant = (text) => (typeof text === "number" ? text
    : Date.parse(text.length > 10 ? text.replace(" ", "T") + "Z" : text));
  const inView = (chart, axis, from, to) => {
    const log = chart._fullLayout[axis].type === "log";
    const values = [];
    chart._fullData.forEach((trace, place) => {
      if (trace.visible !== true || trace.yaxis !== axis.replace("axis", "")) return;
      if (trace.fill === "tozeroy" && !log) values.push(0);
      for (const point of chart.calcdata[place])
        if (point.x >= from && point.x <= to && Number.isFinite(point.y) && (!log || point.y > 0))
          values.push(log ? Math.log10(point.y) : point.y);
    });
    return values;
  };
  const steps = new Map();
  const fitted = (chart, from, to) => {
    const changes = {};
    for (const axis of named(chart.layout, "y")) {
      const values = inView(chart, axis, from, to);
      if (!values.length) continue;
      const low = values.reduce((a, b) => Math.min(a, b));
      const high = values.reduce((a, b) => Math.max(a, b));
      const room = 0.05 * (high - low) || 0.05;
      changes[`${axis}.range`] = [low - room, high + room];
      changes[`${axis}.dtick`] = null;
    }
    return changes;
  };
  const show = (chart, range) => {
    const changes = range ? fitted(chart, ...range.map(instant)) : {};
    for (const axis of named(chart.layout, "x"))
      Object.assign(changes, range ? { [`${axis}.range`]: [...range] } : { [`${axis}.autorange`]: true });
    if (!range)
      for (const axis of named(chart.layout, "y")) {
        const log = chart._fullLayout[axis].type === "log";
        changes[`${axis}.autorange`] = true;
        changes[`${axis}.dtick`] = log ? steps.get(chart)[axis] ?? null : null;
      }
    return Plotly.relayout(chart, changes);
  };
  let showing = false;
  const showAll = async (range) => {
    if (showing) return;
    showing = true;
    document.body.classList.toggle("zoomed", Boolean(range));
    await Promise.all(charts.filter(overTime).map((chart) => show(chart, range)));
    showing = false;
  };
  const follow = (chart) => {
    steps.set(chart, Object.fromEntries(named(chart.layout, "y").map((axis) => [axis, chart.layout[axis].dtick])));
    chart.after(button("whole", "show the whole span again", () => showAll(null)));
    chart.on("plotly_relayout", (change) => {
      const keys = Object.keys(change);
      if (keys.some((key) => /^xaxis\d*\.range/.test(key))) showAll([...chart._fullLayout.xaxis.range]);
      else if (keys.some((key) => /^xaxis\d*\.autorange/.test(key))) showAll(null);
    });
  };

  // Lines through upright axes: keep those that pass every stretch chosen.
  const sift = (chart) => {
    const count = chart.layout.meta?.lines_through;
    if (!count) return;
    const whole = chart.data.map(({ x, y, text }) => ({ x, y, text }));
    const bare = chart.layout.shapes;
    let kept = {};
    const thin = ({ x, y, text }) => {
      if (x.length <= count) return { x, y, text };
      const held = [...y.keys()].filter((at) => {
        const first = at - (at % (count + 1));
        return Object.entries(kept).every(([axis, [low, high]]) =>
          y[first + Number(axis)] >= low && y[first + Number(axis)] <= high);
      });
      return Object.fromEntries(Object.entries({ x, y, text }).map(([name, values]) =>
        [name, held.map((at) => values[at])]));
    };
    const redraw = () => {
      const left = whole.map(thin);
      const update = Object.fromEntries(["x", "y", "text"].map((name) => [name, left.map((one) => one[name])]));
      const boxes = Object.entries(kept).map(([axis, [low, high]]) => ({
        type: "rect", x0: axis - 0.06, x1: Number(axis) + 0.06, y0: low, y1: high,
        fillcolor: "rgba(127,127,127,0.35)", line: { width: 0 },
      }));
      return Plotly.update(chart, update, { shapes: [...bare, ...boxes], selections: [] });
    };
    chart.on("plotly_selected", (chosen) => {
      if (!chosen?.range) return;
      const [x, y] = [chosen.range.x, chosen.range.y].map((ends) => [...ends].sort((a, b) => a - b));
      const axis = Math.min(count - 1, Math.max(0, Math.round((x[0] + x[1]) / 2)));
      kept[axis] = y;
      redraw();
    });
    chart.on("plotly_doubleclick", () => { kept = {}; redraw(); });
  };

  const button = (name, text, act) => {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", className: name, textContent: text });
    made.addEventListener("click", act);
    return made;
  };
  all("button.zoom").forEach((shown) => {
    shown.addEventListener("click", () => {
      showAll([shown.dataset.from, shown.dataset.to]);
      (document.getElementById(shown.dataset.figure) ?? charts.find(overTime))?.scrollIntoView({ behavior: "smooth", block: "center" });
    });
  });

  // What scrolls can be scrolled by keys as well.
  const reach = () => all(".scroll").forEach((box) => {
    const heading = box.closest("section, div:has(> h3)")?.querySelector("h2, h3")?.textContent;
    const names = { tabindex: "0", role: "region", "aria-label": heading ?? "Table" };
    const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
    for (const [name, value] of Object.entries(names))
      if (scrolls) box.setAttribute(name, value);
      else box.removeAttribute(name);
  });
  window.addEventListener("resize", reach);

  const limit = (table) => {
    const rows = [...table.tBodies[0].rows];
    rows.forEach((row, i) => { row.hidden = !table.dataset.open && i >= Number(table.dataset.limit); });
  };
  all("table[data-limit]").forEach((table) => {
    const count = table.tBodies[0].rows.length;
    if (count <= Number(table.dataset.limit)) return;
    const more = button("more", `Show all ${count.toLocaleString("en")} rows`, () => {
      table.dataset.open = "yes";
      limit(table);
      more.remove();
      reach();
    });
    table.parentElement.after(more);
    limit(table);
  });

  all("table.sortable th button").forEach((button) => {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const table = head.closest("table");
      const column = head.cellIndex;
      const down = head.getAttribute("aria-sort") !== "descending";
      all("th", table).forEach((th) => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.order ?? "";
      const numeric = head.classList.contains("num");
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [p, q] = [key(a), key(b)];
        if (p === "" || q === "") return (p === "") - (q === "");
        const order = numeric ? Number(p) - Number(q) : p < q ? -1 : p > q ? 1 : 0;
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
      if (table.dataset.limit) limit(table);
    });
  });

  // A link to a folded section opens it.
  const unfold = () => {
    const there = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (there) all("details", there).forEach((folded) => { folded.open = true; });
  };
  window.addEventListener("hashchange", unfold);
  unfold();

  reach();
  drawAll().finally(() => { document.documentElement.dataset.figures = "done"; });
})();
