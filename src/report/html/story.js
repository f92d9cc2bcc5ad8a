// SPDX-License-Identifier: Apache-2.0
// The first screen: the verdict, what happened, where it went, what was touched.

const REASONS = {
  command_exit: 'the command ended', interrupted: 'it was interrupted', terminate: 'a rule ended it',
  sensor_killed: 'the sensor was killed', recording_end: 'the recording ends here',
  recording_damaged: 'the recording is damaged from here on',
};

function statusText() {
  if (!D.statusKnown) return 'not seen';
  const isSignal = D.status > 128 && D.status <= 192;
  return isSignal ? `${D.status} (signal ${D.status - 128})` : String(D.status);
}

function fact(label, value, note, kind) {
  const tile = el('div.fact' + (kind ? '.' + kind : ''), el('dt', label), el('dd', value));
  if (note) tile.append(el('dd.note', note));
  return tile;
}

function verdict() {
  const words = {passed: 'Passed', detected: 'Detected', terminated: 'Terminated'};
  const serious = D.rules.filter(rule => rule.action !== 'collect');
  const hits = serious.reduce((sum, rule) => sum + rule.hits, 0);
  let said = serious.length ? `${plural(serious.length, 'rule')} fired, ${plural(hits, 'hit')}.`
    : D.ruleSets.length ? 'No rule fired.' : 'No rules were given.';
  if (D.termination) said += ` The job was ended by ${D.termination.rule || 'a rule'}.`;
  const behind = whoIsBehind();
  const lost = D.losses.reduce((sum, loss) => sum + loss.count, 0);
  const blind = D.coverage.filter(entry => !entry.available).length;
  const mark = {passed: 'ok', detected: 'alert', terminated: 'stop'}[D.result];
  const facts = el('dl.facts-row',
    fact('Exit code', statusText(), REASONS[D.reason] || D.reason, D.statusKnown && D.status !== 0 ? 'bad' : ''),
    fact('Took', duration(D.endUs - D.startUs), D.startUs ? moment(D.startUs).slice(0, 19) + ' UTC' : ''),
    fact('Processes', number(D.processesTotal), D.processesLeft ? `${number(D.processesLeft)} still ran at the end` : '',
      D.processesLeft ? 'warn' : ''),
    fact('Events', number(D.eventsTotal), ''),
    fact('Lost', lost ? number(lost) : 'nothing', lost ? 'see Drops' : '', lost ? 'warn' : 'good'),
    fact('Watched', D.coverage.length ? `${D.coverage.length - blind} of ${D.coverage.length}` : '-', 'kinds of events',
      blind ? 'warn' : 'good'));
  const node = el('section.verdict.' + D.result,
    el('div.verdict-line', el('span.mark', icon(mark)), el('div', el('h1', words[D.result]), el('p.said', said, behind)),
      el('div.which', el('b', D.name), el('code', D.command.join(' ')))), facts);
  const problems = [...D.problems];
  if (D.restarts) problems.push(`The sensor was restarted ${plural(D.restarts, 'time')} while the job ran.`);
  if (problems.length) node.append(el('ul.problems', problems.map(text => el('li', text))));
  return node;
}

const alarmingEvents = () => [...A.rulesOf.keys()].sort((a, b) => a - b).filter(event => isSerious(A.rulesOf.get(event)));

// The chain that all detections have in common, in a few words.
function whoIsBehind() {
  const branches = branchesOf(stepsOf(alarmingEvents()));
  if (!branches.length) return null;
  if (branches.length > 1) return ` In ${branches.length} branches of the job.`;
  const common = commonChain(branches[0]);
  return common.length ? [' Behind it: ', chainLine(common[common.length - 1])] : null;
}

// Steps: what was seen, with all rules that fired at it; the same thing done again joins the first.
function stepsOf(events) {
  const steps = new Map();
  for (const event of events) {
    const rules = A.rulesOf.get(event);
    const key = `${programsOf(E.process[event]).join('>')} ${E.type[event]} ${rules.join(' ')}`;
    if (steps.has(key)) steps.get(key).again.push(event);
    else steps.set(key, {event, rules, again: []});
  }
  return [...steps.values()];
}

