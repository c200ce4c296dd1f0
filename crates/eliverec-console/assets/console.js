// Draws the curves of the first page, of what /console/traffic.json says, and brings them up to date.
"use strict";
(() => {
  const places = [...document.querySelectorAll("[data-chart]")];
  if (places.length === 0) return;
  const note = document.getElementById("curves");
  const EVERY_MS = 2000;
  const SECONDS = 900;

  // Name and values of each curve.
  const curves = {
    answers: (report) => Object.entries(report.answers_per_s).filter(([, of]) => of.some((x) => x > 0)),
    latency: (report) => Object.entries(report.stages).flatMap(([stage, of]) =>
      stage === "total" ? [["total, 99 of 100", of.p99_ms], ["total, median", of.p50_ms]] : [[`${stage}, median`, of.p50_ms]]),
    refusals: (report) => Object.entries(report.refusals_per_s),
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ago = (seconds) => (seconds === 0 ? "now" : `${Math.round(-seconds / 60)} min`);

  const options = (names, width) => {
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    return {
      width,
      height: 200,
      scales: { x: { time: false, range: [-SECONDS, SECONDS / 60] }, y: { range: (chart, least, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [{ ...axis, values: (chart, all) => all.map(ago), incrs: [60, 180, 300] }, { ...axis, size: 60 }],
      cursor: { show: false },
      legend: { live: false },
      series: [{ label: "time" }, ...names.map((label, i) => ({ label, stroke: colour(`--c${i % 8}`), width: 2, points: { size: 5, show: (chart, place) => chart.data[place].filter((x) => x !== null).length <= 30 } }))],
    };
  };

  const drawn = new Map();
  const draw = (place, report) => {
    const all = curves[place.dataset.chart](report);
    place.classList.toggle("empty", all.length === 0);
    const before = drawn.get(place);
    if (all.length === 0) {
      if (before) before.chart.destroy();
      drawn.delete(place);
      place.textContent = `${place.dataset.none} in the last quarter of an hour`;
      return;
    }
    const ages = report.ages_s.map((age) => -Math.max(age, 0));
    const data = [ages, ...all.map(([, values]) => values)];
    const names = all.map(([name]) => name);
    const key = `${names.join()} ${place.clientWidth} ${colour("--paper")}`;
    if (before && before.key === key) {
      before.chart.setData(data);
      return;
    }
    if (before) before.chart.destroy();
    place.textContent = "";
    drawn.set(place, { key, chart: new uPlot(options(names, place.clientWidth), data, place) });
  };

  let last = null;
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/console/traffic.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status === 401 ? "sign in again" : `the service answered ${answer.status}`);
      last = await answer.json();
      note.textContent = `In steps of ${last.step_s} s; the last one goes on.`;
      places.forEach((place) => draw(place, last));
    } catch (error) {
      note.textContent = `The curves stand still: ${error.message}.`;
    }
  };
  const again = () => last && places.forEach((place) => draw(place, last));
  window.addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  look();
  setInterval(look, EVERY_MS);
})();
