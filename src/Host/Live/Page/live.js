// The live view: takes frames from the server and gives them to the parts of the page.

import { byId, mark, say } from "./dom.js";
import { clock, span } from "./format.js";
import * as panels from "./panels.js";
import * as picture from "./picture.js";
import { watch } from "./stream.js";
import * as tiles from "./tiles.js";

const version = 1;
const tokenKey = "zeroflow.token";
const state = byId("state");
const pause = byId("pause");
const form = byId("token");
let last = null;
let isPaused = false;

picture.build();
tiles.build();

const lookAgain = watch({ frame, lost, refused }, sessionStorage.getItem(tokenKey));

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  say(pause, isPaused ? "Go on" : "Pause");
  picture.still(isPaused);
});

form.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const token = byId("token-text").value.trim();
  if (!token) return;
  sessionStorage.setItem(tokenKey, token);
  byId("token-text").value = "";
  lookAgain(token);
});

function frame(now) {
  if (now.version !== version) {
    headline("warning", "This page is of another version than the server", "Load it again.");
    return;
  }
  if (last && last.server.startedAt !== now.server.startedAt) last = null;
  form.hidden = true;
  if (document.body.dataset.stale) picture.still(isPaused);
  mark(document.body, "stale", "");
  // What has happened to the server is shown in any case.
  const isNews = last?.state.headline !== now.state.headline;
  last = now;
  showState(now);
  if (isPaused && !isNews) return;
  say(byId("version"), now.server.version);
  say(byId("store"), now.server.asOf ? `${now.server.store}, as of ${now.server.asOf}` : now.server.store);
  say(byId("clock"), clock(now.server.at));
  tiles.show(now);
  picture.show(now);
  panels.show(now);
}

function showState(now) {
  const { level, headline: words, detail, reason, since, walFullInSeconds } = now.state;
  headline(level, words, detail, reason);
  const [number, what] = [byId("countdown").firstElementChild, byId("countdown").lastElementChild];
  const away = since ? span((new Date(now.server.at) - new Date(since)) / 1000) : null;
  byId("countdown").hidden = !away && walFullInSeconds === null;
  if (walFullInSeconds > 0) {
    say(number, `~ ${span(walFullInSeconds)}`);
    say(what, `until writes wait${away ? `; away for ${away}` : ""}`);
  } else if (away) {
    say(number, away);
    say(what, `since ${clock(since)}`);
  }
  if (walFullInSeconds === 0 && !away) byId("countdown").hidden = true;
}

function headline(level, words, detail, reason = null) {
  mark(state, "level", level);
  byId("reason").hidden = !reason;
  say(byId("reason"), reason ?? "");
  say(byId("headline"), words);
  say(byId("detail"), detail);
  const title = `${words} – ZeroFlow`;
  if (document.title !== title) document.title = title;
  const icon = `live/icon-${level}.svg`;
  if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
}

function lost(sentence) {
  picture.still(true);
  mark(document.body, "stale", "true");
  byId("countdown").hidden = true;
  const seen = last ? `Last seen at ${clock(last.server.at)}; what is shown below is of then.` : "";
  const again = "This page goes on as soon as a server answers.";
  if (last?.state.level === "critical" && (last.state.kind === "fenced" || last.state.kind === "failed"))
    headline("critical", last.state.headline, `The server has ended. ${seen} ${again}`, last.state.reason);
  else if (last?.state.kind === "stopping") headline("notice", "The server has stopped", `${seen} ${again}`);
  else headline("critical", "No answer from the server", `${sentence} ${seen} ${again}`);
}

function refused(status, sentence) {
  const needsToken = status === 401;
  if (needsToken) sessionStorage.removeItem(tokenKey);
  const isFirst = form.hidden;
  form.hidden = !needsToken;
  byId("countdown").hidden = true;
  headline(needsToken ? "notice" : "critical", needsToken ? "A token is needed" : "Not shown", sentence);
  if (needsToken && isFirst) byId("token-text").focus();
}
