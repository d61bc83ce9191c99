// A queue of excerpts to hear and to mark. An item is {label, file, start, end, score}; its place is its number.

const ROWS = 200; // items listed at once
const SYMBOLS = { yes: "✓ yes", no: "✗ no", unsure: "? unsure" };
const MARKS = Object.keys(SYMBOLS);

const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((each) => [each.id, each]));
const review = JSON.parse(element.review.text);
const { items, measure } = review;
const state = {
  place: 0,
  marks: items.map(() => ""),
  history: [], // each {place, was}: what undo puts back
  facts: null, // of the item: its picture and its sound
  shades: null,
  firstRow: null, // the first place that is listed
  unsaved: false, // marks that are neither in a table nor kept by the browser
};
const player = new Player(element.audio, {
  onMove: showPlace,
  onChange: showPlaying,
  onProblem: () =>
    tellProblem(
      `The browser cannot play ${items[state.place].file}: it lies elsewhere now, or is of a kind that browsers do ` +
        "not know. A page made with --embed-audio holds the sound itself.",
    ),
});
let colour = colours();

// The item that is shown

/** Show an item; `isPlayed` starts its sound. */
async function open(place, isPlayed) {
  const item = items[place];
  Object.assign(state, { place, facts: JSON.parse(document.getElementById(`facts-${place}`).text), shades: null });
  element.place.textContent = `${place + 1} of ${items.length}`;
  const asked = Object.assign(textElement("q", item.label), { dir: "auto" });
  const [before, after] = measure === "probability" ? ["Is this ", "?"] : ["Does this sound like ", "?"];
  element.question.replaceChildren(before, asked, after);
  element.facts.textContent = [item.file, timesText(item), `${measure} ${item.score.toFixed(2)}`].join(" · ");
  document.title = `${item.label} (${place + 1} of ${items.length}) – peaudio review`;
  tellProblem(state.facts.problem ?? "");
  loadSound();
  if (state.facts.problem === undefined && state.facts.link === null && state.facts.soundType === null) {
    tellProblem("This page does not reach the recording: one made with --embed-audio holds the sound itself.");
  }
  showMarks();
  listItems();
  if (isPlayed) play();
  element.picture.hidden = state.facts.problem !== undefined;
  if (state.facts.problem === undefined) {
    const shades = await inflated(`spectrogram-${place}`);
    if (place !== state.place) return; // the listener has gone on
    state.shades = shades;
    draw();
  }
  showPlace();
}

/** Load the sound of the item, unless it is in the file that is loaded. */
function loadSound() {
  const { link, soundType } = state.facts;
  let url = link ?? null;
  if (soundType) {
    state.urls ??= new Map();
    if (!state.urls.has(state.place)) {
      const blob = new Blob([bytesOf(`sound-${state.place}`)], { type: soundType });
      state.urls.set(state.place, URL.createObjectURL(blob));
    }
    url = state.urls.get(state.place);
  }
  if (url !== state.url || element.audio.error !== null) player.load(url);
  state.url = url;
  element.play.disabled = url === null;
  player.seek(bounds().start);
}

/** The part of the sound that is the item, in seconds: an embedded sound has nothing else. */
function bounds() {
  const { start, end } = items[state.place];
  return state.facts.soundType ? { start: 0, end: end - start } : { start, end };
}

/** Play the item from its start, or from where it was paused. */
function play() {
  const { start, end } = bounds();
  const goesOn = player.time > start && player.time < end - 0.05;
  player.playRange(goesOn ? player.time : start, end);
}

function togglePlaying() {
  if (player.playing) player.toggle();
  else if (state.url !== null) play();
}

function draw() {
  if (state.shades === null) return;
  const { spectrogram } = state.facts;
  const { start, end } = items[state.place];
  const picture = spectrogramPicture({ spectrogram, shades: state.shades }, colour.palette);
  drawSpectrogram(element.spectrogram, { spectrogram }, picture, { start: 0, end: end - start }, colour);
  drawAxis(element.axis, { start, end }, end, colour);
}

function showPlace() {
  const { start, end } = bounds();
  const fraction = (player.time - start) / (end - start);
  element.cursor.hidden = state.url === null || fraction < 0 || fraction > 1;
  element.cursor.style.transform = `translateX(${element.spectrogram.clientWidth * fraction}px)`;
}

