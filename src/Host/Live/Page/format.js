// Numbers as people read them. Pure functions.

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Three digits that count: 0.12, 1.23, 12.3, 123. */
export function digits(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 100) return Math.round(value).toString();
  if (size >= 10) return value.toFixed(1).replace(/\.0$/, "");
  return value.toFixed(2).replace(/\.?0+$/, "");
}

export function count(value) {
  if (value >= 999.5e6) return `${digits(value / 1e9)} G`;
  if (value >= 999.5e3) return `${digits(value / 1e6)} M`;
  if (value >= 9999.5) return `${digits(value / 1e3)} k`;
  if (value >= 100) return Math.round(value).toString();
  return digits(value);
}

/** Per second; what flickers in the last digit is left out. */
export const rate = (value) => `${value > 0 && value < 0.1 ? "<0.1" : count(value < 10 ? Math.round(value * 10) / 10 : Math.round(value))}/s`;

export function bytes(value) {
  let unit = 0;
  let size = Math.abs(value);
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : digits(Math.sign(value) * size)} ${units[unit]}`;
}

export const byteRate = (value) => `${bytes(value)}/s`;

/** A short time, in the unit that fits. */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1e-3) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 1) return `${digits(seconds * 1e3)} ms`;
  return `${digits(seconds)} s`;
}

/** A long time, in two units. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return whole < 600 && whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.round(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export const percent = (share) => `${share > 0 && share < 0.01 ? "<1" : Math.round(share * 100)} %`;

export function money(value, currency) {
  const isTiny = value > 0 && value < 0.005;
  const text = isTiny ? "0.01" : value.toFixed(value >= 100 ? 0 : 2);
  const sign = { USD: "$", EUR: "€", GBP: "£" }[currency];
  return `${isTiny ? "<" : ""}${sign ? sign + text : `${text} ${currency}`}`;
}

const two = (value) => String(value).padStart(2, "0");

export function clock(text) {
  const at = new Date(text);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function day(text) {
  const at = new Date(text);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
