// The page's data: one copy of the trials as columns, from which charts and tables take their rows.
const page = JSON.parse(document.getElementById("page-data").textContent);

/** A column as it is used; texts that repeat are kept once. */
const unpacked = (column) => Array.isArray(column) ? column : column.at.map((place) => place === null ? null : column.of[place]);

const columns = Object.fromEntries(
  Object.entries(page.trials).filter(([name]) => name !== "knobs").map(([name, column]) => [name, unpacked(column)]),
);
const knobColumns = Object.entries(page.trials.knobs).map(([knob, column]) => [knob, unpacked(column)]);

/** Three significant digits, in powers of ten where that is shorter: 0.00012, 1e-05, 16. */
function shortNumber(value) {
  if (Number.isInteger(value)) return String(value);
  const rounded = Number(value.toPrecision(3));
  const exponent = rounded === 0 ? 0 : Math.floor(Math.log10(Math.abs(rounded)));
  if (exponent >= -4 && exponent < 3) return String(rounded);
  const [digits, power] = rounded.toExponential().split("e");
  return `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

const knobText = (value) => typeof value === "number" ? shortNumber(value) : value;

/** Three significant digits, never in powers of ten. */
function significant(value) {
  const decimals = value < 0.9995 ? 3 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 3599.95) {
    const tenths = Math.round(seconds * 10);
    return `${Math.floor(tenths / 600)} m ${((tenths % 600) / 10).toFixed(1).padStart(4, "0")} s`;
  }
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m`;
}

/** How the columns of figures are written. */
const written = {
  accuracy: (value) => value.toFixed(3),
  parameters: (value) => value.toLocaleString("en"),
  seconds: duration,
  latency: (value) => `${significant(value)} ms`,
};

const trials = columns.trial.map((trial, place) => ({
  trial,
  arm: columns.arm[place],
  phase: columns.phase[place],
  status: columns.status[place],
  knobs: knobColumns.filter(([, column]) => column[place] !== null).map(([knob, column]) => `${knob}=${knobText(column[place])}`).join(" "),
  accuracy: columns.accuracy[place],
  parameters: columns.parameters[place],
  seconds: columns.seconds[place],
  latency: columns.latency[place],
}));

/** Where a value lies on its axis, 0 … 1; null if nowhere. */
function position(axis, value) {
  if (value === null || value === undefined) return null;
  if (axis.options) return axis.options.length < 2 ? 0.5 : axis.options.indexOf(String(value)) / (axis.options.length - 1);
  if (axis.low === axis.high) return 0.5;
  const scale = axis.log ? Math.log : (number) => number;
  return (scale(value) - scale(axis.low)) / (scale(axis.high) - scale(axis.low));
}

/** Values at which an axis is labelled. */
function tickValues(axis) {
  if (axis.options) return axis.options;
  if (axis.low === axis.high) return [axis.low];
  if (!axis.log) return [0, 0.25, 0.5, 0.75, 1].map((share) => axis.low + share * (axis.high - axis.low));
  const inner = [];
  for (let power = Math.ceil(Math.log10(axis.low)); power <= Math.floor(Math.log10(axis.high)); power += 1) inner.push(Number(`1e${power}`));
  const far = (value) => [axis.low, axis.high].every((end) => Math.abs(position(axis, end) - position(axis, value)) > 0.09);
  return [axis.low, ...inner.filter(far), axis.high];
}

/** The axes of an arm's parallel coordinates, the last one being validation accuracy. */
function axesOf(arm) {
  const found = page.drawn[arm].map((place) => columns.accuracy[place]);
  const last = { knob: "validation accuracy", low: Math.min(...found), high: Math.max(...found), log: false };
  return [...(page.axes[arm] ?? []), last];
}

function linesOf(arm) {
  const knobs = Object.fromEntries(knobColumns);
  return page.drawn[arm].flatMap((place) => axesOf(arm).map((axis) => ({
    trial: trials[place].trial,
    knobs: trials[place].knobs,
    accuracy: trials[place].accuracy,
    axis: axis.knob,
    position: position(axis, axis.knob in knobs ? knobs[axis.knob][place] : trials[place].accuracy),
  })));
}

const ticksOf = (arm) => axesOf(arm).flatMap((axis, place, all) => tickValues(axis).map((value) => ({
  axis: axis.knob,
  position: position(axis, value),
  label: place === all.length - 1 ? value.toFixed(3) : knobText(value),
})));

const curvesOf = (arm) => page.curves[arm].flatMap(([place, ...shares]) => shares.map((accuracy, epoch) => ({
  trial: trials[place].trial,
  kind: trials[place].phase,
  best: trials[place].accuracy,
  arm,
  epoch,
  accuracy,
})));

const seriesOf = (byArm) => Object.entries(byArm).flatMap(([arm, values]) => values.map((value, place) => ({ arm, n: place + 1, value })));

/** Rows by the name a chart asks for; the argument is the arm of charts that show one. */
const sources = {
  trials: () => trials.filter((trial) => trial.phase === "search"),
  entries: () => page.entries,
  front: () => page.front,
  costs: () => page.costs,
  hypervolume: () => seriesOf(page.hypervolume),
  expected: () => seriesOf(page.expected),
  curves: curvesOf,
  lines: linesOf,
  ticks: ticksOf,
};
