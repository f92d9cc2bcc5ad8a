// SPDX-License-Identifier: Apache-2.0
// The data of the page in the form in which everything else reads them. src/report/page_data.cpp
// writes them; columns are differences where that is shorter.

const LANES = ['Processes', 'Files read', 'Files changed', 'Connections', 'Names, HTTP', 'System'];
const LANE_OF = {
  process_exec: 0, process_exit: 0, file_open: 1, file_remove: 2, file_move: 2, file_link: 2,
  network_connect: 3, unix_socket_connect: 3, domain: 4, http_request: 4,
};
const READ = 1, WRITE = 2, FAILED = 4;
const MARKS = [
  'path was cut off', 'path was joined, not walked', 'name was unlinked already',
  'arguments were cut off', 'start of the process was not seen', 'datagram without connect',
  'outside of the job\'s cgroup', 'name could not be read', 'several names lead to the address',
  'through io_uring', '32-bit system call', 'truncate, no open', 'not below the root of the process',
];

let D;      // the document
const S = {};  // strings
const P = {};  // processes, by index; 0 is nobody
const E = {};  // events
const A = {};  // alerts

function summed(values) {
  const out = new Float64Array(values.length);
  let sum = 0;
  for (let i = 0; i < values.length; i++) out[i] = sum += values[i];
  return out;
}

function load() {
  D = JSON.parse(document.getElementById('data').textContent);
  S.folder = Uint32Array.from(summed(D.strings.folder));
  S.text = D.strings.text;
  E.count = D.events.type.length;
  E.type = new Uint8Array(E.count);
  for (let i = 0; i < E.count; i++) E.type[i] = D.events.type.charCodeAt(i) - 65;
  E.time = summed(D.events.time);
  E.process = Uint32Array.from(summed(D.events.process));
  E.text = Uint32Array.from(summed(D.events.text));
  E.detail = Uint32Array.from(D.events.detail);
  E.flags = Uint16Array.from(D.events.flags);
  delete D.events;
  D.typeIndex = Object.fromEntries(D.types.map((type, i) => [type.name, i]));
  const laneOfType = D.types.map(type => LANE_OF[type.name] ?? 5);
  E.lane = new Uint8Array(E.count);
  for (let i = 0; i < E.count; i++) {
    const lane = laneOfType[E.type[i]];
    E.lane[i] = lane === 1 && (E.flags[i] & WRITE) ? 2 : lane;
  }
  // The clock of the page starts with the job, that of the data with the first event.
  D.shift = D.startUs && D.firstUs ? D.firstUs - D.startUs : 0;
  D.lengthUs = Math.max(D.endUs - D.startUs, E.count ? E.time[E.count - 1] + D.shift : 0, 1);
  loadProcesses();
  loadAlerts();
}

function loadProcesses() {
  Object.assign(P, D.processes);
  P.count = P.pid.length;
  P.first = new Uint32Array(P.count);
  P.next = new Uint32Array(P.count);
  const last = new Uint32Array(P.count);
  for (let i = 1; i < P.count; i++) {
    const parent = P.parent[i];
    if (last[parent]) P.next[last[parent]] = i;
    else P.first[parent] = i;
    last[parent] = i;
  }
  P.lanes = LANES.map(() => new Uint32Array(P.count));
  for (let i = 0; i < E.count; i++) P.lanes[E.lane[i]][E.process[i]]++;
}

function loadAlerts() {
  A.rulesOf = new Map();  // event -> rules
  A.eventsOf = new Map();  // rule -> events
  A.own = new Uint32Array(P.count);  // events with alerts, of a process
  A.below = new Uint32Array(P.count);  // the same with everything below it
  for (const [event, rule] of D.alerts) {
    if (!A.rulesOf.has(event)) A.rulesOf.set(event, []);
    A.rulesOf.get(event).push(rule);
    if (!A.eventsOf.has(rule)) A.eventsOf.set(rule, []);
    A.eventsOf.get(rule).push(event);
  }
  for (const [event, rules] of A.rulesOf) if (isSerious(rules)) A.own[E.process[event]]++;
  // Parents come before their children.
  for (let i = P.count - 1; i > 0; i--) {
    A.below[i] += A.own[i];
    A.below[P.parent[i]] += A.below[i];
  }
}

