// Everything below the picture: lists and tables, kept in place from frame to frame.

import { byId, element, mark, say, share, sync } from "./dom.js";
import { byteRate, bytes, clock, count, day, latency, money, percent, rate, span } from "./format.js";

const kinds = { create: "PUT, create", write: "PUT", get: "GET", list: "LIST", delete: "DELETE" };

/** Shows a frame. */
export function show(frame) {
  showExports(frame);
  showRequests(frame.bucket);
  showCost(frame.bucket.cost);
  showSpace(frame);
  showClients(frame);
  showSnapshots(frame);
  showEvents(frame.events);
}

function cells(row, texts) {
  texts.forEach(([text, note], i) => {
    const cell = row.cells[i];
    cell.value ??= cell.appendChild(element("span"));
    say(cell.value, text);
    if (note !== undefined) {
      cell.note ??= cell.appendChild(element("small"));
      say(cell.note, note);
    }
  });
}

function showExports(frame) {
  say(byId("exports-count"), frame.exportsInAll > frame.exports.length ? `the first ${frame.exports.length} of ${frame.exportsInAll}` : "");
  const labels = ["", "Level", "Clients", "Behind", "Reads", "Writes", "Flushes", "Errors"];
  sync(
    byId("exports").tBodies[0], frame.exports, (one) => one.name,
    () => {
      const row = element("tr", {}, element("th", { class: "name", attributes: { scope: "row" } }));
      for (const label of labels.slice(1)) row.append(element("td", { attributes: { "data-label": label } }));
      return row;
    },
    (row, one) => {
      const flush = one.flushes.latency;
      cells(row, [
        [one.name, bytes(one.sizeBytes)],
        [""],
        [count(one.attached)],
        [one.lagSeconds > 0 ? `${one.lagSeconds < 60 ? one.lagSeconds.toFixed(1) + " s" : span(one.lagSeconds)}` : "–"],
        [rate(one.reads.perSecond), one.reads.perSecond === 0 ? "–" : `${byteRate(one.reads.bytesPerSecond)} · p99 ${latency(one.reads.latency.p99)}`],
        [rate(one.writes.perSecond), one.writes.perSecond === 0 ? "–" : `${byteRate(one.writes.bytesPerSecond)} · p99 ${latency(one.writes.latency.p99)}`],
        [rate(one.flushes.perSecond), flush.p50 === null ? "–" : `p50 ${latency(flush.p50)} · p99 ${latency(flush.p99)}`],
        [one.errorsPerSecond > 0 ? rate(one.errorsPerSecond) : "–"],
      ]);
      mark(row, "level", one.level);
      row.cells[7].classList.toggle("bad", one.errorsPerSecond > 0);
      const tags = [one.level, one.writeThrough ? "write-through" : "", one.readOnly ? "read-only" : ""].filter(Boolean);
      sync(row.cells[1].value, tags, (tag) => tag, (tag) => element("span", { class: `tag ${tag}`, text: tag }), () => {});
    });
}

function showRequests(bucket) {
  say(byId("bucket-state"), bucket.reachable ? "" : `away since ${clock(bucket.since)}`);
  sync(
    byId("requests").tBodies[0], bucket.requests, (one) => one.kind,
    (one) => {
      const row = element("tr", {}, element("th", { text: kinds[one.kind] ?? one.kind, attributes: { scope: "row" } }));
      for (let i = 0; i < 5; i += 1) row.append(element("td"));
      return row;
    },
    (row, one) => {
      const texts = [
        rate(one.perSecond), count(Math.round(one.perMinute)), latency(one.latency.p50), latency(one.latency.p99),
        one.failedPerSecond > 0 ? rate(one.failedPerSecond) : "–",
      ];
      texts.forEach((text, i) => say(row.cells[i + 1], text));
      row.cells[5].classList.toggle("bad", one.failedPerSecond > 0);
    });
}

function fields(list, entries) {
  sync(
    list, entries.flatMap(([name, value, more]) => [{ name, is: "dt" }, { name, value, more, is: "dd" }]), (one) => `${one.is} ${one.name}`,
    (one) => element(one.is, one.is === "dt" ? { text: one.name } : { class: one.more?.class }, ...(one.is === "dt" ? [] : [element("span")])),
    (child, one) => {
      if (one.is === "dt") return;
      say(child.firstChild, one.value);
      if (one.more?.share === undefined) return;
      child.meter ??= child.appendChild(element("div", { class: `meter ${one.more.kind ?? ""}`, attributes: { "aria-hidden": "true" } }, element("i")));
      share(child.meter.firstChild, one.more.share);
      mark(child.meter, "level", one.more.level);
    });
}

