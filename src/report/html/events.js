// SPDX-License-Identifier: Apache-2.0
// All events of the page, as a list of any length, with filters: kind, words, process, time.

const events = {shown: new Uint32Array(0), lanes: new Set(LANES.keys()), process: 0, words: '', onlyRules: false, onlyFailed: false};

function eventsSection() {
  const node = el('section.card', el('h2', 'All events', el('span.count', number(E.count))));
  node.id = 'events';
  events.search = attributes(el('input'), {type: 'search', placeholder: 'Search paths, names, programs', 'aria-label': 'Search events'});
  let timer = 0;
  events.search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => { events.words = events.search.value.trim().toLowerCase(); filterEvents(); }, 120);
  });
  const kinds = el('div.kinds', LANES.map((lane, i) => {
    const toggle = attributes(button('kind.lane' + i, () => {
      if (events.lanes.has(i)) events.lanes.delete(i); else events.lanes.add(i);
      toggle.setAttribute('aria-pressed', String(events.lanes.has(i)));
      filterEvents();
    }, lane), {'aria-pressed': 'true'});
    return toggle;
  }));
  attributes(kinds, {role: 'group', 'aria-label': 'Kinds of events'});
  const check = (label, name) => {
    const box = el('label.check', attributes(el('input'), {type: 'checkbox'}), label);
    box.firstChild.addEventListener('change', event => { events[name] = event.target.checked; filterEvents(); });
    return box;
  };
  events.note = attributes(el('span.note'), {'aria-live': 'polite'});
  events.ofProcess = el('span.of-process');
  events.list = new VirtualList({
    role: 'listbox', rowRole: 'option', label: 'Events', rowHeight: 26, reuses: true, render: eventRow,
    open: index => openEvent(events.shown[index]),
  });
  const left = Object.entries(D.leftOut);
  add(node, el('div.bar', events.search, kinds, check('at which a rule fired', 'onlyRules'), check('failed', 'onlyFailed')),
    el('div.bar', events.note, events.ofProcess),
    left.length ? el('p.warn-note', `There was no room in this page for ${left.map(([type, count]) => `${number(count)} ${type}`).join(', ')}. They are in events.jsonl, and counted in the timeline.`) : null,
    events.list.scroller);
  timeline.listeners.push(filterEvents);
  filterEvents();
  return node;
}

// Which texts and programs hold the words: each is looked at once, however many events have it.
function wordMatches(words) {
  const folders = new Map();
  const texts = new Uint8Array(S.text.length);
  for (let i = 1; i < S.text.length; i++) {
    const folder = S.folder[i];
    if (!folder) { texts[i] = plain(S.text[i]).toLowerCase().includes(words) ? 1 : 0; continue; }
    if (!folders.has(folder)) folders.set(folder, plain(string(folder)).toLowerCase() + '/');
    texts[i] = (folders.get(folder) + plain(S.text[i]).toLowerCase()).includes(words) ? 1 : 0;
  }
  const images = D.images.path.map((path, i) => texts[path] | texts[D.images.args[i]] | texts[D.images.script[i]]);
  return {texts, images};
}

function filterEvents() {
  const {process, words, onlyRules, onlyFailed} = events;
  const matches = words ? wordMatches(words) : null;
  const within = process ? processesBelow(process) : null;
  const [from, to] = timeline.range || [-Infinity, Infinity];
  const exec = D.typeIndex.process_exec, exit = D.typeIndex.process_exit;
  const out = new Uint32Array(E.count);
  let count = 0;
  for (let i = 0; i < E.count; i++) {
    if (!events.lanes.has(E.lane[i])) continue;
    const time = E.time[i] + D.shift;
    if (time < from || time > to) continue;
    if (within && !within[E.process[i]]) continue;
    if (onlyRules && !A.rulesOf.has(i)) continue;
    if (onlyFailed && !(E.flags[i] & FAILED)) continue;
    if (matches && !matches.images[P.image[E.process[i]]]) {
      if (E.type[i] === exec ? !matches.images[E.text[i]]
        : E.type[i] === exit || !(matches.texts[E.text[i]] | matches.texts[E.detail[i]])) continue;
    }
    out[count++] = i;
  }
  events.shown = out.slice(0, count);
  events.note.textContent = count === E.count ? `${number(count)} events` : `${number(count)} of ${number(E.count)} events`;
  events.ofProcess.replaceChildren();
  if (process) {
    events.ofProcess.append(el('span.note', ' of '), el('b', programName(process)), el('span.note', ` (pid ${P.pid[process]}) and what it started `),
      button('link', () => { events.process = 0; filterEvents(); }, 'show all'));
  }
  events.list.scroller.scrollTop = 0;
  events.list.setCount(count);
  events.list.scroller.style.height = `${Math.max(4, Math.min(count, 22)) * 26 + 2}px`;
}

function processesBelow(process) {
  const within = new Uint8Array(P.count);
  within[process] = 1;
  for (let i = process + 1; i < P.count; i++) if (within[P.parent[i]]) within[i] = 1;
  return within;
}

// Scrolling fills the same elements with other words.
function eventRow(row, index) {
  if (!row.parts) {
    row.parts = ['when', 'dot', 'who', 'verb', 'words', 'rule'].map(name => el('span.' + name));
    row.append(...row.parts);
  }
  const [when, dot, who, verb, words, rule] = row.parts;
  const event = events.shown[index];
  const rules = A.rulesOf.get(event);
  const act = describe(event);
  row.className = `row event-row${rules ? ' ' + severity(rules) : ''}${E.flags[event] & FAILED ? ' failed' : ''}`;
  when.textContent = offset(timeOf(event));
  dot.className = 'dot lane' + E.lane[event];
  fill(who, programName(E.process[event]));
  verb.textContent = act.verb;
  fill(words, act.what);
  words.title = plain(act.what);
  rule.hidden = !rules;
  if (rules) fill(rule, rules.map(index => D.rules[index].name || D.rules[index].id).join(' · '));
}

function showEventsOf(process) {
  events.process = process;
  filterEvents();
  document.getElementById('events').scrollIntoView();
  events.list.scroller.focus({preventScroll: true});
}
