// SPDX-License-Identifier: Apache-2.0
// Puts the page together.

const PARTS = [['happened', 'What happened'], ['went', 'Where it went'], ['touched', 'What was touched'],
  ['egress', 'Egress'], ['time', 'Timeline'], ['tree', 'Processes'], ['events', 'Events'], ['drops', 'Drops and coverage'], ['job', 'Job']];

function navigation() {
  const nav = document.getElementById('nav');
  for (const [id, title] of PARTS) {
    if (id === 'egress' && !D.egress && !D.traffic.length) continue;
    const link = el('a', title);
    link.href = '#' + id;
    nav.append(link);
  }
  const themes = {'': 'dark', dark: 'light', light: 'dark'};
  const theme = attributes(button('theme', () => {
    const isDark = matchMedia('(prefers-color-scheme: dark)').matches;
    const now = document.documentElement.dataset.theme || (isDark ? 'dark' : 'light');
    document.documentElement.dataset.theme = themes[now];
    drawTimeline();
  }, '◐'), {'aria-label': 'Dark or light', title: 'Dark or light'});
  nav.append(el('span.space'), theme);
}

// On paper nothing can be opened: what is folded in the key sections is shown.
function bindPrinting() {
  let opened = [];
  addEventListener('beforeprint', () => {
    closeDrawer();
    opened = [...document.querySelectorAll('#parts details:not([open]):not(.noted):not(.again)')];
    for (const node of opened) node.open = true;
    drawTimeline();
  });
  addEventListener('afterprint', () => {
    for (const node of opened) node.open = false;
    drawTimeline();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawTimeline);
}

// The ways to detections, for paper: a list that scrolls shows only what is in sight.
function printedTree() {
  const node = el('section.card.print-only', el('h2', 'Processes with detections'));
  const list = el('ul.printed-tree');
  const walk = (process, level) => {
    if (!A.below[process] || list.childElementCount > 400) return;
    const entry = el('li', el('b', programName(process)), el('code', args(P.image[process])),
      el('span.note', ` pid ${P.pid[process]}${A.own[process] ? `, ${plural(A.own[process], 'detection')}` : ''}`));
    entry.style.setProperty('--level', Math.min(level, 24));
    list.append(entry);
    for (let child = P.first[process]; child; child = P.next[child]) walk(child, level + 1);
  };
  for (let root = P.first[0]; root; root = P.next[root]) walk(root, 0);
  node.append(list);
  return list.childElementCount ? node : null;
}

function start() {
  load();
  const app = document.getElementById('app');
  add(document.getElementById('top'), verdict());
  navigation();
  add(document.getElementById('parts'),
    el('div.first', whatHappened(), el('div.side', whereItWent(), whatWasTouched())),
    egressSection(), timelineSection(), treeSection(), printedTree(), eventsSection(), dropsSection(), contextSection());
  add(document.getElementById('foot'), `cicd-sensor ${D.version}. This page needs no network and sends nothing.`);
  app.hidden = false;
  drawTimeline();
  tree.list.refresh();
  events.list.refresh();
  bindPrinting();
}
