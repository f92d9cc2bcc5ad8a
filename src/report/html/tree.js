// SPDX-License-Identifier: Apache-2.0
// The process tree: who started whom. Collapsible, searchable; the way to detections starts open.

const tree = {open: null, rows: [], levels: [], found: null, onlyAlarming: false};

function treeSection() {
  const node = el('section.card', el('h2', 'Process tree', el('span.count', number(P.count - 1))));
  node.id = 'tree';
  tree.open = new Uint8Array(P.count);
  openToAlarms();
  tree.search = attributes(el('input'), {type: 'search', placeholder: 'Search programs and arguments', 'aria-label': 'Search the process tree'});
  tree.search.addEventListener('input', () => searchTree());
  tree.search.addEventListener('keydown', event => {
    if (event.key === 'Enter') nextFound(event.shiftKey ? -1 : 1);
  });
  tree.matches = attributes(el('span.note'), {'aria-live': 'polite'});
  tree.list = new VirtualList({
    role: 'tree', rowRole: 'treeitem', label: 'Processes', rowHeight: 28, render: treeRow,
    open: index => openProcess(tree.rows[index]), key: treeKey,
  });
  const only = el('label.check', attributes(el('input'), {type: 'checkbox'}), 'only with detections');
  only.firstChild.addEventListener('change', event => { tree.onlyAlarming = event.target.checked; layTree(); });
  node.append(el('div.bar', tree.search, tree.matches, only, el('span.space'),
    button('', () => { tree.open.fill(1); layTree(); }, 'Expand all'),
    button('', () => { tree.open.fill(0); layTree(); }, 'Collapse all')), tree.list.scroller);
  layTree();
  return node;
}

// All of a small tree is open; of a large one the first levels and the ways to detections.
function openToAlarms() {
  const isSmall = P.count <= 150;
  for (let i = 1; i < P.count; i++) {
    if (isSmall || A.below[i] > A.own[i] || !P.parent[i]) tree.open[i] = 1;
  }
}

function layTree() {
  tree.rows = [];
  tree.levels = [];
  const stack = [];
  const push = (first, level) => {
    const siblings = [];
    for (let child = first; child; child = P.next[child]) {
      if (!tree.onlyAlarming || A.below[child]) siblings.push(child);
    }
    for (let i = siblings.length - 1; i >= 0; i--) stack.push([siblings[i], level]);
  };
  push(P.first[0], 0);
  while (stack.length) {
    const [process, level] = stack.pop();
    tree.rows.push(process);
    tree.levels.push(level);
    if (tree.open[process] && P.first[process]) push(P.first[process], level + 1);
  }
  tree.list.setCount(tree.rows.length);
  const rows = Math.max(3, Math.min(tree.rows.length, 18));
  tree.list.scroller.style.height = `${rows * 28 + 2}px`;
}

function treeRow(row, index) {
  const process = tree.rows[index];
  const hasChildren = P.first[process] !== 0;
  attributes(row, {'aria-level': String(tree.levels[index] + 1)});
  if (hasChildren) row.setAttribute('aria-expanded', String(!!tree.open[process]));
  else row.removeAttribute('aria-expanded');
  row.classList.add('tree-row');
  row.classList.toggle('alarming', A.own[process] > 0);
  row.classList.toggle('found', !!tree.found && tree.found.has(process));
  row.style.setProperty('--level', Math.min(tree.levels[index], 24));
  const twist = hasChildren
    ? attributes(button('twist', () => toggleProcess(process), tree.open[process] ? '▾' : '▸'), {tabindex: '-1', 'aria-hidden': 'true'})
    : el('span.twist');
  const image = P.image[process];
  const name = el('span.name', el('b', programName(process)), el('span.args', args(image)));
  name.title = plain(command(image));
  row.append(twist, name);
  const badge = (count, kind, title) => count && row.append(attributes(el('span.badge.' + kind, number(count)), {title}));
  badge(A.own[process], 'red', 'detections');
  if (!tree.open[process] && A.below[process] > A.own[process]) badge(A.below[process] - A.own[process], 'red.below', 'detections below');
  badge(P.lanes[3][process] + P.lanes[4][process], 'net', 'connections, names and requests');
  badge(P.lanes[2][process], 'file', 'files changed');
  if (P.status[process]) row.append(el('span.status', P.status[process] < 0 ? `signal ${-P.status[process]}` : `exit ${P.status[process]}`));
  const life = P.end[process] < 0 ? 'runs' : duration(Math.max(0, P.end[process] - P.start[process]));
  row.append(el('span.pid', String(P.pid[process])), el('span.life', life));
}

function toggleProcess(process) {
  tree.open[process] = tree.open[process] ? 0 : 1;
  const at = tree.rows.indexOf(process);
  layTree();
  tree.list.select(at);
}

function treeKey(event, index) {
  const process = tree.rows[index];
  if (event.key === 'ArrowRight') {
    if (P.first[process] && !tree.open[process]) toggleProcess(process);
    else if (P.first[process]) tree.list.select(index + 1);
    return true;
  }
  if (event.key !== 'ArrowLeft') return false;
  if (tree.open[process] && P.first[process]) toggleProcess(process);
  else if (P.parent[process]) tree.list.select(tree.rows.indexOf(P.parent[process]));
  return true;
}

function searchTree() {
  const wanted = tree.search.value.trim().toLowerCase();
  tree.found = null;
  tree.at = -1;
  tree.matches.textContent = '';
  if (wanted) {
    const isMatch = D.images.path.map((_, image) => image > 0 &&
      plain(`${string(D.images.path[image])} ${string(D.images.args[image])} ${string(D.images.script[image])}`).toLowerCase().includes(wanted));
    tree.found = new Set();
    for (let i = 1; i < P.count; i++) {
      if (isMatch[P.image[i]] || String(P.pid[i]) === wanted) tree.found.add(i);
    }
    for (const process of [...tree.found].slice(0, 5000)) openWay(process);
    tree.matches.textContent = tree.found.size ? `${plural(tree.found.size, 'process', 'processes')}, Enter: next` : 'nothing found';
  }
  layTree();
  if (tree.found && tree.found.size) nextFound(1);
}

function openWay(process) {
  for (let at = P.parent[process]; at; at = P.parent[at]) tree.open[at] = 1;
}

function nextFound(direction) {
  if (!tree.found || !tree.found.size) return;
  const found = tree.rows.map((process, i) => tree.found.has(process) ? i : -1).filter(i => i >= 0);
  if (!found.length) return;
  tree.at = (tree.at + direction + found.length) % found.length;
  tree.list.showAt(found[tree.at]);
}

function openTree(process) {
  if (tree.onlyAlarming && !A.below[process]) {
    tree.onlyAlarming = false;
    document.querySelector('#tree input[type=checkbox]').checked = false;
  }
  openWay(process);
  layTree();
  document.getElementById('tree').scrollIntoView();
  tree.list.showAt(tree.rows.indexOf(process));
  tree.list.scroller.focus({preventScroll: true});
}