const isSerious = rules => rules.some(rule => D.rules[rule].action !== 'collect');
const severity = rules => rules.some(rule => D.rules[rule].action === 'terminate') ? 'terminate'
  : isSerious(rules) ? 'detect' : 'collect';

function string(index) {
  const folder = S.folder[index];
  return folder ? string(folder) + '/' + S.text[index] : S.text[index];
}

const typeName = event => D.types[E.type[event]].name;
const timeOf = event => E.time[event] + D.shift;

const imagePath = image => string(D.images.script[image] || D.images.path[image]);
const args = image => D.images.args[image] ? ' ' + string(D.images.args[image]) : '';
// "cc1 -quiet main.c": the program by its name, then its arguments.
const command = image => image ? (lastPart(imagePath(image)) || '(unknown)') + args(image) : 'a process that is not listed';
function programName(process) {
  const image = P.image[process];
  return image ? lastPart(imagePath(image)) || '(unknown)' : 'a process that is not listed';
}

// From the oldest to the process.
function chainOf(process) {
  const chain = [];
  for (let at = process; at; at = P.parent[at]) chain.push(at);
  return chain.reverse();
}
// The same without those that only forked: they are what their parent is.
const programsOf = process => chainOf(process).filter(link => P.image[link] !== P.image[P.parent[link]]);
const chainWords = process => middleOut(programsOf(process)).map(link => link ? programName(link) : '...');

// A chain can be as long as a job likes to fork: its middle is left out, and 0 stands for it.
function middleOut(chain) {
  const head = 4, tail = 20;
  return chain.length > head + tail + 1 ? [...chain.slice(0, head), 0, ...chain.slice(-tail)] : chain;
}

const isAnswer = event => string(E.detail[event]).includes(' = ');

// {verb, what}: "read" "/etc/passwd".
function describe(event) {
  const flags = E.flags[event];
  const text = () => string(E.text[event]);
  const detail = () => string(E.detail[event]);
  const failed = flags & FAILED ? ` (failed: ${detail()})` : '';
  switch (typeName(event)) {
    case 'process_exec': return {verb: 'ran', what: execWords(E.text[event])};
    case 'process_exit':
      return {verb: 'ended', what: E.detail[event] ? `signal ${E.detail[event]}` : `exit code ${E.text[event]}`};
    case 'file_open': {
      const verb = flags & WRITE ? (flags & READ ? 'read and wrote' : 'wrote') : flags & READ ? 'read' : 'opened';
      return {verb: failed ? 'could not open' : verb, what: text() + failed};
    }
    case 'file_remove': return {verb: 'removed', what: text()};
    case 'file_move': return {verb: 'moved', what: `${text()} → ${detail()}`};
    case 'file_link': return {verb: 'linked', what: `${text()} → ${detail()}`};
    case 'network_connect':
      return {verb: 'connected to', what: detail() ? `${detail()} (${text()})` : text()};
    case 'unix_socket_connect': return {verb: 'connected to', what: text()};
    case 'domain': return {verb: isAnswer(event) ? 'was told' : 'asked for', what: `${text()} ${detail()}`};
    case 'http_request': return {verb: 'requested', what: text()};
    case 'cgroup_escape': return {verb: 'left the job\'s cgroup', what: text()};
    case 'monitoring_gap': return {verb: 'was not watching', what: text()};
    case 'memory_read': return {verb: '', what: text()};
    default: return {verb: typeName(event).replaceAll('_', ' '), what: text()};
  }
}
function execWords(image) {
  const interpreter = D.images.script[image] ? ` (by ${lastPart(string(D.images.path[image]))})` : '';
  return imagePath(image) + args(image) + interpreter;
}

const marksOf = event => MARKS.filter((_, i) => E.flags[event] >> 3 & 1 << i);
