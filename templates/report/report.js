"use strict";
(() => {
  const said = document.getElementById("said");

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

  function sortBy(button) {
    const header = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
    const isNumeric = header.classList.contains("n");
    const now = header.getAttribute("aria-sort");
    // The first press shows the largest number, or the first word.
    const next = now === null ? (isNumeric ? "descending" : "ascending") : now === "ascending" ? "descending" : "ascending";
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", next);
    const direction = next === "ascending" ? 1 : -1;
    const rows = Array.from(body.rows, (row) => [keyOf(row, header.cellIndex), row]);
    rows.sort((x, y) => compare(x[0], y[0], direction));
    body.append(...rows.map(([, row]) => row));
    said.textContent = `Sorted by ${button.textContent.trim()}, ${next}.`;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("table.sortable thead button");
    if (button) sortBy(button);
  });

  const text = document.getElementById("filter-text"), kind = document.getElementById("filter-class");
  const model = document.getElementById("filter-model"), count = document.getElementById("filter-count");
  const rows = Array.from(document.getElementById("evidence").tBodies[0].rows);
  let contents = null;

  function filter() {
    contents ??= rows.map((row) => row.textContent.toLowerCase());
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      const fits = (!kind.value || row.cells[2].textContent === kind.value)
        && (!model || !model.value || row.cells[0].textContent === model.value)
        && words.every((word) => contents[index].includes(word));
      row.hidden = !fits;
      shown += fits;
    });
    count.textContent = `${shown} of ${rows.length}`;
  }

  let waiting = 0;
  text.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  for (const control of [kind, model]) control?.addEventListener("change", filter);
  text.form.addEventListener("submit", (event) => event.preventDefault());

  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
})();
