"use strict";
// Whatever a ledger says is text of the page already, escaped by its template; here it is only read, hidden, and set as text.
(() => {
  const $ = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const said = document.getElementById("said");

  // --- sorting ---

  function keyOf(row, column) {
    const cell = row.cells[column];
    const given = cell.dataset.sort;
    return given === undefined ? cell.textContent.trim() : Number(given);
  }

  // Numbers sort as numbers and before text; what has no value always stays at the end.
  function compare(a, b, direction) {
    const emptyA = a === "" || a === "—", emptyB = b === "" || b === "—";
    if (emptyA || emptyB) return emptyA - emptyB;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    if (typeof a === "number") return direction * (a - b);
    return direction * a.localeCompare(b, "en", { numeric: true });
  }

  function sortBy(header, order) {
    const body = header.closest("table").tBodies[0];
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const direction = order === "ascending" ? 1 : -1;
    const rows = Array.from(body.rows, (row) => [keyOf(row, header.cellIndex), row]);
    rows.sort((x, y) => compare(x[0], y[0], direction));
    body.append(...rows.map(([, row]) => row));
  }

  const tables = $("table.sortable");
  document.addEventListener("click", (event) => {
    const header = event.target.closest("table.sortable thead button")?.closest("th");
    if (!header) return;
    // The first press shows the largest number, or the first word.
    const now = header.getAttribute("aria-sort") ?? (header.classList.contains("n") ? "ascending" : "descending");
    const order = now === "ascending" ? "descending" : "ascending";
    sortBy(header, order);
    said.textContent = `Sorted by ${header.textContent.trim()}, ${order}.`;
    keep();
  });

  // --- what is shown: the models and benchmarks that are ticked, all where none is ---

  const picks = $(".picks details");

  function pick() {
    const ticked = Object.fromEntries(picks.map((part) => {
      const boxes = $("input", part), chosen = boxes.filter((box) => box.checked).map((box) => box.value);
      part.querySelector("output").textContent = chosen.length ? `${chosen.length} of ${boxes.length}` : "all";
      return [part.dataset.of, new Set(chosen)];
    }));
    const fits = (what, value) => !value || !ticked[what]?.size || ticked[what].has(value);
    for (const part of $("[data-model], [data-benchmark]")) {
      const { model, other, benchmark } = part.dataset;
      part.hidden = !(fits("model", model) && fits("model", other) && fits("benchmark", benchmark));
    }
    document.querySelector(".picks [type=reset]")?.toggleAttribute("hidden", !Object.values(ticked).some((chosen) => chosen.size));
    search(fits);
  }

  // --- the ledger ---

  const rows = Array.from(document.getElementById("evidence").tBodies[0].rows);
  const text = document.getElementById("filter-text"), kind = document.getElementById("filter-class");
  let contents = null;

  function search(fits) {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) contents ??= new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    let shown = 0;
    for (const row of rows) {
      const [model, key, kindOf] = Array.from(row.cells, (cell) => cell.textContent);
      row.hidden = !(fits("model", model) && fits("benchmark", key.split(/[.\/@]/)[0])
        && (!kind.value || kindOf === kind.value) && words.every((word) => contents.get(row).includes(word)));
      shown += !row.hidden;
    }
    document.getElementById("filter-count").textContent = `${shown} of ${rows.length}`;
  }

  // --- failures, by the class that it is and the class that the model says: the first two parts of each ---

  const galleries = $(".failures").map((part) => ({
    selects: $("select", part), count: part.querySelector("output"), items: $("tbody tr, ol > li", part),
  }));
  for (const { selects, items } of galleries) {
    selects.forEach((select, at) => {
      const names = new Set(items.map((item) => item.children[at].textContent));
      select.append(...Array.from(names).sort((a, b) => a.localeCompare(b, "en")).map((name) => new Option(name)));
    });
  }

  function browse({ selects, count, items }) {
    for (const item of items) item.hidden = selects.some((select, at) => select.value && item.children[at].textContent !== select.value);
    count.textContent = `${items.filter((item) => !item.hidden).length} of ${items.length}`;
  }

  // --- the state of the page, in its address ---

  const controls = $("input[name], select[name]"), errors = $("#errors > details");
  let place = "";

  function keep() {
    const state = new URLSearchParams(place && { at: place });
    for (const control of controls) {
      if (control.type === "checkbox" ? control.checked : control.value) state.append(control.name, control.value);
    }
    for (const part of errors.filter((part) => part.open)) state.append("errors", part.dataset.model);
    for (const header of $("th[aria-sort]")) {
      state.append("sort", [tables.indexOf(header.closest("table")), header.cellIndex, header.getAttribute("aria-sort")]);
    }
    history.replaceState(null, "", `#${state}`);
  }

  function restore() {
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) {  // a link to a part of the page: what is picked stays
      place = hash;
      return keep();
    }
    const state = new URLSearchParams(hash);
    for (const control of controls) {
      if (control.type === "checkbox") control.checked = state.getAll(control.name).includes(control.value);
      else control.value = state.get(control.name) ?? "";
    }
    for (const part of errors) part.open = state.getAll("errors").includes(part.dataset.model);
    for (const [table, column, order] of state.getAll("sort").map((sort) => sort.split(","))) {
      const header = tables[table]?.tHead.rows[0].cells[column];
      if (header && ["ascending", "descending"].includes(order)) sortBy(header, order);
    }
    show();
    place = state.get("at") ?? "";
    document.getElementById(place)?.scrollIntoView();
  }

  function show() {
    pick();
    galleries.forEach(browse);
  }

  let waiting = 0;
  document.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { show(); keep(); }, 120);
  });
  document.addEventListener("reset", () => { setTimeout(() => { show(); keep(); }); });
  document.addEventListener("submit", (event) => event.preventDefault());
  for (const part of errors) part.firstElementChild.addEventListener("click", () => setTimeout(keep));
  addEventListener("hashchange", restore);

  // Lists of what can be picked close as menus do.
  function fold(parts) {
    for (const part of parts) part.open = false;
  }
  document.addEventListener("click", (event) => fold(picks.filter((part) => !part.contains(event.target))));
  document.addEventListener("keydown", (event) => {
    const open = picks.find((part) => part.open);
    if (event.key !== "Escape" || !open) return;
    fold([open]);
    open.firstElementChild.focus();
  });

  addEventListener("beforeprint", () => {
    for (const part of $("details:not(.picks details)")) { part.removeAttribute("name"); part.open = true; }
  });
  if (location.hash) restore();
})();
