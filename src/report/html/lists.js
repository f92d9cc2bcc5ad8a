// SPDX-License-Identifier: Apache-2.0
// A list of any length: only the rows that can be seen exist. Rows have one height; they are
// recycled, so scrolling makes no elements. With the keyboard: arrows, page keys, Home, End, Enter.

class VirtualList {
  // options: role, rowRole, label, rowHeight, render(row element, index), reuses (render() fills what
  // it made before), open(index), key(event, index): true when it was used.
  constructor(options) {
    this.options = options;
    this.count = 0;
    this.current = 0;
    this.pool = [];
    this.scroller = attributes(el('div.scroller'), {
      role: options.role, tabindex: '0', 'aria-label': options.label,
    });
    this.canvas = el('div.rows');
    attributes(this.canvas, {role: 'presentation'});
    this.scroller.append(this.canvas);
    let waiting = false;
    this.scroller.addEventListener('scroll', () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; this.draw(); });
    }, {passive: true});
    this.scroller.addEventListener('keydown', event => this.onKey(event));
    this.canvas.addEventListener('click', event => {
      const row = event.target.closest('.row');
      if (!row) return;
      this.select(Number(row.dataset.index));
      if (!event.target.closest('button')) options.open(this.current);
    });
    new ResizeObserver(() => this.draw()).observe(this.scroller);
  }

  setCount(count) {
    this.count = count;
    this.canvas.style.height = `${count * this.options.rowHeight}px`;
    this.current = Math.max(0, Math.min(this.current, count - 1));
    for (const row of this.pool) row.dataset.index = '-1';
    this.draw();
  }

  draw() {
    const height = this.options.rowHeight;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / height) - 4);
    const wanted = Math.min(this.count - first, Math.ceil(this.scroller.clientHeight / height) + 8);
    // Rows find their place by index modulo the size of the pool: a larger pool starts anew.
    if (this.pool.length < wanted) for (const row of this.pool) row.dataset.index = '-1';
    while (this.pool.length < wanted) {
      const row = attributes(el('div.row'), {role: this.options.rowRole});
      row.dataset.index = '-1';
      this.pool.push(row);
      this.canvas.append(row);
    }
    for (let i = first; i < first + wanted; i++) this.drawRow(this.pool[i % this.pool.length], i);
    for (const row of this.pool) {
      const index = Number(row.dataset.index);
      row.hidden = index < first || index >= first + wanted;
    }
  }

  drawRow(row, index) {
    if (row.dataset.index !== String(index)) {
      row.dataset.index = String(index);
      attributes(row, {'aria-posinset': String(index + 1), 'aria-setsize': String(this.count)});
      row.id = `${this.options.label.replace(/\W/g, '')}-${index}`;
      row.style.transform = `translateY(${index * this.options.rowHeight}px)`;
      if (!this.options.reuses) {
        row.replaceChildren();
        row.className = 'row';
      }
      this.options.render(row, index);
    }
    const isCurrent = index === this.current;
    row.classList.toggle('current', isCurrent);
    row.setAttribute('aria-selected', String(isCurrent));
    if (isCurrent) this.scroller.setAttribute('aria-activedescendant', row.id);
  }

  // Draws again what has changed.
  refresh() {
    for (const row of this.pool) row.dataset.index = '-1';
    this.draw();
  }

  select(index) {
    this.current = Math.max(0, Math.min(index, this.count - 1));
    const top = this.current * this.options.rowHeight;
    const bottom = top + this.options.rowHeight;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (bottom > this.scroller.scrollTop + this.scroller.clientHeight) {
      this.scroller.scrollTop = bottom - this.scroller.clientHeight;
    }
    this.draw();
  }

  showAt(index) {
    this.scroller.scrollTop = Math.max(0, (index - 4) * this.options.rowHeight);
    this.select(index);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.scroller) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.options.rowHeight) - 1);
    const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page};
    if (event.key in steps) this.select(this.current + steps[event.key]);
    else if (event.key === 'Home') this.select(0);
    else if (event.key === 'End') this.select(this.count - 1);
    else if (event.key === 'Enter' || event.key === ' ') this.options.open(this.current);
    else if (!this.options.key || !this.options.key(event, this.current)) return;
    event.preventDefault();
  }
}

// What a job can make long has an end: a page of a million elements answers nothing.
const MOST_ITEMS = 2000;

// A list of ours that starts short: the first `shown` items and a button for the others.
function shortList(items, shown, make, what, kind = 'ul.plain') {
  const list = el(kind, items.slice(0, shown).map(item => el('li', make(item))));
  if (items.length <= shown) return list;
  const more = el('li.more');
  const open = button('link', () => {
    more.remove();
    list.append(...items.slice(shown, MOST_ITEMS).map(item => el('li', make(item))));
    if (items.length > MOST_ITEMS) list.append(el('li.note', `and ${number(items.length - MOST_ITEMS)} more in events.jsonl`));
  }, `show ${number(items.length - shown)} more ${what}`);
  more.append(open);
  list.append(more);
  return list;
}
