// What the picture shows: its nodes in reading order, what each is for, and what flows between them.

export const stageNumbers = { admit: 1, sequence: 2, journal: 3, cut: "", chunk: 4, compress: 5, seal: 6, table: 7, upload: 8, commit: 9 };

export const nodes = [
  { id: "clients", kind: "write", title: "clients", about: "NBD connections of kernels, QEMU and others. Requests enter here, and are answered from the local log and the caches wherever that is possible." },
  { id: "admit", kind: "write", stage: true, about: "Reads requests from the connections, and takes their bytes from the budgets of payloads and of the WAL. When it takes long, look at what is behind it: the WAL is nearly full, or its disk is slow." },
  { id: "sequence", kind: "write", stage: true, about: "Gives every write, trim and barrier of all exports its place in one order. Messages that wait here wait for the journal." },
  { id: "journal", kind: "write", stage: true, about: "Seals a batch, appends it to the WAL, hands it to the operating system, and answers the writes. Its time is that of a system call, and of the local disk when the page cache is full." },
  { id: "wal", kind: "write", title: "WAL", about: "The log on the local disk. A FLUSH of a journaled export waits for one sync of it. It fills while the bucket is away or slower than the clients; when it is full, writes wait, and nothing is lost." },
  { id: "cut", kind: "write", stage: true, about: "Collects what was answered until a table is full, the publish interval is over, or a published FLUSH asks. What waits here is bounded by the WAL, so that a bar of some length is everyday life." },
  { id: "chunk", kind: "write", stage: true, about: "Takes what is still alive of a cut, the newest wins, and splits it at the borders of chunks." },
  { id: "compress", kind: "write", stage: true, about: "zstd, a cut on each core. Busy for long: the processor is the limit; a lower compression level of the exports helps." },
  { id: "seal", kind: "write", stage: true, about: "Encrypts and authenticates every frame, bound to its place, so that nothing can be moved, swapped or read in the bucket." },
  { id: "table", kind: "write", stage: true, about: "Puts frames, index and footer together: one immutable object." },
  { id: "upload", kind: "write", stage: true, about: "Creates the object in the bucket, several at once, and only if nobody else has: that is also what keeps a second server out. Slow, or full all the time: the network or the bucket is the limit." },
  { id: "commit", kind: "write", stage: true, about: "The chain in the bucket grows by a table, the map swaps from the log to it, and the log gets its space back. A FLUSH of a published export waits for this." },
  { id: "bucket", kind: "write", title: "bucket", about: "The truth: a chain of numbered tables, a consistent prefix of all writes of all exports at every moment." },
  { id: "settle", kind: "settle", title: "settle", number: 10, about: "In the background: writes checkpoints, rewrites tables that are mostly dead, and deletes what nobody needs any more." },
  { id: "disk", kind: "read", title: "disk cache", about: "Sealed frames on the local disk. What is found here costs no request." },
  { id: "memory", kind: "read", title: "memory cache", about: "Plain frames in memory." },
];

const stageOf = (frame, name) => frame.stages.find((stage) => stage.name === name);
const requestsOf = (frame, kind) => frame.bucket.requests.find((request) => request.kind === kind);
// What failed has not arrived.
const done = (requests) => (requests ? Math.max(0, requests.perSecond - requests.failedPerSecond) : 0);
const cacheOf = (frame, tier) => frame.caches.find((cache) => cache.tier === tier);

function into(name) {
  return (frame) => {
    const stage = stageOf(frame, name);
    return { bytes: stage?.bytesInPerSecond ?? 0, messages: stage?.messagesPerSecond ?? 0 };
  };
}

/** What flows along each arrow: bytes and messages a second. */
export const flows = [
  { from: "clients", to: "admit", kind: "write", of: (f) => ({ bytes: f.totals.writes.bytesPerSecond, messages: f.totals.writes.perSecond + f.totals.flushes.perSecond }) },
  { from: "admit", to: "sequence", kind: "write", of: into("sequence") },
  { from: "sequence", to: "journal", kind: "write", of: into("journal") },
  { from: "journal", to: "wal", kind: "write", of: (f) => ({ bytes: stageOf(f, "journal")?.bytesOutPerSecond ?? 0, messages: f.wal.syncsPerSecond, unit: "sync" }) },
  { from: "wal", to: "cut", kind: "write", route: "down", of: into("cut") },
  { from: "cut", to: "chunk", kind: "write", of: into("chunk") },
  { from: "chunk", to: "compress", kind: "write", of: into("compress") },
  { from: "compress", to: "seal", kind: "write", of: into("seal") },
  { from: "seal", to: "table", kind: "write", of: into("table") },
  { from: "table", to: "upload", kind: "write", of: into("upload") },
  { from: "upload", to: "commit", kind: "write", of: into("commit") },
  { from: "commit", to: "bucket", kind: "write", of: (f) => ({ bytes: requestsOf(f, "create")?.bytesPerSecond ?? 0, messages: done(requestsOf(f, "create")), unit: "PUT" }) },
  { from: "bucket", to: "disk", kind: "read", route: "up", of: (f) => ({ bytes: requestsOf(f, "get")?.bytesPerSecond ?? 0, messages: done(requestsOf(f, "get")), unit: "GET" }) },
  { from: "disk", to: "memory", kind: "read", of: (f) => ({ bytes: 0, messages: cacheOf(f, "disk")?.hitsPerSecond ?? 0, unit: "hits" }) },
  { from: "memory", to: "clients", kind: "read", route: "over", of: (f) => ({ bytes: f.totals.reads.bytesPerSecond, messages: f.totals.reads.perSecond }) },
  { from: "bucket", to: "settle", kind: "settle", route: "under", of: (f) => ({ bytes: f.space.settledBytesPerSecond, messages: 0 }) },
  { from: "settle", to: "chunk", kind: "settle", route: "back", of: (f) => ({ bytes: f.space.settledBytesPerSecond, messages: 0 }) },
];
