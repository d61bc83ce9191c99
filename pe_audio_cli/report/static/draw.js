// Drawing of the spectrogram, the tracks of labels, and the time axis. A view is {start, end} in seconds.

const TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const TICK_PIXELS = 70; // room for one on the axis
const NARROWEST_EVENT = 2; // pixels

/** A canvas in the resolution of the screen, drawn on in CSS pixels. */
function cleared(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  return { pen, width, height };
}

/** The colours of the page, light or dark, from its style. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: named("text"),
    faint: named("faint"),
    curve: named("curve"),
    event: named("event"),
    changed: named("changed"),
    ground: named("ground"),
    palette: named("palette").split(/\s+/).map(rgb),
  };
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** A spectrogram as an image of one pixel for each column and band, low frequencies at the bottom. */
function spectrogramPicture(recording, palette) {
  const { columns, bands, shades: n_shades } = recording.spectrogram;
  const picture = new OffscreenCanvas(columns, bands);
  const pen = picture.getContext("2d");
  const dots = pen.createImageData(columns, bands);
  const shaded = Array.from({ length: n_shades }, (_, shade) => mixed(palette, shade / (n_shades - 1)));
  for (let column = 0; column < columns; column++) {
    for (let band = 0; band < bands; band++) {
      const dot = 4 * ((bands - 1 - band) * columns + column);
      dots.data.set(shaded[recording.shades[column * bands + band]], dot);
    }
  }
  pen.putImageData(dots, 0, 0);
  return picture;
}

/** The opaque colour at a fraction of a palette. */
function mixed(palette, fraction) {
  const place = fraction * (palette.length - 1);
  const low = Math.min(Math.floor(place), palette.length - 2);
  return [...palette[low].map((part, at) => part + (palette[low + 1][at] - part) * (place - low)), 255];
}

function drawSpectrogram(canvas, recording, picture, view, colour) {
  const { pen, width, height } = cleared(canvas);
  const { seconds, bands, heights } = recording.spectrogram;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, view.start / seconds, 0, (view.end - view.start) / seconds, bands, 0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  pen.strokeStyle = colour.ground;
  pen.fillStyle = colour.text;
  let lowest = height; // that is free
  for (const [hertz, fraction] of Object.entries(heights)) {
    const y = height * (1 - fraction);
    if (y < 7 || y > lowest - 7) continue;
    const text = hertz < 1000 ? hertz : `${hertz / 1000}k`;
    pen.strokeText(text, 5, y);
    pen.fillText(text, 5, y);
    lowest = y - 7;
  }
}

/** Draw one label: its probability as an area, the thresholds as lines, its events as bars. */
function drawTrack(canvas, recording, view, onset, events, chosen, colour) {
  const { pen, width, height } = cleared(canvas);
  const place = recording.labels.indexOf(canvas.dataset.label);
  if (place >= 0) drawHill(pen, recording, recording.rows[place], view, width, height, colour);
  for (const [event, bar] of barsOf(events, chosen, view, width)) {
    const ink = recording.isChanged(event) ? colour.changed : colour.event;
    drawBar(pen, bar, height, event === chosen, ink);
  }
  const { thresholds, offset } = recording.settings;
  drawLevel(pen, thresholds[onset], [4, 3], width, height, colour);
  if (offset !== null) drawLevel(pen, thresholds[offset], [1, 3], width, height, colour);
}

function drawHill(pen, recording, row, view, width, height, colour) {
  const { framesPerSecond, values } = recording.settings;
  const perSecond = framesPerSecond / recording.pool;
  const perPixel = ((view.end - view.start) * perSecond) / width;
  pen.fillStyle = colour.curve;
  for (let x = 0; x < width; x++) {
    const from = Math.floor(view.start * perSecond + x * perPixel);
    const to = Math.max(from + 1, Math.floor(view.start * perSecond + (x + 1) * perPixel));
    const tall = height * values[highest(row, from, Math.min(to, row.length))];
    pen.fillRect(x, height - tall, 1, tall);
  }
}

function drawLevel(pen, level, dashes, width, height, colour) {
  const y = Math.round(height * (1 - level)) + 0.5;
  pen.strokeStyle = colour.text;
  pen.globalAlpha = 0.6;
  pen.setLineDash(dashes);
  pen.beginPath();
  pen.moveTo(0, y);
  pen.lineTo(width, y);
  pen.stroke();
}

/** The events in view and their positions in pixels; of several at the same pixels, the first. */
function* barsOf(events, chosen, view, width) {
  const scale = width / (view.end - view.start);
  let drawn = 0; // pixels from the left
  for (const event of events) {
    const left = (event.start - view.start) * scale;
    const wide = Math.max((event.end - event.start) * scale, NARROWEST_EVENT);
    const right = Math.round(left + wide);
    const isHidden = wide === NARROWEST_EVENT && right <= drawn && event !== chosen;
    if (left > width || right < 0 || isHidden) continue;
    yield [event, { left, wide }];
    drawn = Math.max(drawn, right);
  }
}

function drawBar(pen, { left, wide }, height, isChosen, ink) {
  pen.fillStyle = pen.strokeStyle = ink;
  pen.globalAlpha = isChosen ? 0.55 : 0.3;
  pen.fillRect(left, 0, wide, height);
  pen.globalAlpha = 1;
  pen.fillRect(left, height - 4, wide, 4);
  if (!isChosen) return;
  pen.lineWidth = 2;
  pen.strokeRect(left + 1, 1, Math.max(wide - 2, 1), height - 2);
  pen.lineWidth = 1;
}

/** Draw the times below the tracks, in the unit of `longest` seconds, the whole recording. */
function drawAxis(canvas, view, longest, colour) {
  const { pen, width } = cleared(canvas);
  const seconds = view.end - view.start;
  const step = TICKS.find((tick) => (tick / seconds) * width >= TICK_PIXELS) ?? TICKS[TICKS.length - 1];
  const decimals = step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colour.text;
  pen.strokeStyle = colour.faint;
  for (let tick = Math.ceil(view.start / step); tick * step <= view.end; tick++) {
    const x = ((tick * step - view.start) / seconds) * width;
    pen.fillRect(Math.min(Math.round(x), width - 1), 0, 1, 4);
    pen.textAlign = x < 12 ? "left" : x > width - 12 ? "right" : "center";
    pen.fillText(clock(tick * step, decimals, longest), x, 15);
  }
}
