// SPDX-License-Identifier: Apache-2.0
// What the job's egress policy made of it: mode, what was against it, and how much went where.

const VERDICTS = {block: 'blocked', audit: 'would be blocked', allow: 'let pass'};
const reasonText = reason => reason === 'direct_ip' ? 'direct-IP egress (no DNS answer recorded)' : reason.replaceAll('_', ' ');

function bytesText(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit++; }
  return `${unit && bytes < 10 ? Math.floor(bytes * 10) / 10 : Math.floor(bytes)} ${units[unit]}`;
}

const tableOf = (titles, rows) => el('div.wide', el('table.grid',
  el('thead', el('tr', titles.map(word => attributes(el('th', word), {scope: 'col'})))), el('tbody', rows)));

// A table that starts short, with a button for the other rows.
function shortTable(titles, items, shown, make, what) {
  const table = tableOf(titles, items.slice(0, shown).map(make));
  if (items.length <= shown) return table;
  const more = button('link', () => {
    table.querySelector('tbody').append(...items.slice(shown, MOST_ITEMS).map(make));
    more.remove();
  }, `show ${number(items.length - shown)} more ${what}`);
  return el('div', table, more);
}

function violationRow(use) {
  return el(use.verdict === 'allow' ? 'tr' : 'tr.bad', el('td', VERDICTS[use.verdict]),
    el('td', use.host && el('b', use.host), use.host && use.address && ' ', use.address && el('code', use.address)),
    el('td', reasonText(use.reason), use.rule && el('span.note', ' by ', use.rule)),
    el('td.number', number(use.count)), el('td', use.by.map(lastPart).join(', ')));
}

function trafficRow(use) {
  const cell = (bytes, packets) => attributes(el('td.number', bytes ? bytesText(bytes) : '-'), {title: plural(packets, 'packet')});
  return el('tr', el('td', use.host && el('b', use.host), use.host && ' ', el('code', use.address)),
    cell(use.sent, use.sentPackets), cell(use.received, use.receivedPackets), cell(use.blocked, use.blockedPackets));
}

function egressSection() {
  const egress = D.egress;
  if (!egress && !D.traffic.length) return null;
  const node = el('section.card.egress', el('h2', 'Egress'));
  node.id = 'egress';
  if (egress) {
    node.append(factList([['Mode', egress.mode], ['Violations', egress.violations], ['Learned', egress.learned]]));
    if (egress.top.length) {
      node.append(shortTable(['Verdict', 'Destination', 'Why', 'How often', 'By'], egress.top, 10, violationRow, 'violations'));
    }
  }
  if (D.traffic.length) {
    node.append(el('h3', 'How much went where'),
      shortTable(['Destination', 'Sent', 'Received', 'Blocked'], D.traffic, 10, trafficRow, 'destinations'));
  }
  return node;
}
