// Small parts of the page.

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

/** 5.2, 1:05.2 or 1:00:05.2. */
function clock(time, decimals) {
  const units = Math.round(time * 10 ** decimals);
  const minutes = Math.floor(units / 60 / 10 ** decimals);
  const seconds = (units / 10 ** decimals - 60 * minutes).toFixed(decimals);
  if (minutes === 0) return seconds;
  const padded = seconds.padStart(decimals ? 3 + decimals : 2, "0");
  if (minutes < 60) return `${minutes}:${padded}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${padded}`;
}

/** With two decimals, or more where they are needed. */
function exactText(number, decimals = 2) {
  const text = number.toFixed(decimals);
  return Number(text) === number ? text : String(number);
}
