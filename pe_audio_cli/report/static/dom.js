// Small elements of the page.

function newButton(text, onClick) {
  const button = textElement("button", text);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

function newInput(name, properties) {
  return Object.assign(document.createElement("input"), { ariaLabel: name, ...properties });
}

function textElement(name, text) {
  return Object.assign(document.createElement(name), { textContent: text });
}

function counted(n_events) {
  return n_events === 1 ? "1 event" : `${n_events === 0 ? "no" : n_events} events`;
}

/** Format a time as 5.2, 1:05.2 or 1:00:05.2, in the unit of `longest` seconds. */
function clock(time, decimals, longest = time) {
  const units = Math.round(time * 10 ** decimals);
  const minutes = Math.floor(units / 60 / 10 ** decimals);
  const seconds = (units / 10 ** decimals - 60 * minutes).toFixed(decimals);
  const largest = Math.max(longest, units / 10 ** decimals);
  if (largest < 60) return seconds;
  const padded = seconds.padStart(decimals ? 3 + decimals : 2, "0");
  if (largest < 3600) return `${minutes}:${padded}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${padded}`;
}

/** Parse a time as `clock` writes it, in any of its units, to seconds; NaN for anything else. */
function secondsOf(text) {
  const match = /^(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)$/.exec(text.trim());
  if (match === null) return NaN;
  const [hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return (60 * hours + minutes) * 60 + seconds;
}

/** Format with two decimals, or more if needed. */
function exactText(number, decimals = 2) {
  const text = number.toFixed(decimals);
  return Number(text) === number ? text : String(number);
}
