// The frames of the server, one a second, for as long as somebody looks. Server-sent events over fetch, because
// EventSource cannot carry a token.

const path = "v1/live";
const silence = 6000;
const pause = 1500;
const hiddenPatience = 60000;

/**
 * Tells `told` what happens: frame(object), lost(sentence), refused(status, sentence). Returns what looks again at once,
 * with another token.
 */
export function watch(told, token) {
  let current = token;
  let controller = null;
  let timer = 0;

  async function look() {
    const mine = new AbortController();
    controller?.abort();
    controller = mine;
    clearTimeout(timer);
    let watchdog = setTimeout(() => mine.abort("silent"), silence);
    let wait = pause;
    try {
      const headers = { Accept: "text/event-stream" };
      if (current) headers.Authorization = `Bearer ${current}`;
      const answer = await fetch(path, { headers, cache: "no-store", signal: mine.signal });
      if (!answer.ok) {
        const problem = await answer.json().catch(() => null);
        const sentence = problem?.detail ?? `The server answered ${answer.status}.`;
        told.refused(answer.status, sentence);
        if (answer.status === 401 || answer.status === 403) return;
        wait = 5000;
      } else {
        for await (const data of events(answer.body)) {
          clearTimeout(watchdog);
          watchdog = setTimeout(() => mine.abort("silent"), silence);
          if (controller === mine) told.frame(JSON.parse(data));
        }
        if (controller === mine) told.lost("The server has ended the connection.");
      }
    } catch (fault) {
      if (controller !== mine) return;
      told.lost(mine.signal.aborted ? "The server says nothing any more." : "The server cannot be reached.");
      if (!(fault instanceof TypeError) && !mine.signal.aborted) console.error(fault);
    } finally {
      clearTimeout(watchdog);
    }
    if (controller === mine) timer = setTimeout(look, wait);
  }

  function stop() {
    clearTimeout(timer);
    const old = controller;
    controller = null;
    old?.abort();
  }

  // A tab that nobody sees keeps the server from resting.
  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(stop, hiddenPatience);
    else if (!controller) look();
  });

  look();
  return (other) => {
    current = other;
    look();
  };
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const lines = rest.slice(0, end).split("\n");
      rest = rest.slice(end + 2);
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length > 0) yield data.join("\n");
    }
  }
}
