// SPDX-License-Identifier: Apache-2.0
// Where it went, and what was touched: events of the network and of files, gathered by name.

// Programs with how often, as buttons that lead to the first process of each.
class Users {
  constructor() { this.programs = new Map(); }
  add(process) {
    const name = programName(process);
    const entry = this.programs.get(name);
    if (entry) entry.count++;
    else this.programs.set(name, {count: 1, process});
  }
  node() {
    const entries = [...this.programs].sort((a, b) => b[1].count - a[1].count);
    const shown = entries.slice(0, 6);
    return el('span.users', shown.map(([name, {process}]) => attributes(
      button('user', () => openProcess(process), name), {title: plain(chainWords(process).join(' → '))})),
      entries.length > shown.length && el('span.note', ` and ${entries.length - shown.length} more`));
  }
}

const hostOf = host => host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
const addressIp = address => hostOf(address.slice(0, address.lastIndexOf('/')));

function gatherPlaces() {
  const places = new Map();
  const at = (name, event) => {
    if (!places.has(name)) {
      places.set(name, {name, addresses: new Map(), requests: new Map(), users: new Users(), connects: 0, asked: 0,
        first: event, rules: new Set()});
    }
    const place = places.get(name);
    for (const rule of A.rulesOf.get(event) || []) place.rules.add(rule);
    return place;
  };
  for (let i = 0; i < E.count; i++) {
    if (E.lane[i] !== 3 && E.lane[i] !== 4) continue;
    const type = typeName(i);
    if (type === 'network_connect') {
      const address = string(E.text[i]);
      const place = at(string(E.detail[i]) || addressIp(address), i);
      place.addresses.set(address, (place.addresses.get(address) || 0) + 1);
      place.connects++;
      place.users.add(E.process[i]);
    } else if (type === 'http_request') {
      const place = at(hostOf(string(E.detail[i])), i);
      const request = string(E.text[i]);
      place.requests.set(request, (place.requests.get(request) || 0) + 1);
      place.users.add(E.process[i]);
    } else if (type === 'domain' && !isAnswer(i)) {
      const place = at(string(E.text[i]), i);
      place.asked++;
      place.users.add(E.process[i]);
    }
  }
  return [...places.values()];
}

// Names that were only asked for, a tunnel's thousands together below their last two labels.
function joinAsked(asked) {
  const parents = new Map();
  for (const place of asked) {
    const parent = place.name.split('.').slice(-2).join('.');
    if (!parents.has(parent)) parents.set(parent, []);
    parents.get(parent).push(place);
  }
  const out = [];
  for (const [parent, group] of parents) {
    if (group.length < 5) { out.push(...group); continue; }
    const joined = {name: `${number(group.length)} names below ${parent}`, names: group, addresses: new Map(),
      requests: new Map(), users: new Users(), connects: 0, asked: 0, first: group[0].first, rules: new Set()};
    for (const place of group) {
      joined.asked += place.asked;
      for (const rule of place.rules) joined.rules.add(rule);
      for (const [name, entry] of place.users.programs) {
        const known = joined.users.programs.get(name);
        if (known) known.count += entry.count;
        else joined.users.programs.set(name, {...entry});
      }
    }
    out.push(joined);
  }
  return out;
}

const isAlarming = place => [...place.rules].some(rule => D.rules[rule].action !== 'collect');

function placeNode(place) {
  const counts = [];
  if (place.connects) counts.push(plural(place.connects, 'connection'));
  if (place.asked && !place.connects) counts.push(`asked ${plural(place.asked, 'time')}, no connection`);
  const addresses = [...place.addresses].sort((a, b) => b[1] - a[1]);
  const node = el('div.place' + (isAlarming(place) ? '.alarming' : ''),
    el('div.place-head', isAlarming(place) ? icon('alert') : icon('net'),
      el('div', attributes(button('thing', () => openEvent(place.first), place.name), {title: plain(place.name)}), ' ',
        el('span.note', counts.join(', ')))), el('div', el('span.note', 'by '), place.users.node()));
  if (addresses.length) {
    node.append(el('div.addresses', addresses.slice(0, 4).map(([address]) => el('code', address)),
      addresses.length > 4 && el('span.note', `and ${addresses.length - 4} more addresses`)));
  }
  if (place.requests.size) {
    node.append(shortList([...place.requests], 3, ([request, count]) =>
      el('span', el('code', request), count > 1 && el('span.note', ` ${number(count)} times`)), 'requests'));
  }
  return node;
}

