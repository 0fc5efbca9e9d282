// The pipeline as a picture: boxes that are text, and arrows between them that are drawn where the boxes are.

import { byId, element, mark, say, share, svg, sync } from "./dom.js";
import { byteRate, bytes, count, latency, percent, rate } from "./format.js";
import { flows, nodes, stageNumbers } from "./stages.js";

const picture = byId("picture");
const about = byId("about");
const boxes = new Map();
const arrows = [];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let isStill = false;

/** Makes the boxes and arrows; to be called once. */
export function build() {
  for (const node of nodes) {
    const box = makeBox(node);
    boxes.set(node.id, box);
    picture.append(box.root);
  }
  const drawing = svg("svg", { "aria-hidden": "true", focusable: "false" });
  picture.prepend(drawing);
  for (const flow of flows) arrows.push(makeArrow(flow, drawing));
  new ResizeObserver(draw).observe(picture);
  calm.addEventListener("change", () => arrows.forEach(move));
}

/** Shows a frame. */
export function show(frame) {
  // What settles has no queue of its own, and a box of another kind.
  for (const stage of frame.stages) if (stage.name in stageNumbers) fillStage(boxes.get(stage.name), stage);
  fillOthers(frame);
  for (const arrow of arrows) fillArrow(arrow, frame);
  fillTable(frame);
}

/** Lets everything flow, or stand still. */
export function still(value) {
  isStill = value;
  arrows.forEach(move);
}

function makeBox(node) {
  const root = element("div", { class: `node ${node.kind} n-${node.id}` });
  const number = node.stage ? stageNumbers[node.id] : node.number;
  const name = element("button", { attributes: { type: "button", "aria-controls": "about", "aria-expanded": "false" } });
  if (number) name.append(element("span", { class: "number", text: String(number) }));
  name.append(element("span", { text: node.title ?? node.id }));
  name.addEventListener("click", () => explain(node, name));
  const box = { root, lines: [] };
  root.append(element("h3", {}, name));
  if (node.id === "wal" || node.id === "bucket") {
    if (node.id === "wal") root.append(element("div", { class: "tank", attributes: { "aria-hidden": "true" } }, (box.fill = element("i"))));
  } else if (node.id !== "clients" && node.id !== "settle") {
    root.append(element("div", { class: node.stage ? "queue" : "meter", attributes: { "aria-hidden": "true" } }, (box.fill = element("i"))));
  }
  for (let i = 0; i < 4; i += 1) {
    const line = element("p");
    box.lines.push(line);
    root.append(line);
  }
  if (node.stage && node.id !== "admit") root.append(element("div", { class: "busy", attributes: { "aria-hidden": "true" } }, (box.busy = element("i"))));
  return box;
}

function explain(node, button) {
  const isOpen = button.getAttribute("aria-expanded") === "true";
  for (const other of picture.querySelectorAll("button")) other.setAttribute("aria-expanded", "false");
  about.hidden = isOpen;
  if (isOpen) return;
  button.setAttribute("aria-expanded", "true");
  const number = node.stage ? stageNumbers[node.id] : node.number;
  say(about.querySelector("h3"), `${number ? `(${number}) ` : ""}${node.title ?? node.id}`);
  say(about.querySelector("p"), node.about);
}

// Queues have bounds from one to millions: on a logarithmic scale the first few show, and "full" is still full.
const filled = (queue, bound) => (bound > 0 ? Math.log1p(queue) / Math.log1p(bound) : 0);

function lines(box, texts) {
  box.lines.forEach((line, i) => {
    say(line, texts[i] ?? "");
    line.hidden = !texts[i];
  });
}

function busyness(box, value) {
  mark(box.root, "busy", value > 0.5 ? "much" : value > 0.002 ? "some" : "");
  if (box.busy) share(box.busy, value);
}

function fillStage(box, stage) {
  if (!box) return;
  const full = stage.bound > 4 ? stage.queue / stage.bound : 0;
  share(box.fill, filled(stage.queue, stage.bound));
  mark(box.root, "full", full > 0.95 ? "critical" : full > 0.5 ? "warning" : "");
  // Requests are in (1) until they are answered: that is no work.
  busyness(box, stage.name === "admit" ? (stage.messagesPerSecond > 0 ? 0.01 : 0) : stage.busyShare);
  const { p50, p99 } = stage.latency;
  lines(box, [
    `${count(stage.queue)} wait${stage.active > 0 ? ` · ${count(stage.active)} busy` : ""}`,
    p50 === null ? "" : `p50 ${latency(p50)}`,
    p99 === null ? "" : `p99 ${latency(p99)}`,
    stage.waitShare > 0.01 ? `senders wait ${percent(Math.min(1, stage.waitShare))}` : "",
  ]);
}

