"use strict";
// The charts of a run over one common time: faults, leaders, throughput, latency.
(() => {
  const charts = document.getElementById("charts");
  if (!charts) return;
  const storm = JSON.parse(document.getElementById("storm").textContent);
  const get = (id) => document.getElementById(id);
  // Okabe and Ito's colours, which most people can tell apart.
  const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a00", "#444"];
  const families = [...new Set(storm.faults.map((fault) => fault.family))];
  const colorOf = (family) => COLORS[families.indexOf(family) % COLORS.length];
  const faults = storm.faults.map((fault) => ({ ...fault, until: fault.until ?? storm.duration }));
  const AXIS = 84;

  const clip = (u, draw) => {
    const { left, top, width, height } = u.bbox;
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(left, top, width, height);
    u.ctx.clip();
    draw(u.ctx, top, height);
    u.ctx.restore();
  };

  // Faults lie as bands behind what they may explain.
  const bands = (u) => clip(u, (context, top, height) => {
    for (const fault of faults) {
      const from = u.valToPos(fault.from, "x", true), until = u.valToPos(fault.until, "x", true);
      context.fillStyle = colorOf(fault.family) + "22";
      context.fillRect(from, top, Math.max(1, until - from), height);
    }
  });

  // Each family has a row; faults of one family that overlap share it.
  const ROW = 20;
  const lanes = (u) => clip(u, (context, top, height) => {
    const high = height / Math.max(1, families.length);
    const pixel = devicePixelRatio;
    context.font = `${11 * pixel}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const fault of faults) {
      const row = families.indexOf(fault.family);
      const from = u.valToPos(fault.from, "x", true), until = u.valToPos(fault.until, "x", true);
      const wide = Math.max(2 * pixel, until - from), y = top + row * high;
      context.fillStyle = colorOf(fault.family) + (fault.is_certain ? "bb" : "55");
      context.fillRect(from, y + 2 * pixel, wide, high - 4 * pixel);
      if (wide < 30 * pixel) continue;
      context.save();
      context.beginPath();
      context.rect(from, y, wide - 3 * pixel, high);
      context.clip();
      context.fillStyle = "#fff";
      context.fillText(fault.label, from + 4 * pixel, y + high / 2);
      context.restore();
    }
  });

  const seconds = (value) => {
    const whole = Math.floor(value), minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
    const rest = (value - minutes * 60).toFixed(value < 100 ? 1 : 0).replace(/\.0$/, "");
    if (!minutes) return rest + " s";
    return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min` + (rest === "0" ? "" : ` ${rest} s`);
  };

  const reignAt = (time) => storm.reigns.findLast((reign) => reign.at <= time);
  const force = get("force"), hint = force.textContent;
  function tell(u) {
    const { left } = u.cursor;
    if (left == null || left < 0) { force.textContent = hint; return; }
    const time = u.posToVal(left, "x");
    const present = faults.filter((fault) => fault.from <= time && time <= fault.until);
    const reign = reignAt(time);
    const leader = reign?.node ? `${reign.node} leads term ${reign.term}` : "no leader seen";
    force.textContent = `${seconds(time)}: ${leader}; `
      + (present.map((fault) => fault.label).join(", ") || "calm");
  }

  // Steps of time that people count in.
  const STEPS = [0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600,
    7200, 14400, 28800, 86400];
  const all = [];
  function chart(id, height, data, series, y, hooks) {
    const options = {
      width: get(id).clientWidth, height,
      padding: [6, 20, 0, 0],
      cursor: { sync: { key: "storm" }, y: false },
      scales: { x: { time: false, range: (u, from, until) => from === null ? [0, storm.duration] : [from, until] }, y: y.scale },
      axes: [
        { values: (u, ticks) => ticks.map(seconds), incrs: STEPS, size: 28, grid: { show: false }, space: 70 },
        { size: AXIS, ...y.axis },
      ],
      legend: { show: !y.isBare },
      series: [{ label: "time", value: (u, time) => time == null ? "" : seconds(time) }, ...series],
      hooks: { setCursor: [tell], ...hooks },
    };
    all.push([id, height, new uPlot(options, data, get(id))]);
  }

  const span = [0, storm.duration];
  chart("faults", ROW * Math.max(1, families.length) + 40, [span, [null, null]], [{ show: false }], {
    isBare: true,
    scale: { range: () => [0, Math.max(1, families.length)] },
    axis: {
      splits: () => families.map((_, row) => families.length - row - 0.5),
      values: () => families,
      grid: { show: false }, ticks: { show: false },
    },
  }, { draw: [lanes] });

  // Every node's line is there while it leads; both ends of a reign are points of it.
  const nodes = [...new Set(storm.reigns.map((reign) => reign.node).filter(Boolean))].sort();
  const times = [], terms = nodes.map(() => []);
  storm.reigns.forEach((reign, index) => {
    const until = storm.reigns[index + 1]?.at ?? storm.duration;
    for (const time of [reign.at, Math.max(reign.at, until - 1e-6), until - 5e-7]) {
      times.push(time);
      terms.forEach((line, place) => {
        const leads = nodes[place] === reign.node && time !== until - 5e-7;
        line.push(leads ? reign.term : null);
      });
    }
  });
  const whole = (u, values) => values.map((value) => Number.isInteger(value) ? value : "");
  chart("leaders", 150, [times, ...terms], nodes.map((node, place) => ({
    label: node, stroke: COLORS[place % COLORS.length], width: 4, points: { show: false },
    value: (u, term) => term == null ? "–" : "term " + term,
  })), {
    scale: { range: (u, from, until) => [Math.max(0, (from ?? 0) - 1), (until ?? 1) + 1] },
    axis: { values: whole, label: undefined },
  }, { drawClear: [bands] });

  const { time, ok, fail, info, p50, p99, max } = storm.series;
  const line = (label, stroke, more) => ({
    label, stroke, width: 1.5, points: { show: false },
    value: (u, value) => value == null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: 1 }),
    ...more,
  });
  chart("throughput", 190, [time, ok, fail, info], [
    line("ok", "#1f7a3f", { fill: "#1f7a3f22" }), line("fail", "#777"), line("info", "#7b4fb3"),
  ], { scale: { range: (u, from, until) => [0, Math.max(1, until ?? 1) * 1.08] }, axis: {} }, { drawClear: [bands] });
  chart("latency", 210, [time, p50, p99, max], [
    line("p50", "#0072b2"), line("p99", "#d55e00"), line("max", "#999", { width: 1, dash: [3, 3] }),
  ], {
    // A storm's latencies go over four powers of ten.
    scale: { distr: 3 },
    axis: { values: (u, values) => values.map((value) => value == null ? "" : Number.isInteger(Math.log10(value)) ? value : "") },
  }, { drawClear: [bands] });

  // A zoom of one is a zoom of all.
  let zooming = false;
  for (const [, , u] of all) {
    (u.hooks.setScale ??= []).push((of, scale) => {
      if (scale !== "x" || zooming) return;
      zooming = true;
      const { min, max: until } = of.scales.x;
      for (const [, , other] of all) if (other !== of) other.setScale("x", { min, max: until });
      zooming = false;
    });
    u.over.addEventListener("dblclick", () => u.setScale("x", { min: 0, max: storm.duration }));
    u.setScale("x", { min: 0, max: storm.duration });
  }
  let waiting = false;
  addEventListener("resize", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const [id, height, u] of all) u.setSize({ width: get(id).clientWidth, height });
    });
  });
})();
