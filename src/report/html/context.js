// SPDX-License-Identifier: Apache-2.0
// Drops and coverage: how far the report can be trusted; and which job it was.

function dropsSection() {
  const node = el('section.card', el('h2', 'Drops and coverage'));
  node.id = 'drops';
  const table = el('table.grid', el('thead', el('tr', ['What', 'Why', 'How many'].map(word => attributes(el('th', word), {scope: 'col'})))));
  const body = el('tbody', D.losses.map(loss => el('tr.warn', el('td', loss.what.replaceAll('_', ' ')), el('td', loss.reason.replaceAll('_', ' ')),
    el('td.number', number(loss.count)))));
  table.append(body);
  if (D.losses.length) node.append(el('h3', 'Lost on the way'), table);
  else node.append(el('p.good-note', icon('ok'), 'Nothing was lost: each event that the hooks saw is counted.'));
  const repeats = [[D.repeatedOpens, 'open'], [D.repeatedActs, 'act'], [D.repeatedSendmsg, 'datagram']].filter(([count]) => count);
  if (repeats.length) {
    node.append(el('p.note', `Counted but not listed, as they say nothing new: ${repeats.map(([count, what]) => plural(count, 'repeated ' + what)).join(', ')}.`));
  }
  if (D.slowedActs) {
    node.append(el('p.note', `${plural(D.slowedActs, 'act')} of the job waited a moment for the sensor, which was behind. None is missing for that.`));
  }
  const left = Object.values(D.leftOut).reduce((sum, count) => sum + count, 0);
  if (left || D.alertsLeftOut) {
    node.append(el('p.warn-note', `Not in this page, but in events.jsonl and detections.jsonl: ${plural(left, 'event')}, ${plural(D.alertsLeftOut, 'alert')}.`));
  }
  if (D.coverage.length) node.append(el('h3', 'What was watched, and with what'), coverageTable());
  return node;
}

function coverageTable() {
  const table = el('table.grid', el('thead', el('tr', ['Kind of event', 'Seen', 'Served by', 'What that cannot see'].map(word =>
    attributes(el('th', word), {scope: 'col'})))));
  const rows = [...D.coverage].sort((a, b) => a.available - b.available);
  table.append(el('tbody', rows.map(entry => el(entry.available ? 'tr' : 'tr.bad', el('td', el('code', entry.type)),
    el('td.number', entry.available ? number(D.byType[entry.type] || 0) : '-'),
    el('td', entry.available ? entry.backend : 'not watched'), el('td.small', entry.available ? entry.limits : entry.reason)))));
  return el('div.wide', table);
}

// Only what is plainly an address of the web becomes a link; it tells the other side nothing.
const isWebAddress = text => /^https?:\/\/[\x21-\x7e]+$/.test(text) && text.length <= 2048;
const webLink = text => attributes(el('a', text), {href: text, rel: 'noopener noreferrer'});

function contextSection() {
  const node = el('section.card', el('h2', 'Job'));
  node.id = 'job';
  const rows = D.job.map(([label, text]) => [label, isWebAddress(text) ? webLink(text) : text]);
  rows.push(['Command', el('code', D.command.join(' '))]);
  if (D.startUs) rows.push(['Began', moment(D.startUs)], ['Ended', moment(D.endUs)]);
  rows.push(['Ended by', REASONS[D.reason] || D.reason], ['Sensor', `cicd-sensor ${D.version}`]);
  if (D.termination) {
    const ended = D.termination;
    rows.push(['Terminated', `by ${ended.rule || 'a rule'} with ${ended.method}: ${plural(ended.processes, 'process', 'processes')} within ${duration(ended.durationUs)}, ${number(ended.escaped)} of them outside of the cgroup, ${number(ended.left)} left`]);
  }
  node.append(factList(rows));
  node.append(el('details', el('summary', plural(D.ruleSets.length, 'rule set')), el('ul.plain', D.ruleSets.map(set =>
    el('li', set.id, ' ', el('code.small', set.revision.slice(0, 19)))))));
  return node;
}