// Acts of one branch of the job belong together: what its main process started.
function branchesOf(steps) {
  const branches = new Map();
  for (const step of steps) {
    const chain = programsOf(E.process[step.event]);
    const key = chain[Math.min(1, chain.length - 1)] || 0;
    if (!branches.has(key)) branches.set(key, []);
    branches.get(key).push(step);
  }
  return [...branches.values()];
}

function commonChain(steps) {
  let common = programsOf(E.process[steps[0].event]);
  for (const {event} of steps) {
    const chain = programsOf(E.process[event]);
    let length = 0;
    while (length < common.length && common[length] === chain[length]) length++;
    common = common.slice(0, length);
  }
  return common;
}

function stepNode(step, from) {
  const {verb, what} = describe(step.event);
  const who = chainLine(E.process[step.event], from);
  const why = el('div.why-box');
  why.hidden = true;
  const chips = step.rules.map(rule => el('li.chip.' + D.rules[rule].action, D.rules[rule].name || D.rules[rule].id));
  const toggle = button('link.why-button', () => {
    if (!why.firstChild) why.append(whyPanel(step.event, step.rules));
    why.hidden = !why.hidden;
    toggle.setAttribute('aria-expanded', String(!why.hidden));
  }, 'Why');
  toggle.setAttribute('aria-expanded', 'false');
  const again = step.again.length ? againNode(step.again) : null;
  return el('div.step.' + severity(step.rules),
    el('div.when', offset(timeOf(step.event))),
    el('div.act', el('div.what', who, ` ${verb} `, attributes(button('thing', () => openEvent(step.event), what), {title: plain(what)})), again,
      el('ul.chips', chips, el('li', toggle)), why));
}

// The same done again, with other things: folded.
function againNode(events) {
  return el('details.again', el('summary', `and ${number(events.length)} more like this`),
    shortList(events, 20, event => button('thing', () => openEvent(event), describe(event).what), 'of them'));
}

function branchNode(steps) {
  const common = commonChain(steps);
  const who = el('ol.crumbs', middleOut(common).map((process, i) => {
    const link = el('li', process ? button('link', () => openProcess(process), el('b', programName(process)),
      el('span', args(P.image[process]))) : '...');
    link.style.setProperty('--level', Math.min(i, 6));
    return link;
  }));
  const head = el('header', el('span.label', 'Who'), who);
  return el('article.branch', head, shortList(steps, 40, step => stepNode(step, common.length), 'acts', 'ol.steps'));
}

function whatHappened() {
  const serious = alarmingEvents();
  const collected = [...A.rulesOf.keys()].sort((a, b) => a - b).filter(event => !isSerious(A.rulesOf.get(event)));
  const node = el('section.card.happened', el('h2', 'What happened'));
  node.id = 'happened';
  if (!serious.length) {
    node.append(el('p.empty', D.rules.some(rule => rule.action !== 'collect')
      ? 'Rules fired, but their events are not in this page.'
      : D.ruleSets.length ? 'Nothing that a rule calls suspicious.' : 'No rules were given, so nothing was judged.'));
  }
  const branches = branchesOf(stepsOf(serious));
  if (branches.length) node.append(shortList(branches, 20, branchNode, 'branches of the job'));
  if (collected.length) {
    const steps = stepsOf(collected);
    const hits = D.rules.filter(rule => rule.action === 'collect').reduce((sum, rule) => sum + rule.hits, 0);
    node.append(el('details.noted', el('summary', `${plural(hits, 'hit')} noted without alarm`),
      shortList(branchesOf(steps), 20, branchNode, 'branches of the job')));
  }
  const beyond = D.rules.filter(rule => rule.hits > (A.eventsOf.get(D.rules.indexOf(rule)) || []).length);
  if (beyond.length) {
    node.append(el('p.note', 'Not each hit is shown: ', beyond.slice(0, 20).map((rule, i) =>
      `${i ? ', ' : ''}${rule.id} had ${number(rule.hits)} (at most ${number(rule.most)} become alerts)`)));
  }
  return node;
}
