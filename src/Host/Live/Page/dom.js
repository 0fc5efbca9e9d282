// Small steps on the document. Everything that comes from the server is text, never markup.

const svgSpace = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  if (options.class) made.className = options.class;
  if (options.text !== undefined) made.textContent = options.text;
  for (const [key, value] of Object.entries(options.attributes ?? {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function svg(name, attributes = {}) {
  const made = document.createElementNS(svgSpace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Changes a text only when it differs: what did not change is not laid out again, nor read out. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function mark(target, key, value) {
  if (value === null || value === undefined || value === "") delete target.dataset[key];
  else if (target.dataset[key] !== value) target.dataset[key] = value;
}

export const share = (target, value) => target.style.setProperty("--share", Math.min(1, Math.max(0, value)).toFixed(4));

/** Makes the children of a list what the items are, one child for each key; `make` and `fill` know the child. */
export function sync(list, items, keyOf, make, fill) {
  const known = new Map([...list.children].map((child) => [child.key, child]));
  let place = null;
  items.forEach((item, index) => {
    const key = keyOf(item, index);
    let child = known.get(key);
    known.delete(key);
    if (!child) {
      child = make(item);
      child.key = key;
    }
    fill(child, item);
    const next = place ? place.nextSibling : list.firstChild;
    if (next !== child) list.insertBefore(child, next);
    place = child;
  });
  for (const child of known.values()) child.remove();
}