function fillOthers(frame) {
  const { wal, bucket, space, totals } = frame;
  lines(boxes.get("clients"), [
    `${count(frame.server.connections)} connected`, `${rate(totals.reads.perSecond)} reads`, `${rate(totals.writes.perSecond)} writes`,
    `${rate(totals.flushes.perSecond)} flushes`,
  ]);
  const used = wal.limitBytes > 0 ? wal.dirtyBytes / wal.limitBytes : 0;
  const log = boxes.get("wal");
  share(log.fill, used);
  mark(log.root, "full", used > 0.9 ? "critical" : used > 0.5 ? "warning" : "");
  lines(log, [
    `${bytes(wal.dirtyBytes)} wait`, `${percent(used)} of ${bytes(wal.limitBytes)}`,
    wal.sync.p50 === null ? "" : `sync ${latency(wal.sync.p50)}`, wal.sync.p99 === null ? "" : `p99 ${latency(wal.sync.p99)}`,
  ]);
  const store = boxes.get("bucket");
  store.root.classList.toggle("away", !bucket.reachable);
  lines(store, [bucket.reachable ? "reachable" : "away", `${bytes(space.liveBytes)} live`, `${bytes(space.tableBytes + space.mapBytes)} held`, `table ${space.lastTable}`]);
  lines(boxes.get("settle"), [space.settledBytesPerSecond > 0 ? byteRate(space.settledBytesPerSecond) : "at rest", `${count(space.waitingObjects)} to delete`]);
  for (const cache of frame.caches) {
    const box = boxes.get(cache.tier);
    share(box.fill, cache.limitBytes > 0 ? cache.bytes / cache.limitBytes : 0);
    lines(box, [
      cache.enabled ? `${bytes(cache.bytes)} held` : "off", `${rate(cache.hitsPerSecond)} hits`,
      `${rate(cache.missesPerSecond)} misses`, cache.hitShare === null ? "" : `${percent(cache.hitShare)} found`,
    ]);
  }
}

function makeArrow(flow, drawing) {
  const group = svg("g", { class: flow.kind });
  const pipe = svg("path", { class: "pipe" });
  const line = svg("path", { class: "flow still" });
  const head = svg("path", { class: "head" });
  const above = svg("text");
  const below = svg("text", { class: "sub" });
  group.append(pipe, line, head, above, below);
  drawing.append(group);
  const animation = line.animate([{ strokeDashoffset: 20 }, { strokeDashoffset: 0 }], { duration: 1000, iterations: Infinity });
  animation.pause();
  return { flow, group, pipe, line, head, above, below, animation, speed: 0 };
}

function fillArrow(arrow, frame) {
  const { bytes: size, messages, unit } = arrow.flow.of(frame);
  const isMoving = size > 0 || messages > 0;
  arrow.group.classList.toggle("moving", isMoving);
  arrow.group.classList.toggle("quiet", !isMoving);
  arrow.line.classList.toggle("still", !isMoving);
  const upper = size > 0 ? byteRate(size) : "";
  const lower = messages > 0 ? (unit ? `${rate(messages).replace("/s", "")} ${unit}/s` : rate(messages)) : "";
  if (arrow.joins) {
    say(arrow.above, [upper, lower].filter(Boolean).join("  ·  "));
    say(arrow.below, "");
  } else {
    say(arrow.above, upper);
    say(arrow.below, lower);
  }
  arrow.speed = isMoving ? Math.min(5, 0.5 + Math.log10(1 + size / 4096 + messages) * 0.9) : 0;
  move(arrow);
}

function move(arrow) {
  const moves = arrow.speed > 0 && !isStill && !calm.matches;
  if (!moves) {
    if (arrow.animation.playState === "running") arrow.animation.pause();
    return;
  }
  if (arrow.animation.playState !== "running") arrow.animation.play();
  if (Math.abs(arrow.animation.playbackRate - arrow.speed) > 0.1) arrow.animation.updatePlaybackRate(arrow.speed);
}

// Where the boxes are now, and the arrows between them.
function draw() {
  const frame = picture.getBoundingClientRect();
  const place = (id) => {
    const box = boxes.get(id).root.getBoundingClientRect();
    const [x, y] = [box.left - frame.left, box.top - frame.top];
    return { left: x, top: y, right: x + box.width, bottom: y + box.height, x: x + box.width / 2, y: y + box.height / 2 };
  };
  const isNarrow = getComputedStyle(picture).gridTemplateColumns.split(" ").length === 1;
  for (const arrow of arrows) {
    const [from, to] = [place(arrow.flow.from), place(arrow.flow.to)];
    const shape = isNarrow ? narrow(arrow.flow, from, to, frame) : wide(arrow.flow, from, to, frame);
    arrow.group.style.display = shape ? "" : "none";
    if (!shape) continue;
    arrow.joins = shape.joins;
    const path = rounded(shape.points);
    arrow.pipe.setAttribute("d", path);
    arrow.line.setAttribute("d", path);
    arrow.head.setAttribute("d", tip(shape.points));
    arrow.above.setAttribute("x", shape.label.x);
    arrow.above.setAttribute("y", shape.label.y);
    arrow.below.setAttribute("x", shape.label.x);
    arrow.below.setAttribute("y", shape.label.y + (shape.gap ?? 27));
  }
}

