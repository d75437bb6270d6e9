"use strict";
// A click on a column's title sorts by it, another one turns the order round; cells without a value stay last.
// report.html#sort=table-groups:3:descending opens sorted.
const sortBy = (table, index, direction) => {
  const heads = [...table.tHead.rows[0].cells];
  if (!heads[index]) return;
  const body = table.tBodies[0];
  const value = (row) => row.cells[index].dataset.value;
  const numeric = heads[index].classList.contains("num");
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
    return direction === "descending" ? -order : order;
  };
  body.append(...[...body.rows].sort(compare));
  heads.forEach((head, place) => head.setAttribute("aria-sort", place === index ? direction : "none"));
};
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    head.querySelector("button").addEventListener("click", () =>
      sortBy(table, index, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending"));
  });
}
const sorting = /^#sort=([\w-]+):(\d+):(ascending|descending)$/.exec(location.hash);
if (sorting && document.getElementById(sorting[1])?.matches("table.sortable")) {
  sortBy(document.getElementById(sorting[1]), Number(sorting[2]), sorting[3]);
}
