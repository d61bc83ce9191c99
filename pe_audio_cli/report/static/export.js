// The list of events as files in the formats csv, raven, audacity, srt and vtt of the command line, except that
// probabilities have two decimals.

const WHITE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"; // as Python counts
const BLANK = new RegExp(`[${WHITE}]`);
const FORMULA = new RegExp(`^[${WHITE}']*[=+\\-@\\uff1d\\uff0b\\uff0d\\uff20]`);
const RAVEN_COLUMNS = [
  "Selection",
  "View",
  "Channel",
  "Begin Time (s)",
  "End Time (s)",
  "Low Freq (Hz)",
  "High Freq (Hz)",
  "Begin Path",
  "File Offset (s)",
  "Label",
  "Score",
];
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]/g;

/** Events as {file, label, start, end, probability}, one line each. */
function csvText(events) {
  const rows = events.map((event) => [
    event.file === "-" ? "-" : cellText(event.file),
    cellText(event.label),
    fixed(event.start, 3),
    fixed(event.end, 3),
    event.probability === null ? "" : event.probability.toFixed(2),
  ]);
  return csvLines([["file", "label", "start", "end", "probability"], ...rows]);
}

/** Rows of cells as CSV. */
function csvLines(rows) {
  return rows.map((row) => row.map(csvCell).join(",") + "\n").join("");
}

/** The rows of cells in CSV, as `csvLines` and spreadsheets write them. */
function csvRows(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.replace(/^\ufeff/, "").matchAll(/(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/g)) {
    rows[rows.length - 1].push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== ",") rows.push([]);
  }
  return rows.filter((row) => row.length > 1);
}

/** An Audacity label track. */
function audacityText(events) {
  return events
    .map((event) => `${fixed(event.start, 6)}\t${fixed(event.end, 6)}\t${oneLine(event.label)}\n`)
    .join("");
}

/** A Raven selection table of recordings, one after the other, each with its events. */
function ravenText(recordings) {
  let text = `${RAVEN_COLUMNS.join("\t")}\n`;
  let selection = 0;
  let before = 0; // seconds of the recordings before this one
  for (const { path, sampleRate, duration, events } of recordings) {
    for (const { label, start, end, probability } of events) {
      selection += 1;
      const times = [fixed(before + start, 6), fixed(before + end, 6)];
      const place = [...times, "0.0", fixed(sampleRate / 2, 1), tsvCell(oneLine(path)), fixed(start, 6)];
      const ours = [tsvCell(oneLine(label)), probability === null ? "" : probability.toFixed(2)];
      text += `${[selection, "Spectrogram 1", 1, ...place, ...ours].join("\t")}\n`;
    }
    before += duration;
  }
  return text;
}

/** SubRip, with characters in full width where players would see markup or a time line. */
function srtText(events) {
  const fullWidth = (sign) => String.fromCharCode(sign.charCodeAt(0) + 0xfee0);
  const spelt = (label) => oneLine(label).replace(/[<>{}\\]|(?<=\p{Nd}):(?=\p{Nd})/gu, fullWidth);
  return events.map((event, at) => `${at + 1}\n${cueTimes(event, ",")}\n${spelt(event.label)}\n\n`).join("");
}

/** WebVTT. */
function vttText(events) {
  const escaped = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  const spelt = (label) => oneLine(label).replace(/[&<>]/g, (sign) => escaped[sign]);
  return `WEBVTT\n${events.map((event) => `\n${cueTimes(event, ".")}\n${spelt(event.label)}\n`).join("")}`;
}

/** Whole milliseconds, at least one for an event, since players show nothing shorter. */
function cueTimes(event, decimal) {
  const start = evenlyRounded(event.start * 1000);
  const end = Math.max(evenlyRounded(event.end * 1000), start + 1);
  const padded = (number, digits) => String(number).padStart(digits, "0");
  const written = (time) => {
    const seconds = Math.floor(time / 1000);
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return parts.map((part) => padded(part, 2)).join(":") + decimal + padded(time % 1000, 3);
  };
  return `${written(start)} --> ${written(end)}`;
}

/** Round half to even, as Python does. */
function evenlyRounded(number) {
  const below = Math.floor(number);
  return number - below === 0.5 ? below + (below % 2) : Math.round(number);
}

/** Format with a fixed number of decimals as Python does, half to even, where `toFixed` rounds up. */
function fixed(number, decimals) {
  const exact = number.toFixed(80); // all digits of a time
  const cut = exact.length - 80 + decimals;
  const isTie = /^50*$/.test(exact.slice(cut)) && /[02468]$/.test(exact.slice(0, cut));
  return isTie ? exact.slice(0, cut) : number.toFixed(decimals);
}

/** Quote only if the text begins with a quotation mark, which CSV readers treat as a quoted cell. */
function tsvCell(text) {
  return text.startsWith('"') ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Quote as RFC 4180 requires. */
function csvCell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Prefix an apostrophe if a spreadsheet could treat the text as a formula. */
function cellText(text) {
  return FORMULA.test(text) ? `'${utf8Text(text)}` : utf8Text(text);
}

/** Replace white space controls by a blank, other controls by U+FFFD. */
function oneLine(text) {
  return utf8Text(text).replace(CONTROL, (control) => (BLANK.test(control) ? " " : "\ufffd"));
}

/** Escape lone surrogates, which stand for bytes of a file name that are not UTF-8, as `\udcXX`. */
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
