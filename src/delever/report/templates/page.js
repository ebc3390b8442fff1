(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const themes = JSON.parse(document.getElementById("themes")?.textContent ?? "{}");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = (id) => ({
    responsive: true,
    displaylogo: false,
    displayModeBar: id === "fig-history" ? "hover" : false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  });

  const charts = all("script[data-chart]").map((source) => {
    const element = document.getElementById(source.dataset.chart);
    const { data, layout } = JSON.parse(source.textContent);
    layout.template = themes[dark.matches ? "dark" : "light"];
    Plotly.newPlot(element, data, layout, config(element.id));
    return element;
  });
  const dress = (look) => charts.forEach((c) => Plotly.relayout(c, { template: themes[look] }));
  dark.addEventListener("change", () => dress(dark.matches ? "dark" : "light"));
  window.addEventListener("beforeprint", () => dress("light"));
  window.addEventListener("afterprint", () => dress(dark.matches ? "dark" : "light"));

  all(".choices button").forEach((button) => {
    button.addEventListener("click", () => {
      Plotly[button.dataset.method](button.dataset.for, JSON.parse(button.dataset.arguments));
      all("button", button.parentElement).forEach((b) =>
        b.setAttribute("aria-pressed", String(b === button)));
    });
  });

  // A stretch of time chosen on the shared axis: fit every value axis to what it shows.
  const history = document.getElementById("fig-history");
  const times = (layout) => Object.keys(layout).filter((key) => /^xaxis\d*$/.test(key));
  const instant = (text) => Date.parse(text.length > 10 ? text.replace(" ", "T") + "Z" : text);
  const shown = (short, from, to, log) => history._fullData
    .flatMap((trace, i) => (trace.visible === true && trace.yaxis === short ? history.calcdata[i] : []))
    .filter((p) => p.x >= from && p.x <= to && Number.isFinite(p.y) && (!log || p.y > 0))
    .map((p) => (log ? Math.log10(p.y) : p.y));
  const fit = () => {
    const [from, to] = history._fullLayout.xaxis.range.map(instant);
    const changes = { "yaxis.dtick": null };
    for (const name of ["yaxis", "yaxis2"]) {
      const values = shown(name.replace("axis", ""), from, to, history._fullLayout[name].type === "log");
      if (!values.length) continue;
      const low = values.reduce((a, b) => Math.min(a, b));
      const high = values.reduce((a, b) => Math.max(a, b));
      const room = 0.05 * (high - low) || 0.05;
      changes[`${name}.range`] = [low - room, name === "yaxis2" ? Math.min(high + room, 0.01) : high + room];
    }
    Plotly.relayout(history, changes);
  };
  if (history) {
    const step = history.layout.yaxis.dtick;
    history.on("plotly_relayout", (change) => {
      const keys = Object.keys(change);
      if (keys.some((key) => /^xaxis\d*\.range/.test(key))) fit();
      else if (keys.some((key) => /^xaxis\d*\.autorange/.test(key))) {
        const log = history._fullLayout.yaxis.type === "log";
        Plotly.relayout(history, { "yaxis.autorange": true, "yaxis2.autorange": true, "yaxis.dtick": log ? step : null });
      }
    });
  }
  all("button.zoom").forEach((button) => {
    button.addEventListener("click", () => {
      const range = [button.dataset.from, button.dataset.to];
      Plotly.relayout(history, Object.fromEntries(times(history.layout).map((key) => [`${key}.range`, [...range]])));
      history.scrollIntoView({ behavior: "smooth", block: "center" });
    });
  });

  const limit = (table) => {
    const rows = [...table.tBodies[0].rows];
    rows.forEach((row, i) => { row.hidden = !table.dataset.open && i >= Number(table.dataset.limit); });
  };
  all("table[data-limit]").forEach((table) => {
    const count = table.tBodies[0].rows.length;
    if (count <= Number(table.dataset.limit)) return;
    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.textContent = `Show all ${count.toLocaleString("en")} rows`;
    more.addEventListener("click", () => {
      table.dataset.open = "yes";
      limit(table);
      more.remove();
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
})();
