// SPDX-License-Identifier: Apache-2.0
// Elements and texts. Whatever a job controls reaches the page through put(), which makes text nodes
// only: nothing in this report is ever parsed as markup.

// And arguments that were cut for what they may hold.
const ESCAPES = /\uE000([^\uE001]*)\uE001|<truncated, (\d+) bytes>|<redacted>/g;

// Text with what was spelled out (controls, invisible characters, bytes that are no text) marked.
function put(node, text) {
  let at = 0;
  for (const match of text.matchAll(ESCAPES)) {
    if (match.index > at) node.append(text.slice(at, match.index));
    const escape = document.createElement('i');
    escape.className = match[1] === undefined ? 'cut' : 'esc';
    escape.textContent = match[1] ?? (match[2] ? '…' : 'redacted');
    if (match[2]) escape.title = `cut off after 12 of ${match[2]} bytes`;
    node.append(escape);
    at = match.index + match[0].length;
  }
  if (at < text.length || at === 0) node.append(text.slice(at));
  return node;
}

// The same in place of what is there; most texts are one node.
function fill(node, text) {
  if (/[\uE000<]/.test(text)) {
    node.textContent = '';
    put(node, text);
  } else {
    node.textContent = text;
  }
}

// For titles, labels and searches, where nothing can be marked.
const plain = text => text.replace(/[\uE000\uE001]/g, '');

// el('p.note', 'text', child, ...): children are texts or nodes; null and false are left out.
function el(what, ...children) {
  const [tag, ...classes] = what.split('.');
  const node = document.createElement(tag || 'div');
  if (classes.length) node.className = classes.join(' ');
  return add(node, ...children);
}

function add(node, ...children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    if (child instanceof Node) node.append(child);
    else put(node, String(child));
  }
  return node;
}

function attributes(node, values) {
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
  return node;
}

function button(what, onClick, ...children) {
  const node = el('button.' + what, ...children);
  node.type = 'button';
  node.addEventListener('click', onClick);
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';
// Shapes of a 16 by 16 box, drawn with the colour of the text around them.
const ICONS = {
  alert: 'M8 1.5 15 14H1zM8 6v4M8 12v.2',
  ok: 'M2.5 8.5 6.5 12.5 13.5 4',
  stop: 'M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5zM5 5l6 6M11 5l-6 6',
  net: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M1.5 8h13M8 1.5c-5 4-5 9 0 13M8 1.5c5 4 5 9 0 13',
  file: 'M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3',
  key: 'M10.5 2a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M8 8l-6 6M4 12l2 2',
  eye: 'M1 8c3.5-6 10.500-6 14 0-3.500 6-10.500 6-14 0M8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4',
};
function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  attributes(svg, {viewBox: '0 0 16 16', class: 'icon', 'aria-hidden': 'true'});
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

const number = value => value.toLocaleString('en-US');
const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many || one + 's'}`;

function duration(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(us < 1e4 ? 1 : 0)} ms`;
  if (us < 60e6) return `${(us / 1e6).toFixed(us < 1e7 ? 2 : 1)} s`;
  const seconds = Math.floor(us / 1e6);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

// Time since the start of the job, always as precise as its neighbours.
function offset(us) {
  const sign = us < 0 ? '-' : '+';
  const ms = Math.floor(Math.abs(us) / 1000);
  if (ms < 60000) return `${sign}${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')} s`;
  const two = value => String(value).padStart(2, '0');
  const seconds = Math.floor(ms / 1000);
  const clock = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${Math.floor(ms / 100) % 10}`;
  return seconds < 3600 ? sign + clock : `${sign}${Math.floor(seconds / 3600)}:${clock}`;
}

const moment = us => new Date(us / 1000).toISOString().replace('T', ' ').replace('Z', ' UTC');

const lastPart = path => path.slice(path.lastIndexOf('/') + 1) || path;