const inset = 7;
const headroom = 9;

function wide(flow, from, to, frame) {
  switch (flow.route) {
    case "down": {
      const middle = (from.bottom + to.top) / 2;
      return {
        points: [[from.x, from.bottom + inset], [from.x, middle], [to.x, middle], [to.x, to.top - headroom]],
        label: { x: (from.x + to.x) / 2, y: middle - 9 }, joins: true,
      };
    }
    case "up": {
      const middle = (from.top + to.bottom) / 2;
      return { points: [[from.x, from.top - inset], [to.x, to.bottom + headroom]], label: { x: from.x - 46, y: middle - 3 }, gap: 15 };
    }
    case "over": {
      const y = from.top - 19;
      return {
        points: [[from.x, from.top - inset], [from.x, y], [to.x, y], [to.x, to.top - headroom]],
        label: { x: (from.x + to.x) / 2, y: y - 8 }, joins: true,
      };
    }
    case "under":
      return { points: [[from.x, from.bottom + inset], [from.x, to.y], [to.right + headroom, to.y]], label: { x: from.x - 34, y: to.y + 21 }, joins: true };
    case "back":
      return { points: [[from.left - inset, from.y], [to.x, from.y], [to.x, to.bottom + headroom]], label: { x: (from.left + to.x) / 2, y: from.y - 9 }, joins: true };
    default: {
      const [start, end] = from.x < to.x ? [from.right + inset, to.left - headroom] : [from.left - inset, to.right + headroom];
      const y = from.top + Math.min(58, (from.bottom - from.top) / 2);
      return { points: [[start, y], [end, y]], label: { x: (from.x < to.x ? from.right + to.left : from.left + to.right) / 2, y: y - 10 } };
    }
  }
}

// One below the other; the long ways go along the sides.
function narrow(flow, from, to, frame) {
  if (flow.route === "over") {
    const x = 7;
    return { points: [[from.left - 2, from.y], [x, from.y], [x, to.y], [to.left - headroom, to.y]], label: { x: -999, y: 0 }, joins: true };
  }
  if (flow.route === "back") {
    const x = frame.width - 7;
    return { points: [[from.right + 2, from.y], [x, from.y], [x, to.y], [to.right + headroom, to.y]], label: { x: -999, y: 0 }, joins: true };
  }
  if (flow.from === "bucket" && flow.to === "disk") {
    const x = frame.width - 7;
    const y = from.bottom - 14;
    return { points: [[from.right + 2, y], [x, y], [x, to.y], [to.right + headroom, to.y]], label: { x: -999, y: 0 }, joins: true };
  }
  const x = from.left + 30;
  return { points: [[x, from.bottom + 5], [x, to.top - headroom]], label: { x: x + 16, y: (from.bottom + to.top) / 2 + 4 }, joins: true };
}

function rounded(points) {
  let path = `M${points[0].join(" ")}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const [before, corner, after] = [points[i - 1], points[i], points[i + 1]];
    const radius = Math.min(10, distance(before, corner) / 2, distance(corner, after) / 2);
    path += `L${toward(corner, before, radius).join(" ")}Q${corner.join(" ")} ${toward(corner, after, radius).join(" ")}`;
  }
  return `${path}L${points.at(-1).join(" ")}`;
}

const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

function toward(from, to, length) {
  const all = distance(from, to) || 1;
  return [from[0] + ((to[0] - from[0]) * length) / all, from[1] + ((to[1] - from[1]) * length) / all];
}

function tip(points) {
  const [end, before] = [points.at(-1), points.at(-2)];
  const [dx, dy] = toward([0, 0], [end[0] - before[0], end[1] - before[1]], 7);
  const [x, y] = [end[0] + dx * 0.9, end[1] + dy * 0.9];
  return `M${x} ${y}L${x - dx - dy * 0.8} ${y - dy + dx * 0.8}L${x - dx + dy * 0.8} ${y - dy - dx * 0.8}Z`;
}

function fillTable(frame) {
  sync(
    byId("stages").tBodies[0], frame.stages, (stage) => stage.name,
    (stage) => {
      const row = element("tr", {}, element("th", { text: stage.name, attributes: { scope: "row" } }));
      for (let i = 0; i < 9; i += 1) row.append(element("td"));
      return row;
    },
    (row, stage) => {
      const texts = [
        `${count(stage.queue)} of ${count(stage.bound)}`, count(stage.active), rate(stage.messagesPerSecond), byteRate(stage.bytesInPerSecond),
        byteRate(stage.bytesOutPerSecond), latency(stage.latency.p50), latency(stage.latency.p99), percent(stage.busyShare), percent(stage.waitShare),
      ];
      texts.forEach((text, i) => say(row.cells[i + 1], text));
    });
}
