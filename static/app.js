(() => {
  const doc = document, root = doc.documentElement, get = id => doc.getElementById(id);
  const all = (selector, use) => doc.querySelectorAll(selector).forEach(use);
  const date = {dateStyle: 'long'}, time = {timeStyle: 'short'};
  const day = {day: 'numeric', month: 'long'};
  const styles = {day, date, time, clock: time, second: {timeStyle: 'medium'}, both: {...date, ...time}};
  const held = new WeakMap();
  root.classList.add('js');

  const write = (time, style) =>
    new Intl.DateTimeFormat(root.lang, styles[style]).format(new Date(time.dateTime));
  function localise() {
    all('time[data-local]', time => {
      time.textContent = write(time, time.dataset.local);
      time.removeAttribute('data-local');
    });
    all('time[data-title]', time => {
      time.title = write(time, 'both');
      time.removeAttribute('data-title');
    });
    const days = get('days');
    if (days) regroup(days);
  }

  // The server puts events under their days in UTC.
  function regroup(days) {
    const now = new Date(), {today, yesterday} = days.dataset, groups = [];
    const names = {
      [now.toDateString()]: today,
      [new Date(now - 864e5).toDateString()]: yesterday,
    };
    let above, list;
    all('#days .event', event => {
      const time = event.querySelector('time'), at = new Date(time.dateTime);
      const name = at.toDateString();
      if (name !== above) {
        const group = days.firstElementChild.cloneNode(true);
        const [title, rows] = group.children;
        const isThisYear = at.getFullYear() === now.getFullYear();
        title.textContent = names[name] || write(time, isThisYear ? 'day' : 'date');
        rows.replaceChildren();
        groups.push(group);
        list = rows;
        above = name;
      }
      list.append(event);
    });
    days.replaceChildren(...groups);
  }

  // A card that is news moves to its group; one that was just disconnected stays in its place.
  function place() {
    all('#groups [data-group]', item => {
      const list = get('group-' + item.dataset.group), focused = doc.activeElement;
      if (!list || item.parentElement === list) return;
      const next = [...list.children].find(other => other.dataset.order > item.dataset.order);
      list.parentElement.hidden = false;
      list.insertBefore(item, next ?? null);
      if (item.contains(focused)) focused.focus();
    });
    all('#groups > *', group => { group.hidden = !group.querySelector('li'); });
  }

  // Nobody asked for a poll: it moves no focus and tells of no trouble.
  const isPoll = ctx => ctx.sourceElement.id.endsWith('-poll');
  const hasFocus = () => doc.activeElement && doc.activeElement !== doc.body;
  const box = () => get('page-alert');

  function say(ctx, id) {
    if (isPoll(ctx)) return;
    box().replaceChildren(get(id).content.cloneNode(true));
    box().firstElementChild.focus();
  }

  // Only what our own server marked is swapped: a proxy's error page is not.
  doc.addEventListener('htmx:before:swap', event => {
    const {ctx} = event.detail, {status, headers} = ctx.response;
    if (status === 204) return;
    if (headers.get('X-Fragment') !== '1' || isPoll(ctx) && status > 299) {
      event.preventDefault();
      say(ctx, 'tpl-server');
      return;
    }
    const folds = [...doc.querySelectorAll('[id^=conn-] > details[open]')];
    held.set(ctx, [hasFocus() && doc.activeElement, folds.map(fold => fold.parentElement.id)]);
    if (!isPoll(ctx)) box().replaceChildren();
  });

  doc.addEventListener('htmx:after:swap', event => {
    const {ctx} = event.detail, [was, open] = held.get(ctx) ?? [null, []];
    open.forEach(id => all(`[id="${id}"] > details`, fold => { fold.open = true; }));
    localise();
    place();
    if (!isPoll(ctx)) watch();
    else if (ctx.title) doc.title = ctx.title; // htmx does not
    if (!was || hasFocus()) return;
    const id = was.closest('[data-state], #proof')?.id;
    (get(was.id) || doc.querySelector(`[id="${id}"] [data-focus]`) || get('main')).focus();
  });

  doc.addEventListener('htmx:error', event => {
    const {ctx} = event.detail;
    if (ctx && !ctx.response) say(ctx, 'tpl-offline');
  });

  // On its way elsewhere a page asks nothing more: the same would begin twice.
  let leaves;
  doc.addEventListener('htmx:after:request', event => { leaves ||= event.detail.ctx.hx?.redirect; });
  doc.addEventListener('htmx:before:request', event => leaves && event.preventDefault());

  // A page polls for two minutes from the last press, and when somebody comes back.
  function look() {
    const poll = get('cards-poll');
    if (poll && doc.hidden) doc.title = poll.dataset.title;
    else poll?.dispatchEvent(new Event('look'));
  }
  let timer, end;
  function watch() {
    clearInterval(timer);
    clearTimeout(end);
    timer = setInterval(look, 5000);
    end = setTimeout(clearInterval, 120000, timer);
  }
  watch();
  doc.addEventListener('visibilitychange', look);

  // Pressed twice, a form that htmx does not take is sent once: what it sends may work once.
  doc.addEventListener('submit', event => {
    const form = event.target, now = Date.now();
    if (event.defaultPrevented) return;
    if (now - held.get(form) < 2000) event.preventDefault();
    else held.set(form, now);
  });

  // Copies the text that a button names. What the browser does not copy is marked, to do it by hand.
  doc.addEventListener('click', async event => {
    const button = event.target.closest('[data-copy]');
    if (!button) return;
    const from = get(button.dataset.copy), says = get('announce');
    let copied = true;
    says.textContent = ''; // else the same words again are no news
    try {
      await navigator.clipboard.writeText(from.textContent.trim());
    } catch {
      getSelection().selectAllChildren(from);
      copied = doc.execCommand('copy');
    }
    says.textContent = copied ? says.dataset.copied : says.dataset.marked;
    button.classList.toggle('copied', copied);
    setTimeout(() => button.classList.remove('copied'), 3000);
  });

  // Without htmx nothing goes on by itself: then every button is shown.
  addEventListener('load', () => window.htmx || root.classList.remove('js'));
  // As soon as the page is read: the next event waits for htmx, and would move what is seen.
  doc.addEventListener('readystatechange', localise);
  // Out of memory, Back shows an old state.
  addEventListener('pageshow', event => event.persisted && location.reload());
})();
