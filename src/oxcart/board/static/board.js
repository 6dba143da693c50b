// What does a page do beyond showing? Times that go on, keys, dialogs, picking, charts. Everything works without it.
"use strict";
(() => {
  const language = document.documentElement.lang;
  const words = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "narrow" });
  const main = document.getElementById("main");
  const dialog = document.getElementById("ask");

  // ---- times: the server has said how long ago it was; from then on we count
  const units = [["second", 1000, 60], ["minute", 60000, 60], ["hour", 3600000, 48], ["day", 86400000, Infinity]];
  const spoken = (ms) => {
    const away = Math.abs(ms);
    const [unit, size] = units.find(([, one, most]) => away / one < most);
    return words.format(Math.trunc(ms / size), unit);
  };
  const tick = () => {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time[data-ms]")) {
      const text = spoken(Number(time.dataset.ms) - Date.now());
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tick, 1000);

  // ---- the line to the worker
  const line = document.getElementById("line");
  const show = (on) => {
    line.textContent = on ? line.dataset.on : line.dataset.off;
    line.className = "line " + (on ? "on" : "off");
  };
  document.addEventListener("htmx:sse:after:connection", () => show(true));
  document.addEventListener("htmx:sse:error", () => show(false));
  document.addEventListener("htmx:sse:after:message", () => { show(true); tick(); follow(); charts(); });

  // ---- a log that is read at its end stays at its end
  const atEnd = new WeakMap();
  const follow = () => {
    for (const log of document.querySelectorAll("[data-follow]")) {
      if (atEnd.get(log) !== false) log.scrollTop = log.scrollHeight;
    }
  };
  document.addEventListener("scroll", (event) => {
    const log = event.target;
    if (log.matches?.("[data-follow]")) atEnd.set(log, log.scrollHeight - log.scrollTop - log.clientHeight < 30);
  }, true);

  // ---- questions open in a dialog
  document.addEventListener("htmx:after:swap", () => {
    if (dialog.firstElementChild && !dialog.open) {
      dialog.showModal();
      (dialog.querySelector("input:not([type=hidden]), textarea, select") || dialog.querySelector("button"))?.focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#ask [data-close]")) { event.preventDefault(); dialog.close(); }
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.replaceChildren());

  // ---- picking
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-all]")) return;
    for (const box of event.target.form.querySelectorAll("input[name=id]")) box.checked = event.target.checked;
  });

  // ---- keys: / search, j and k through a list, x pick, r retry, Enter opens
  const rows = () => [...main.querySelectorAll("a.row")];
  const go = (step) => {
    const all = rows();
    const at = all.indexOf(document.activeElement);
    all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))]?.focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) return;
    const row = document.activeElement?.closest?.("tr");
    const box = row?.querySelector("input[name=id]");
    const acts = {
      "/": () => document.getElementById("find").focus(),
      j: () => go(1),
      k: () => go(-1),
      x: () => { if (box) box.checked = !box.checked; },
      r: () => {
        const one = main.querySelector("[data-verb=retry]");
        if (one) { one.click(); return; }
        const verb = document.getElementById("verb");
        if (!verb || ![...verb.options].some((option) => option.value === "retry")) return;
        if (box && !verb.form.querySelector("input[name=id]:checked")) box.checked = true;
        verb.value = "retry";
        verb.form.querySelector("button[value=picked]").click();
      },
    };
    if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  });

  // ---- charts: numbers are in a table beside each, which is shown where there is no script
  const drawn = new WeakMap();
  const charts = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    for (const place of document.querySelectorAll("[data-chart]")) {
      if (drawn.get(place) === place.dataset.chart) continue;
      drawn.set(place, place.dataset.chart);
      const given = JSON.parse(place.dataset.chart);
      place.replaceChildren();
      const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
      new uPlot({
        width: place.clientWidth, height: 170, cursor: { y: false }, legend: { live: true },
        axes: [axis, { ...axis, size: 52 }], scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
        series: [{}, ...given.series.map((one) => ({ label: one.label, stroke: colour(one.colour), width: 1.5, fill: colour(one.colour) + "22", points: { show: false } }))],
      }, [given.times, ...given.series.map((one) => one.values)], place);
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    tick(); follow(); charts();
    for (const here of document.querySelectorAll("nav [aria-current]")) {
      const bar = here.parentElement;
      bar.scrollLeft = here.offsetLeft - (bar.clientWidth - here.clientWidth) / 2;
    }
  });
})();
