// SPDX-License-Identifier: Apache-2.0
// Who did it and why a rule fired: the chain of processes, the condition with what the event had,
// and the drawer that shows one event or process.

// The chain of a process, one link a line, oldest first.
function chainList(process) {
  const list = el('ol.chain');
  middleOut(chainOf(process)).forEach((link, i) => {
    const entry = link ? el('li', button('link', () => openTree(link), programName(link)),
      el('code', args(P.image[link])), el('span.note', ` pid ${P.pid[link]}`)) : el('li', '...');
    entry.style.setProperty('--level', Math.min(i, 12));
    list.append(entry);
  });
  return list;
}

// "bash → pip → sh → curl" in one line; `from` leaves out the programs before it.
function chainLine(process, from = 0) {
  const words = middleOut(programsOf(process).slice(from)).map(link => link ? programName(link) : '...');
  if (!words.length) words.push(programName(process));
  const line = el('span.chainline');
  words.forEach((word, i) => add(line, i > 0 && el('span.arrow', ' → '),
    el(i === words.length - 1 ? 'b' : 'span', word)));
  return line;
}

const TOKENS = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[A-Za-z_][\w.]*|[^\w"']+|./gs;

// The text of a condition; what the event has a value for stands out.
function conditionCode(text, known) {
  const code = el('pre.condition');
  const lines = text.replaceAll('\uE000\\n\uE001', '\n');
  for (const [token] of lines.trim().matchAll(TOKENS)) {
    const name = known.find(field => token === field || token.startsWith(field + '.'));
    if (name) code.append(put(el('b.field'), token));
    else if (/^["']/.test(token)) code.append(put(el('span.literal'), token));
    else put(code, token);
  }
  return code;
}

// [[field, value]] of an event behind an alert, as rules name them.
function valuesOf(event) {
  const fields = Object.entries(D.values[event] || {});
  const process = E.process[event];
  const image = typeName(event) === 'process_exec' ? E.text[event] : P.image[process];
  const ancestors = chainOf(process).slice(0, -1).reverse();
  fields.push(['process.exec_path', string(D.images.path[image])]);
  fields.push(['process.argv', lastPart(string(D.images.path[image])) + args(image)]);
  if (P.step[process]) fields.push(['step.name', string(P.step[process])]);
  if (ancestors.length) {
    fields.push(['process.ancestors', ancestors.slice(0, 64).map(link => string(D.images.path[P.image[link]])).join('  ←  ')]);
  }
  return fields;
}

function valueTable(rows) {
  const table = el('table.values');
  for (const [field, value] of rows) {
    table.append(el('tr', attributes(el('th', field), {scope: 'row'}), el('td', String(value))));
  }
  return table;
}

// The counts that a correlation looks at.
function countsOf(rule) {
  const names = new Set([...rule.condition.matchAll(/rule\.(\w+)\.total_count/g)].map(match => match[1]));
  return [...names].map(name => {
    const other = D.rules.find(candidate => candidate.id === name && candidate.set === rule.set);
    return [`rule.${name}.total_count`, other ? number(other.hits) : '0'];
  }).filter(([, count]) => count !== '0');
}

function ruleWhy(event, rule) {
  const values = valuesOf(event);
  const isCounting = rule.looksAt === 'correlation';
  const rows = isCounting ? countsOf(rule) : values;
  const names = rows.map(([field]) => field);
  const looked = isCounting ? rows : rows.filter(([field]) =>
    new RegExp(`(^|[^\\w.])${field.replace('.', '\\.')}\\b`).test(rule.condition));
  const others = isCounting ? values : rows.filter(row => !looked.includes(row));
  const node = el('section.why', el('h4', rule.name || rule.id), el('p.about', rule.about.replaceAll('\uE000\\n\uE001', ' ')),
    el('p.note.tags', el('span', `${rule.action}, ${plural(rule.hits, 'hit')}`), el('code', rule.id), el('span', rule.set),
      rule.tags.map(tag => el('span.tag', tag))),
    el('h5', 'It fires when'),
    conditionCode(rule.condition, names));
  for (const exception of rule.exceptions) {
    node.append(el('h5', 'but not when'), conditionCode(exception, names));
  }
  node.append(el('h5', isCounting ? 'Counts at the end of the job' : 'This event had'), valueTable(looked));
  if (others.length) {
    node.append(el('details', el('summary', isCounting ? 'The event that made it true' : 'Its other values'),
      valueTable(others)));
  }
  return node;
}

function whyPanel(event, rules) {
  return el('div.whys', rules.map(rule => ruleWhy(event, D.rules[rule])));
}

const drawer = {node: null, opener: null};

function openDrawer(title, ...content) {
  if (!drawer.node) {
    drawer.node = attributes(el('aside.drawer'), {role: 'dialog', 'aria-label': 'Details', tabindex: '-1'});
    drawer.node.addEventListener('keydown', event => {
      if (event.key === 'Escape') closeDrawer();
    });
    document.body.append(drawer.node);
  }
  if (drawer.node.hidden || !drawer.node.contains(document.activeElement)) drawer.opener = document.activeElement;
  drawer.node.hidden = false;
  const head = el('header', el('h3', title), attributes(button('close', closeDrawer, '×'), {'aria-label': 'Close'}));
  drawer.node.replaceChildren(head, ...content);
  drawer.node.scrollTop = 0;
  drawer.node.focus();
}

function closeDrawer() {
  if (!drawer.node || drawer.node.hidden) return;
  drawer.node.hidden = true;
  if (drawer.opener) drawer.opener.focus();
}

function factList(rows) {
  const list = el('dl.facts');
  for (const [label, value] of rows) {
    if (value !== null && value !== '') list.append(el('dt', label), el('dd', value));
  }
  return list;
}

function openEvent(event) {
  const {verb, what} = describe(event);
  const process = E.process[event];
  const type = D.types[E.type[event]];
  const rules = A.rulesOf.get(event) || [];
  openDrawer(`${programName(process)} ${verb}`,
    el('p.big', el('code', what)),
    factList([
      ['When', `${offset(timeOf(event))}, ${moment(D.firstUs + E.time[event])}`],
      ['Event', `${type.name}`], ['About', marksOf(event).join(', ')],
      ['Process', button('link', () => openProcess(process), `${programName(process)}, pid ${P.pid[process]}`)],
      ['Step', string(P.step[process])],
    ]),
    el('h4', 'Who did it'), chainList(process),
    rules.length ? el('h4', 'Why it is a detection') : null, rules.length ? whyPanel(event, rules) : null,
    el('div.actions', button('', () => openTree(process), 'Show in the process tree'),
      button('', () => showEventsOf(process), 'All events of this process')));
}

function statusWords(process) {
  if (P.end[process] < 0) return 'its end was not seen';
  return P.status[process] < 0 ? `ended by signal ${-P.status[process]}` : `exit code ${P.status[process]}`;
}

function openProcess(process) {
  const past = [];
  for (let at = P.past[process]; at; at = D.past.previous[at]) past.push(command(D.past.image[at]));
  const image = P.image[process];
  const life = P.end[process] < 0 ? '' : `, ${duration(Math.max(0, P.end[process] - P.start[process]))}`;
  openDrawer(programName(process),
    el('p.big', el('code', execWords(image))),
    factList([
      ['Process', `pid ${P.pid[process]}, user ${P.uid[process]}`],
      ['Life', `${offset(P.start[process] + D.shift)}${life}, ${statusWords(process)}`],
      ['Step', string(P.step[process])],
      ['Script', string(D.images.script[image])], ['Folder', string(D.images.cwd[image])],
      ['Was before', past.join(', ')],
      ['Events', `${number(P.events[process])}: ` + LANES.map((lane, i) => [P.lanes[i][process], lane])
        .filter(([count]) => count).map(([count, lane]) => `${number(count)} ${lane.toLowerCase()}`).join(', ')],
    ]),
    el('h4', 'Who started it'), chainList(process),
    el('div.actions', button('', () => openTree(process), 'Show in the process tree'),
      button('', () => showEventsOf(process), 'All events of this process')));
}