function showPlaying() {
  const [sign, word] = player.playing ? ["⏸", "Pause"] : ["▶", "Play"];
  element.play.replaceChildren(Object.assign(textElement("span", sign), { ariaHidden: "true" }), ` ${word}`);
}

function tellProblem(message) {
  element.problem.textContent = message;
  element.problem.hidden = message === "";
}

function timesText({ start, end }) {
  return `${clock(start, 2, end)} to ${clock(end, 2)}${end < 60 ? " s" : ""}`;
}

// Marks

/** Mark the item, and go on to the next one that is not marked. */
function mark(answer) {
  const { place } = state;
  state.history.push({ place, was: state.marks[place] });
  state.marks[place] = answer;
  keep();
  const next = nextUnmarked(place);
  if (next === null) {
    player.audio.pause();
    showMarks();
    listItems();
    element.save.focus();
  } else open(next, true);
}

/** The next place without a mark, after the last one from the first; null if all are marked. */
function nextUnmarked(place) {
  const order = items.map((_, at) => (place + 1 + at) % items.length);
  return order.find((at) => state.marks[at] === "") ?? null;
}

function undo() {
  if (state.history.length === 0) return;
  const { place, was } = state.history.pop();
  state.marks[place] = was;
  keep();
  open(place, true);
}

function showMarks() {
  const answer = state.marks[state.place];
  for (const name of MARKS) element[name].ariaPressed = String(name === answer);
  const counts = MARKS.map((name) => `${state.marks.filter((each) => each === name).length} ${name}`);
  const n_marked = state.marks.filter((each) => each !== "").length;
  const all = n_marked === items.length ? "All are marked: save the marks. " : "";
  element.count.textContent = `${all}${n_marked} of ${items.length} marked: ${counts.join(", ")}`;
  element.bar.max = items.length;
  element.bar.value = n_marked;
  element.undo.disabled = state.history.length === 0;
}

// Marks that are kept: by the browser, for this page, and in a table

function keep() {
  state.unsaved = true;
  try {
    localStorage.setItem(`peaudio review ${review.id}`, JSON.stringify(state.marks));
    state.unsaved = false;
  } catch {
    // a browser that keeps nothing: leaving the page asks
  }
}

function kept() {
  try {
    const marks = JSON.parse(localStorage.getItem(`peaudio review ${review.id}`)) ?? [];
    return items.map((_, place) => (MARKS.includes(marks[place]) ? marks[place] : ""));
  } catch {
    return items.map(() => "");
  }
}

function save() {
  const rows = items.map((item, place) => [...cellsOf(item), item.score.toFixed(4), state.marks[place]]);
  const header = ["file", "label", "start", "end", measure, "mark"];
  saveAs("marks.csv", csvLines([header, ...rows]), "text/csv");
  state.unsaved = false;
}

/** The cells of a table that name an item. */
function cellsOf({ file, label, start, end }) {
  return [cellText(file), cellText(label), fixed(start, 3), fixed(end, 3)];
}

/** Take the marks of a saved table for the items that this page has. */
async function load() {
  const [file] = element.table.files;
  if (file === undefined) return;
  const [header, ...rows] = csvRows(await file.text());
  const at = ["file", "label", "start", "end", "mark"].map((name) => (header ?? []).indexOf(name));
  element.table.value = "";
  if (at.includes(-1)) {
    tellProblem(`${file.name} has no marks: choose a table that was saved by such a page.`);
    return;
  }
  const marks = new Map(rows.map((row) => [JSON.stringify(at.slice(0, 4).map((column) => row[column])), row[at[4]]]));
  let n_known = 0;
  items.forEach((item, place) => {
    const answer = marks.get(JSON.stringify(cellsOf(item)));
    if (!MARKS.includes(answer)) return;
    n_known += 1;
    if (answer === state.marks[place]) return;
    state.history.push({ place, was: state.marks[place] });
    state.marks[place] = answer;
  });
  keep();
  await open(nextUnmarked(items.length - 1) ?? 0, false);
  if (n_known === 0) tellProblem(`${file.name} has no marks of these hits.`);
}

