// The list of events as files: what `--format csv` and `--format audacity` write, but for probabilities, of which the
// page knows two decimals.

const WHITE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"; // as Python counts
const BLANK = new RegExp(`[${WHITE}]`);
const FORMULA = new RegExp(`^[${WHITE}']*[=+\\-@\\uff1d\\uff0b\\uff0d\\uff20]`);
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]/g;

/** Events as {file, label, start, end, probability}, one line each. */
function csvText(events) {
  const rows = events.map((event) => [
    event.file === "-" ? "-" : cellText(event.file),
    cellText(event.label),
    event.start.toFixed(3),
    event.end.toFixed(3),
    event.probability === null ? "" : event.probability.toFixed(2),
  ]);
  const lines = [["file", "label", "start", "end", "probability"], ...rows];
  return lines.map((row) => row.map(csvCell).join(",") + "\n").join("");
}

/** An Audacity label track. */
function audacityText(events) {
  return events
    .map((event) => `${event.start.toFixed(6)}\t${event.end.toFixed(6)}\t${oneLine(event.label)}\n`)
    .join("");
}

/** Quoted where RFC 4180 asks for it. */
function csvCell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** With an apostrophe before it where a spreadsheet could take it for a formula. */
function cellText(text) {
  return FORMULA.test(text) ? `'${utf8Text(text)}` : utf8Text(text);
}

/** Controls that are white space as a blank, the others as U+FFFD. */
function oneLine(text) {
  return utf8Text(text).replace(CONTROL, (control) => (BLANK.test(control) ? " " : "\ufffd"));
}

/** Lone surrogates, which stand for bytes of a file name that are no UTF-8, as `\udcXX`. */
function utf8Text(text) {
  return text.replace(/\p{Surrogate}/gu, (lone) => `\\u${lone.charCodeAt(0).toString(16)}`);
}

function saveAs(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // browsers may still be reading it
}
