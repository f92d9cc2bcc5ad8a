// SPDX-License-Identifier: Apache-2.0
// The timeline: a lane for each kind of event, detections above; dragging (or arrow keys) picks a
// stretch of time, which the list of events then shows alone. Counts come from the histogram that
// the sensor kept, so they hold for events that had no room in the page too.

const timeline = {range: null, listeners: []};
const LANE_HEIGHT = 30, MARK_HEIGHT = 26, AXIS_HEIGHT = 22;

function setRange(range) {
  timeline.range = range && range[1] - range[0] > 0 ? range : null;
  drawTimeline();
  const words = timeline.range ? `${offset(range[0])} to ${offset(range[1])}` : 'the whole job';
  timeline.label.replaceChildren(el('span', `Shown: ${words}`));
  timeline.clear.hidden = !timeline.range;
  for (const listener of timeline.listeners) listener();
}

function timelineSection() {
  const node = el('section.card', el('h2', 'Timeline'));
  node.id = 'time';
  const labels = el('div.lane-labels', el('div.mark-label', 'Detections'), LANES.map((lane, i) =>
    el('div', lane, el('span.count', number(D.lanes[i].reduce((sum, count) => sum + count, 0))))));
  timeline.canvas = attributes(el('canvas.timeline'), {tabindex: '0', role: 'img',
    'aria-label': 'Events over time by kind. Arrow keys pick a stretch of time, with Shift they change its length, Escape clears it.'});
  timeline.label = attributes(el('p.note', el('span', 'Shown: the whole job')), {'aria-live': 'polite'});
  timeline.clear = button('', () => setRange(null), 'Show the whole job');
  timeline.clear.hidden = true;
  timeline.tip = el('div.tip');
  timeline.tip.hidden = true;
  node.append(el('div.timeline-box', labels, el('div.canvas-box', timeline.canvas, timeline.tip)),
    el('div.bar', timeline.label, timeline.clear, el('span.note.hint', 'Drag to pick a stretch of time for the list of events.')));
  bindTimeline(timeline.canvas);
  new ResizeObserver(drawTimeline).observe(timeline.canvas.parentElement);
  return node;
}

const toX = us => us / D.lengthUs * timeline.width;
const toUs = x => Math.max(0, Math.min(1, x / timeline.width)) * D.lengthUs;

function drawTimeline() {
  const canvas = timeline.canvas;
  const box = canvas.parentElement;
  timeline.width = Math.max(200, box.clientWidth);
  const height = MARK_HEIGHT + LANES.length * LANE_HEIGHT + AXIS_HEIGHT;
  const scale = window.devicePixelRatio || 1;
  canvas.width = timeline.width * scale;
  canvas.height = height * scale;
  canvas.style.height = `${height}px`;
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue(name).trim();
  const g = canvas.getContext('2d');
  g.scale(scale, scale);
  drawLanes(g, colour);
  drawMarks(g, colour);
  drawAxis(g, colour, height);
  if (!timeline.range) return;
  const [from, to] = timeline.range.map(toX);
  g.fillStyle = colour('--veil');
  g.fillRect(0, 0, from, height - AXIS_HEIGHT);
  g.fillRect(to, 0, timeline.width - to, height - AXIS_HEIGHT);
  g.strokeStyle = colour('--accent');
  g.strokeRect(from + 0.5, 0.5, Math.max(1, to - from), height - AXIS_HEIGHT - 1);
}

function drawLanes(g, colour) {
  D.lanes.forEach((counts, lane) => {
    const top = MARK_HEIGHT + lane * LANE_HEIGHT;
    g.fillStyle = colour('--line');
    g.fillRect(0, top + LANE_HEIGHT - 1, timeline.width, 1);
    const most = counts.reduce((most, count) => Math.max(most, count), 1);
    g.fillStyle = colour(`--lane-${lane}`);
    const room = LANE_HEIGHT - 6;
    counts.forEach((count, i) => {
      if (!count) return;
      const x = toX(i * D.sliceUs + D.shift);
      const width = Math.max(2, toX(D.sliceUs) - 0.5);
      // The root: one event shows beside thousands.
      const high = Math.max(3, room * Math.sqrt(count / most));
      g.fillRect(x, top + LANE_HEIGHT - 2 - high, width, high);
    });
  });
}