// The list

/** Show the list from a place on, by default the page of the list that has the item. */
function listItems(first = state.place - (state.place % ROWS)) {
  const shown = items.slice(first, first + ROWS);
  const body = element.items.tBodies[0];
  if (first !== state.firstRow) body.replaceChildren(...shown.map((item, at) => itemRow(item, first + at)));
  state.firstRow = first;
  for (const [at, row] of [...body.rows].entries()) showRow(row, first + at);
  element.pages.hidden = items.length <= ROWS;
  element["page-of"].textContent = `${first + 1} to ${first + shown.length} of ${items.length}`;
  element.earlier.disabled = first === 0;
  element.later.disabled = first + ROWS >= items.length;
}

function itemRow(item, place) {
  const row = document.createElement("tr");
  const name = newButton(item.label, () => open(place, true));
  name.className = "open-item";
  name.dir = "auto";
  const file = Object.assign(textElement("span", item.file.split(/[/\\]/).pop()), { title: item.file, dir: "auto" });
  for (const cell of [name, file, timesText(item), item.score.toFixed(2), ""]) row.insertCell().append(cell);
  return row;
}

/** Show whether a row is of the item that is shown, and its mark. */
function showRow(row, place) {
  const answer = state.marks[place];
  row.classList.toggle("chosen", place === state.place);
  row.querySelector("button").ariaCurrent = String(place === state.place);
  row.cells[4].textContent = SYMBOLS[answer] ?? "";
  row.cells[4].className = answer === "" ? "" : `mark-${answer}`;
}

// Keys and clicks

const ACTIONS = {
  y: () => mark("yes"),
  n: () => mark("no"),
  u: () => mark("unsure"),
  z: undo,
  s: save,
  " ": togglePlaying,
  ArrowLeft: () => go(-1),
  ArrowRight: () => go(1),
};

function go(step) {
  const place = state.place + step;
  if (place >= 0 && place < items.length) open(place, true);
}

let byKeyboard = false; // how the reader has come to what has the focus

document.addEventListener("pointerdown", () => (byKeyboard = false), { capture: true });
document.addEventListener("keydown", (key) => {
  if (key.key === "Tab") byKeyboard = true;
  const act = ACTIONS[key.key.length === 1 ? key.key.toLowerCase() : key.key];
  if (act === undefined || key.ctrlKey || key.metaKey || key.altKey || key.repeat) return;
  if (key.key === " " && byKeyboard && key.target.matches("button")) return; // it presses the button
  key.preventDefault();
  act();
});
element.picture.addEventListener("click", (pointer) => {
  const { left, width } = element.spectrogram.getBoundingClientRect();
  const { start, end } = bounds();
  if (state.url !== null) player.playRange(start + ((pointer.clientX - left) / width) * (end - start), end);
});
for (const [name, act] of [
  ["yes", ACTIONS.y],
  ["no", ACTIONS.n],
  ["unsure", ACTIONS.u],
  ["undo", undo],
  ["save", save],
  ["load", () => element.table.click()],
  ["play", togglePlaying],
  ["previous", ACTIONS.ArrowLeft],
  ["next", ACTIONS.ArrowRight],
  ["earlier", () => listItems(state.firstRow - ROWS)],
  ["later", () => listItems(state.firstRow + ROWS)],
]) {
  element[name].addEventListener("click", act);
}
element.table.addEventListener("change", load);
element.audio.addEventListener("loadedmetadata", () => (element.audio.hidden = element.audio.videoWidth === 0));
element.audio.addEventListener("emptied", () => (element.audio.hidden = true));
new ResizeObserver(() => {
  draw();
  showPlace();
}).observe(element.picture);
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--stage", `${element.stage.offsetHeight}px`);
}).observe(element.stage);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colour = colours();
  draw();
});
addEventListener("beforeunload", (leaving) => {
  if (state.unsaved) leaving.preventDefault();
});

element.measure.textContent = measure === "probability" ? "Probability" : "Similarity";
showPlaying();
if (items.length > 0) {
  state.marks = kept();
  open(nextUnmarked(items.length - 1) ?? 0, false);
} else {
  document.querySelector("main").replaceChildren(textElement("p", "There is no hit to review."));
}