function showCost(cost) {
  const of = (value) => money(value, cost.currency);
  fields(byId("cost"), [
    ["PUT and LIST", of(cost.putsPerDay)], ["GET", of(cost.getsPerDay)], ["space", of(cost.storagePerDay)],
    ...(cost.transferGigabyte > 0 ? [["transfer", of(cost.transferPerDay)]] : []),
    ["in all", of(cost.perDay), { class: "sum" }],
  ]);
  const transfer = cost.transferGigabyte > 0 ? `${cost.transferGigabyte} for a GB read` : "transfer within the region free";
  say(byId("prices"), `Estimated, in ${cost.currency}: ${cost.putsPerThousand} for 1000 PUT or LIST, ${cost.getsPerThousand} for 1000 GET, `
    + `${cost.storageGigabyteMonth} for a GB and month, ${transfer}; S3 Standard's list unless set by the keys below Prices. Over the last ${span(cost.windowSeconds)}.`);
}

function showSpace({ wal, caches, space, server }) {
  const used = wal.limitBytes > 0 ? wal.dirtyBytes / wal.limitBytes : 0;
  fields(byId("space"), [
    ["WAL, not in the bucket", `${bytes(wal.dirtyBytes)} of ${bytes(wal.limitBytes)}`, { share: used, level: used > 0.9 ? "critical" : used > 0.5 ? "warning" : "" }],
    ["WAL, on disk", bytes(wal.diskBytes)],
    ...caches.map((cache) => [`${cache.tier} cache`, cache.enabled ? `${bytes(cache.bytes)} of ${bytes(cache.limitBytes)}` : "off",
      { share: cache.limitBytes > 0 ? cache.bytes / cache.limitBytes : 0, kind: "read" }]),
    ["live, at the last checkpoint", bytes(space.liveBytes)],
    ["tables and map", `${bytes(space.tableBytes)} + ${bytes(space.mapBytes)}`],
    ["to be deleted", `${count(space.waitingObjects)} objects`],
    ["epoch, table", `${space.epoch}, ${space.lastTable}`],
    ["processor", `${percent(server.cpuShare)} of a core`],
    ["memory", bytes(server.residentBytes)],
    ["running for", span((new Date(server.at) - new Date(server.startedAt)) / 1000)],
  ]);
}

function rows(list, items, keyOf, nothing, fill) {
  const shown = items.length > 0 ? items : [null];
  sync(
    list, shown, (item, index) => (item ? keyOf(item, index) : "none"),
    (item) => (item ? element("li", {}, element("span", { class: "what" }), element("span", { class: "side" })) : element("li", { class: "none", text: nothing })),
    (row, item) => item && fill(row, item));
}

function showClients(frame) {
  say(byId("clients-count"), frame.clientsInAll > frame.clients.length ? `the first ${frame.clients.length} of ${frame.clientsInAll}` : "");
  rows(byId("clients"), frame.clients, (one) => `${one.peer} ${one.export} ${one.secured}`, "Nobody has attached an export.", (row, one) => {
    say(row.firstChild, `${one.export} from ${one.peer}`);
    say(row.lastChild, `${one.connections > 1 ? `${one.connections} connections, ` : ""}${one.secured ? "TLS, " : ""}since ${clock(one.since)}`);
  });
}

function showSnapshots(frame) {
  say(byId("snapshots-count"), frame.snapshotsInAll > frame.snapshots.length ? `the newest ${frame.snapshots.length} of ${frame.snapshotsInAll}` : "");
  rows(byId("snapshots"), frame.snapshots, (one) => one.name, "There are none.", (row, one) => {
    say(row.firstChild, one.name);
    say(row.lastChild, `${bytes(one.sizeBytes)}, ${day(one.createdAt)}`);
  });
}

function showEvents(events) {
  sync(
    byId("events"), events, (one, index) => `${one.at} ${one.text} ${events.filter((other, i) => i > index && other.at === one.at && other.text === one.text).length}`,
    (one) => element("li", { attributes: { "data-level": one.level } },
      element("time", { text: clock(one.at), attributes: { datetime: one.at } }), element("span", { class: "what", text: one.text })),
    () => {});
}