function drawMarks(g, colour) {
  timeline.marks = [];
  for (const [event, rules] of A.rulesOf) {
    const kind = severity(rules);
    const x = toX(timeOf(event));
    if (kind !== 'collect') timeline.marks.push({x, event});
    g.fillStyle = colour(kind === 'collect' ? '--muted' : '--red');
    const size = kind === 'collect' ? 3 : 6;
    g.beginPath();
    g.moveTo(x - size, MARK_HEIGHT / 2 - size);
    g.lineTo(x + size, MARK_HEIGHT / 2 - size);
    g.lineTo(x, MARK_HEIGHT / 2 + size);
    g.fill();
    if (kind !== 'collect') {
      g.globalAlpha = 0.25;
      g.fillRect(x - 0.5, MARK_HEIGHT / 2 + size, 1, MARK_HEIGHT / 2 + LANES.length * LANE_HEIGHT);
      g.globalAlpha = 1;
    }
  }
  g.fillStyle = colour('--line');
  g.fillRect(0, MARK_HEIGHT - 1, timeline.width, 1);
}

function drawAxis(g, colour, height) {
  const rough = D.lengthUs / Math.max(2, timeline.width / 110);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(value => value >= rough);
  g.fillStyle = colour('--muted');
  g.font = '11px system-ui, sans-serif';
  g.textBaseline = 'middle';
  for (let us = 0; us <= D.lengthUs; us += step) {
    const x = Math.min(toX(us), timeline.width - 1);
    g.fillRect(x, height - AXIS_HEIGHT, 1, 5);
    const text = us === 0 ? '0' : duration(us).replace(/(\.\d*?)0+ /, '$1 ').replace('. ', ' ');
    g.textAlign = x > timeline.width - 30 ? 'right' : x < 12 ? 'left' : 'center';
    g.fillText(text, x, height - AXIS_HEIGHT / 2 + 3);
  }
}

function bindTimeline(canvas) {
  let start = null;
  const xOf = event => event.clientX - canvas.getBoundingClientRect().left;
  canvas.addEventListener('pointerdown', event => {
    start = xOf(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', event => {
    const x = xOf(event);
    showTip(event, x);
    if (start !== null && Math.abs(x - start) > 3) setRange([toUs(Math.min(start, x)), toUs(Math.max(start, x))]);
  });
  canvas.addEventListener('pointerup', event => {
    const x = xOf(event);
    const isClick = start !== null && Math.abs(x - start) <= 3;
    start = null;
    if (!isClick) return;
    const near = event.offsetY < MARK_HEIGHT && timeline.marks.find(mark => Math.abs(mark.x - x) < 7);
    if (near) openEvent(near.event);
    else setRange(null);
  });
  canvas.addEventListener('pointerleave', () => { timeline.tip.hidden = true; });
  canvas.addEventListener('keydown', onTimelineKey);
}

function onTimelineKey(event) {
  const step = D.lengthUs / 20;
  const direction = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (event.key === 'Escape') setRange(null);
  else if (!direction) return;
  else {
    const [from, to] = timeline.range || [0, step];
    const shift = timeline.range ? direction * step : 0;
    const end = Math.min(D.lengthUs, to + shift);
    const begin = event.shiftKey ? from : Math.max(0, Math.min(from + shift, D.lengthUs - step));
    setRange([begin, Math.max(begin + step / 4, end)]);
  }
  event.preventDefault();
}

function showTip(event, x) {
  const us = toUs(x);
  const slice = Math.floor((us - D.shift) / D.sliceUs);
  const rows = LANES.map((lane, i) => [D.lanes[i][slice] || 0, lane]).filter(([count]) => count);
  timeline.tip.replaceChildren(el('b', offset(us)), ...rows.map(([count, lane]) => el('div', `${number(count)} ${lane.toLowerCase()}`)));
  timeline.tip.hidden = false;
  timeline.tip.style.left = `${Math.min(x + 12, timeline.width - 150)}px`;
  timeline.tip.style.top = `${event.offsetY + 14}px`;
}
