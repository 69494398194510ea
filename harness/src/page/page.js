"use strict";
// Draws what of the operations is in view. The axis is the order of the events.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const ops = data.operations;
  const count = ops.from.length;
  const get = (id) => document.getElementById(id);
  const canvas = get("canvas"), tip = get("tip"), search = get("search");
  const context = canvas.getContext("2d");
  const COLORS = {
    answered: "#b3261e", happened: "#d9822b", optional: "#e8c26a", background: "#f0dfb0",
    0: "#9db8d9", 1: "#d0d0d0", 2: "#c9b3e0",
  };
  const MARGIN = 84, AXIS = 22, ROW_MAX = 26, HEIGHT_MAX = 0.62;
  const role = new Map(data.core);
  const state = { key: data.key ?? -1, only: false, from: 0, until: 1, hits: [], hit: -1 };

  // What is shown: the operations of the key, or of the core, in rows without gaps.
  let shown = [], rows = [], rowOf = new Map();
  function select() {
    shown = [];
    for (let i = 0; i < count; i++) {
      if (state.only ? role.has(i) : state.key < 0 || ops.key[i] === state.key) shown.push(i);
    }
    rows = [...new Set(shown.map((i) => ops.lane[i]))].sort((a, b) => a - b);
    rowOf = new Map(rows.map((lane, row) => [lane, row]));
    resize();
  }

  // Where an operation without an end is drawn to: a while after its beginning.
  const endOf = (i) => ops.until[i] ?? data.events;

  function bounds(list) {
    let from = Infinity, until = -Infinity;
    for (const i of list) {
      from = Math.min(from, ops.from[i]);
      until = Math.max(until, ops.until[i] ?? ops.from[i] + 1);
    }
    return from <= until ? [from, until] : [0, data.events];
  }

  function show(list, padding) {
    const [from, until] = bounds(list);
    const pad = Math.max(1, (until - from) * padding);
    state.from = from - pad;
    state.until = until + pad;
    draw();
  }

  const x = (event) =>
    MARGIN + ((event - state.from) / (state.until - state.from)) * (canvas.clientWidth - MARGIN);
  const eventAt = (px) =>
    state.from + ((px - MARGIN) / (canvas.clientWidth - MARGIN)) * (state.until - state.from);
  let rowHeight = ROW_MAX;

  function resize() {
    const room = innerHeight * HEIGHT_MAX - AXIS;
    rowHeight = Math.max(6, Math.min(ROW_MAX, room / Math.max(1, rows.length)));
    const height = rows.length * rowHeight + AXIS;
    canvas.style.height = height + "px";
    canvas.width = canvas.clientWidth * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    draw();
  }

  function text(i, isLong) {
    const question = data.labels[ops.question[i]];
    const answer = ops.answer[i] === null ? "" : " → " + data.labels[ops.answer[i]];
    const whole = question + answer;
    return isLong || whole.length < 200 ? whole : whole.slice(0, 200) + "…";
  }

  let waiting = false;
  function draw() {
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(() => { waiting = false; paint(); });
    }
  }

  function paint() {
    const width = canvas.clientWidth, height = rows.length * rowHeight;
    context.clearRect(0, 0, width, height + AXIS);
    context.font = `${Math.min(12, rowHeight - 4)}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    rows.forEach((lane, row) => {
      context.fillStyle = row % 2 ? "#fff" : "#f6f7f9";
      context.fillRect(0, row * rowHeight, width, rowHeight);
    });
    const hits = new Set(state.hits);
    // One rectangle a pixel is enough where operations are smaller; the core is drawn last.
    const drawn = new Int32Array(rows.length).fill(-1);
    const last = [];
    for (const i of shown) {
      if (role.has(i) || hits.has(i)) last.push(i);
      else box(i, drawn, false);
    }
    for (const i of last) box(i, null, hits.has(i));
    labelRows(height);
    axis(width, height);
  }

  function box(i, drawn, isHit) {
    const left = Math.max(MARGIN, x(ops.from[i])), right = x(endOf(i));
    if (right < MARGIN || left > canvas.clientWidth) return;
    const row = rowOf.get(ops.lane[i]);
    const wide = Math.max(2, Math.min(right, canvas.clientWidth + 8) - left);
    if (drawn && wide <= 2) {
      if (drawn[row] === Math.floor(left)) return;
      drawn[row] = Math.floor(left);
    }
    const top = row * rowHeight + 2, high = rowHeight - 4;
    const isOpen = ops.until[i] === null || ops.outcome[i] === 2;
    context.globalAlpha = role.has(i) || !role.size ? 1 : 0.55;
    context.fillStyle = COLORS[role.get(i) ?? ops.outcome[i]];
    if (isOpen) {
      // It may take effect at any later time: the body ends, the line goes on.
      const body = Math.min(wide, Math.max(6, x(ops.until[i] ?? ops.from[i] + 1) - left));
      context.fillRect(left, top + high / 2 - 1, wide, 2);
      context.fillRect(left, top, body, high);
    } else {
      context.fillRect(left, top, wide - (wide > 4 ? 1 : 0), high);
    }
    context.globalAlpha = 1;
    if (isHit) {
      context.strokeStyle = "#0a58ca";
      context.lineWidth = 2;
      context.strokeRect(left, top, wide, high);
    }
    if (wide > 24 && rowHeight >= 12) {
      context.save();
      context.beginPath();
      context.rect(left, top, wide - 3, high);
      context.clip();
      context.fillStyle = ["answered", "happened"].includes(role.get(i)) ? "#fff" : "#1b1f24";
      context.fillText(text(i, false), left + 4, top + high / 2);
      context.restore();
    }
  }

  function labelRows(height) {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, MARGIN - 4, height + AXIS);
    context.fillStyle = "#667";
    if (rowHeight < 10) return;
    const middle = (state.from + state.until) / 2;
    const name = new Map(), distance = new Map();
    for (const i of shown) {
      const away = Math.abs(ops.from[i] - middle) - (role.has(i) ? data.events : 0);
      const lane = ops.lane[i];
      if (!(away >= distance.get(lane))) {
        distance.set(lane, away);
        name.set(lane, ops.process[i]);
      }
    }
    rows.forEach((lane, row) => {
      context.fillText("process " + name.get(lane), 6, (row + 0.5) * rowHeight, MARGIN - 12);
    });
  }

  // Numbers of lines, those of events in view that are some way apart.
  let lines = null;
  function axis(width, height) {
    if (!lines) {
      lines = [];
      for (let i = 0; i < count; i++) {
        lines[ops.from[i]] = ops.line[i];
        if (ops.until[i] !== null) lines[ops.until[i]] = ops.end_line[i];
      }
    }
    context.fillStyle = "#667";
    context.font = "11px system-ui, sans-serif";
    context.fillText("line", 6, height + AXIS / 2);
    const step = Math.max(1, Math.ceil(((state.until - state.from) * 70) / (width - MARGIN)));
    const first = Math.max(0, Math.ceil(state.from / step) * step);
    for (let event = first; event <= Math.min(state.until, data.events); event += step) {
      if (lines[event] === undefined) continue;
      context.fillRect(x(event), height, 1, 4);
      context.fillText(lines[event], x(event) + 3, height + AXIS / 2);
    }
  }

  function zoom(factor, at) {
    const span = (state.until - state.from) * factor;
    if (span < 3 || span > data.events * 4 + 10) return;
    const share = (at - state.from) / (state.until - state.from);
    state.from = at - span * share;
    state.until = state.from + span;
    draw();
  }

  function under(event) {
    const box = canvas.getBoundingClientRect();
    const px = event.clientX - box.left, row = Math.floor((event.clientY - box.top) / rowHeight);
    let best = -1;
    for (const i of shown) {
      if (rowOf.get(ops.lane[i]) !== row || px < x(ops.from[i]) - 1) continue;
      const right = ops.until[i] === null ? x(endOf(i)) : Math.max(x(ops.until[i]), x(ops.from[i]) + 2);
      if (px <= right + 1 && (best < 0 || role.has(i) || (!role.has(best) && ops.from[i] > ops.from[best]))) best = i;
    }
    return best;
  }

  function describe(i) {
    const outcome = ["", "\nfailed: it certainly did not happen", "\noutcome unknown"][ops.outcome[i]];
    const key = data.keys[ops.key[i]];
    const end = ops.end_line[i] === null ? "" : "–" + ops.end_line[i];
    return `process ${ops.process[i]}: ${text(i, true)}${outcome}` +
      `\nlines ${ops.line[i]}${end}` +
      (key === "" ? "" : `\nkey ${key}`) +
      (ops.place[i] === null ? "" : `\nnumber ${ops.place[i] + 1} in the order that was found`) +
      (role.has(i) ? `\nin the core: ${role.get(i)}` : "");
  }

  function find() {
    const wanted = search.value.trim();
    state.hits = [];
    state.hit = -1;
    if (wanted) {
      const line = /^(?:line\s*)?(\d+)$/.exec(wanted);
      for (let i = 0; i < count; i++) {
        const isHit = line
          ? ops.line[i] === +line[1] || ops.end_line[i] === +line[1]
          : text(i, true).toLowerCase().includes(wanted.toLowerCase());
        if (isHit) state.hits.push(i);
      }
    }
    // What has a line of that number comes before what holds the number as a value.
    if (wanted && !state.hits.length && /^\d+$/.test(wanted)) {
      for (let i = 0; i < count; i++) if (text(i, true).includes(wanted)) state.hits.push(i);
    }
    tellHits();
    draw();
  }

  function tellHits() {
    get("found").textContent = !search.value.trim() ? ""
      : state.hit < 0 ? `${state.hits.length} found` : `${state.hit + 1} of ${state.hits.length}`;
  }

  function nextHit(step) {
    if (!state.hits.length) return;
    state.hit = (state.hit + step + state.hits.length) % state.hits.length;
    const i = state.hits[state.hit];
    if (!rowOf.has(ops.lane[i]) || !shown.includes(i)) {
      state.only = get("only").checked = false;
      state.key = ops.key[i];
      get("key").value = state.key;
      select();
    }
    const span = Math.min(state.until - state.from, 60);
    state.from = ops.from[i] - span / 2;
    state.until = state.from + span;
    tellHits();
    draw();
  }

  const core = data.core.filter(([, what]) => what !== "background").map(([i]) => i);
  function showCore() {
    if (!core.length) return show(shown, 0.02);
    if (state.key !== data.key && state.key >= 0) {
      state.key = data.key;
      get("key").value = state.key;
      select();
    }
    show(core, 0.15);
  }

  get("core").disabled = !core.length;
  get("only").disabled = !core.length;
  get("core").onclick = showCore;
  get("all").onclick = () => show(shown, 0.02);
  get("in").onclick = () => zoom(0.5, (state.from + state.until) / 2);
  get("out").onclick = () => zoom(2, (state.from + state.until) / 2);
  get("only").onchange = (event) => { state.only = event.target.checked; select(); showCore(); };
  const keys = get("key");
  keys.add(new Option("all", -1));
  data.keys.forEach((key, index) => keys.add(new Option(key === "" ? "(none)" : key, index)));
  keys.value = state.key;
  keys.onchange = () => { state.key = +keys.value; select(); show(shown, 0.02); };
  search.oninput = find;
  search.onkeydown = (event) => { if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1); };

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = eventAt(event.clientX - canvas.getBoundingClientRect().left);
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = ((event.deltaX || event.deltaY) / canvas.clientWidth) * (state.until - state.from);
      state.from += by;
      state.until += by;
      draw();
    } else zoom(event.deltaY > 0 ? 1.25 : 0.8, at);
  }, { passive: false });
  let drag = null;
  canvas.onpointerdown = (event) => {
    drag = { px: event.clientX, from: state.from, until: state.until };
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointerup = () => { drag = null; };
  canvas.onpointerleave = () => { tip.hidden = true; };
  canvas.onpointermove = (event) => {
    if (drag) {
      const by = ((drag.px - event.clientX) / (canvas.clientWidth - MARGIN)) * (drag.until - drag.from);
      state.from = drag.from + by;
      state.until = drag.until + by;
      draw();
      return;
    }
    const i = under(event);
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.textContent = describe(i);
    const box = canvas.getBoundingClientRect();
    tip.style.left = Math.min(event.clientX - box.left + 12, box.width - tip.offsetWidth - 8) + "px";
    tip.style.top = event.clientY - box.top + 16 + "px";
  };
  document.onkeydown = (event) => {
    if (event.target.tagName === "INPUT") return;
    if (event.key === "+") get("in").click();
    if (event.key === "-") get("out").click();
  };
  addEventListener("resize", resize);
  state.until = data.events;
  select();
  if (core.length) showCore();
  else show(shown, 0.02);
})();