function whereItWent() {
  const node = el('section.card.went', el('h2', 'Where it went'));
  node.id = 'went';
  const places = gatherPlaces();
  const reached = places.filter(place => place.connects || place.requests.size);
  const asked = joinAsked(places.filter(place => !place.connects && !place.requests.size));
  const all = [...reached, ...asked].sort((a, b) =>
    isAlarming(b) - isAlarming(a) || b.connects - a.connects || b.asked - a.asked || a.first - b.first);
  if (!all.length) node.append(el('p.empty', 'No connection was tried, no name asked for.'));
  else node.append(shortList(all, 8, placeNode, 'destinations'));
  return node;
}

const TEMPORARY = ['/tmp/', '/var/tmp/', '/dev/shm/', '/run/user/'];
const isDevice = path => path.startsWith('/dev/') && !path.startsWith('/dev/shm/') || path.startsWith('/proc/self/') ||
  path.startsWith('/dev/pts/');

// Paths that were written, removed or made, by where they are.
function gatherChanges() {
  const workspace = string(D.images.cwd[P.image[P.first[0]] || 0] || 0);
  const groups = {outside: new Map(), temporary: new Map(), workspace: new Map()};
  const note = (path, event, how) => {
    if (!path || isDevice(path)) return;
    const where = workspace && workspace !== '/' && path.startsWith(workspace + '/') ? 'workspace'
      : TEMPORARY.some(folder => path.startsWith(folder)) ? 'temporary' : 'outside';
    if (!groups[where].has(path)) groups[where].set(path, {path, first: event, how: new Set(), users: new Users(), count: 0});
    const entry = groups[where].get(path);
    entry.how.add(how);
    entry.count++;
    entry.users.add(E.process[event]);
  };
  for (let i = 0; i < E.count; i++) {
    if (E.lane[i] !== 2 || E.flags[i] & FAILED) continue;
    const type = typeName(i);
    if (type === 'file_open') note(string(E.text[i]), i, 'written');
    else if (type === 'file_remove') note(string(E.text[i]), i, 'removed');
    else if (type === 'file_move') note(string(E.detail[i]), i, 'moved here');
    else if (type === 'file_link') note(string(E.text[i]), i, 'linked');
  }
  return {workspace, groups};
}

function touchedRow(entry, kind) {
  return el('div.touched', icon(kind ? 'key' : 'file'),
    attributes(button('thing', () => openEvent(entry.first), entry.path), {title: plain(entry.path)}),
    el('div', el('span.note', kind ? `${kind}, ${entry.words} by ` : `${[...entry.how].join(', ')} by `), entry.users.node()));
}

// Where each sensitive file was first opened, and by whom.
function gatherSensitive() {
  const found = new Map(D.sensitive.map(use => [use.path, {path: use.path, kind: use.kind, users: new Users(), first: -1,
    words: use.writes ? use.reads ? 'read and written' : 'written' : 'read'}]));
  if (!found.size) return [];
  for (let i = 0; i < E.count; i++) {
    if (typeName(i) !== 'file_open' || E.flags[i] & FAILED || !(E.flags[i] & (READ | WRITE))) continue;
    const entry = found.get(string(E.text[i]));
    if (!entry) continue;
    if (entry.first < 0) entry.first = i;
    entry.users.add(E.process[i]);
  }
  return [...found.values()];
}

function whatWasTouched() {
  const node = el('section.card.touched-card', el('h2', 'What was touched'));
  node.id = 'touched';
  const sensitive = gatherSensitive();
  node.append(el('h3', 'Sensitive files', el('span.count', number(sensitive.length))));
  if (!sensitive.length) node.append(el('p.empty', 'None was opened.'));
  else node.append(shortList(sensitive, 8, entry => touchedRow(entry, entry.kind), 'files'));
  const {workspace, groups} = gatherChanges();
  const list = (title, map, shown) => {
    if (!map.size && title !== 'Changed outside of the workspace') return;
    const entries = [...map.values()];
    const body = entries.length ? shortList(entries, shown || 20, entry => touchedRow(entry), 'files') : el('p.empty', 'None.');
    const label = [title, el('span.count', number(entries.length))];
    node.append(shown ? el('h3', label) : el('details', el('summary', el('h3', label)), body));
    if (shown) node.append(body);
  };
  list('Changed outside of the workspace', groups.outside, 6);
  list('Changed in temporary folders', groups.temporary, 0);
  list('Changed in the workspace', groups.workspace, 0);
  if (workspace) node.append(el('p.note', 'Workspace: ', el('code', workspace)));
  return node;
}
