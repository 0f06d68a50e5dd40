// Tables that readers can sort; the list of all trials is shown a page at a time.
const PAGE = document.getElementById("table-trials").tBodies[0].rows.length || 1;
const MOST_PRINTED = 500;
const collator = new Intl.Collator("en", { numeric: true });

const isEmpty = (value) => value === null || value === undefined || value === "" || value === "–";

/** Orders values; empty ones come last either way. */
function compare(first, second, sign) {
  if (isEmpty(first) || isEmpty(second)) return isEmpty(first) - isEmpty(second);
  return sign * (typeof first === "number" && typeof second === "number" ? first - second : collator.compare(first, second));
}

/** Makes the headings of a table buttons; `apply` gets column and sign, 1 for rising. */
function sortable(table, apply) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const rising = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of headings) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
      apply(column, rising ? 1 : -1);
    });
  });
}

/** What a cell of a server's table is sorted by. */
function sortKey(cell) {
  const key = cell.dataset.sort ?? cell.textContent.trim();
  return key !== "" && !Number.isNaN(Number(key)) ? Number(key) : key;
}

function sortRows(table, column, sign) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: sortKey(row.cells[column]) }));
  body.append(...rows.sort((a, b) => compare(a.key, b.key, sign)).map(({ row }) => row));
}

const count = (value) => value.toLocaleString("en");

/** The list of all trials. */
const FIELDS = ["trial", "phase", "status", "knobs", "accuracy", "parameters", "seconds", "latency"];
const TEXTS = 4;
const listed = { order: trials.map((_, place) => place), shown: [], first: 0, sort: null, words: [] };
let haystack = null;

function rowOf(place) {
  const row = document.createElement("tr");
  FIELDS.forEach((field, column) => {
    const cell = document.createElement(column ? "td" : "th");
    const value = trials[place][field];
    if (!column) cell.scope = "row";
    if (column >= TEXTS) cell.className = "number";
    cell.textContent = value === null ? "" : written[field] ? written[field](value) : value;
    row.append(cell);
  });
  return row;
}

function showTrials() {
  const part = listed.shown.slice(listed.first, listed.first + PAGE);
  document.getElementById("table-trials").tBodies[0].replaceChildren(...part.map(rowOf));
  const { length } = listed.shown;
  document.getElementById("trials-range").value = length ? `${count(listed.first + 1)}–${count(listed.first + part.length)} of ${count(length)}` : "none";
  document.getElementById("trials-back").disabled = listed.first === 0;
  document.getElementById("trials-on").disabled = listed.first + PAGE >= length;
}

/** Lists what was filtered and sorted from its beginning, and says how much of all trials that is. */
function printTrials() {
  const part = listed.shown.slice(0, MOST_PRINTED);
  document.getElementById("table-trials").tBodies[0].replaceChildren(...part.map(rowOf));
  const filter = listed.words.length ? ` (${count(listed.shown.length)} match the filter “${listed.words.join(" ")}”)` : "";
  const note = part.length < trials.length ? ` Printed here: ${count(part.length)} of ${count(trials.length)}${filter}.` : "";
  document.getElementById("trials-printed").textContent = note;
}

/** Filters and sorts anew, from the first page on. */
function listTrials() {
  haystack ??= trials.map((trial) => [trial.trial, trial.phase, trial.status, trial.knobs].join(" ").toLowerCase());
  listed.shown = listed.order.filter((place) => listed.words.every((word) => haystack[place].includes(word)));
  if (listed.sort) {
    const { field, sign } = listed.sort;
    listed.shown.sort((a, b) => compare(trials[a][field], trials[b][field], sign) || a - b);
  }
  listed.first = 0;
  showTrials();
}

function turn(step) {
  listed.first = Math.max(0, listed.first + step * PAGE);
  showTrials();
}

for (const table of document.querySelectorAll("table.sortable")) {
  const apply = table.classList.contains("paged")
    ? (column, sign) => { listed.sort = { field: FIELDS[column], sign }; listTrials(); }
    : (column, sign) => sortRows(table, column, sign);
  sortable(table, apply);
}
