// The few numbers to look at first, each with its last two minutes.

import { byId, element, mark, say, svg } from "./dom.js";
import { byteRate, bytes, latency, money, percent, rate, span } from "./format.js";

const kept = 120;

const tiles = [
  { id: "reads", name: "Reads", class: "read", of: (f) => f.totals.reads.perSecond, value: (f) => rate(f.totals.reads.perSecond),
    note: (f) => `${byteRate(f.totals.reads.bytesPerSecond)} · p99 ${latency(f.totals.reads.latency.p99)}` },
  { id: "writes", name: "Writes", of: (f) => f.totals.writes.perSecond, value: (f) => rate(f.totals.writes.perSecond),
    note: (f) => `${byteRate(f.totals.writes.bytesPerSecond)} · p99 ${latency(f.totals.writes.latency.p99)}` },
  { id: "flush", name: "FLUSH, p50", of: (f) => f.totals.flushes.latency.p50 ?? 0,
    value: (f) => latency(f.totals.flushes.latency.p50),
    note: (f) => `${rate(f.totals.flushes.perSecond)} · p99 ${latency(f.totals.flushes.latency.p99)}` },
  { id: "lag", name: "Bucket is behind by", of: (f) => f.wal.lagSeconds, value: (f) => (f.wal.dirtyBytes === 0 ? "nothing" : f.wal.lagSeconds < 60 ? `${f.wal.lagSeconds.toFixed(1)} s` : span(f.wal.lagSeconds)),
    note: (f) => (f.wal.dirtyBytes === 0 ? "everything is there" : `${bytes(f.wal.dirtyBytes)} unpublished`),
    level: (f) => (f.bucket.reachable ? "" : "warning") },
  { id: "wal", name: "WAL in use", of: (f) => share(f), top: 1, value: (f) => percent(share(f)),
    note: (f) => `of ${bytes(f.wal.limitBytes)}${f.wal.growthBytesPerSecond > 1024 ? ` · grows ${byteRate(f.wal.growthBytesPerSecond)}` : ""}`,
    level: (f) => (share(f) > 0.9 ? "critical" : share(f) > 0.5 ? "warning" : "") },
  { id: "cost", name: "Bucket, a day", class: "cost", of: (f) => f.bucket.cost.perDay, value: (f) => money(f.bucket.cost.perDay, f.bucket.cost.currency),
    note: () => "at the last minute's rate" },
];

const share = (frame) => (frame.wal.limitBytes > 0 ? frame.wal.dirtyBytes / frame.wal.limitBytes : 0);

/** Makes the tiles; to be called once. */
export function build() {
  for (const tile of tiles) {
    tile.points = [];
    tile.root = element("div", { class: `tile ${tile.class ?? ""}`, attributes: { id: `tile-${tile.id}` } });
    tile.big = element("p", { class: "value", text: "–" });
    tile.small = element("p", { class: "note" });
    const drawing = svg("svg", { viewBox: `0 0 ${kept - 1} 30`, preserveAspectRatio: "none", "aria-hidden": "true" });
    tile.area = svg("path", { class: "area" });
    tile.line = svg("path");
    drawing.append(tile.area, tile.line);
    tile.root.append(element("h2", { text: tile.name }), tile.big, tile.small, drawing);
    byId("tiles").append(tile.root);
  }
}

/** Shows a frame. */
export function show(frame) {
  for (const tile of tiles) {
    say(tile.big, tile.value(frame));
    say(tile.small, tile.note(frame));
    mark(tile.root, "level", tile.level?.(frame) ?? "");
    if (!frame.server.hasRates) continue;
    tile.points.push(tile.of(frame));
    if (tile.points.length > kept) tile.points.shift();
    draw(tile);
  }
}

function draw(tile) {
  const top = tile.top ?? Math.max(...tile.points, 1e-9) * 1.15;
  const first = kept - tile.points.length;
  const line = tile.points.map((value, i) => `${i === 0 ? "M" : "L"}${first + i} ${(29 - (value / top) * 27).toFixed(1)}`).join("");
  tile.line.setAttribute("d", line);
  tile.area.setAttribute("d", tile.points.length > 1 ? `${line}L${kept - 1} 30L${first} 30Z` : "");
}
