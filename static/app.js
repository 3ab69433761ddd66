(() => {
  const doc = document, root = doc.documentElement;
  const styles = {date: {dateStyle: 'long'}, time: {timeStyle: 'short'}, both: {dateStyle: 'long', timeStyle: 'short'}};
  const held = new WeakSet();
  root.classList.add('js');

  function localise() {
    for (const time of doc.querySelectorAll('time[data-local]')) {
      const style = styles[time.dataset.local];
      time.removeAttribute('data-local');
      time.textContent = new Intl.DateTimeFormat(root.lang, style).format(new Date(time.dateTime));
    }
  }

  function say(id) {
    const box = doc.getElementById('page-alert');
    box.replaceChildren(doc.getElementById(id).content.cloneNode(true));
    box.firstElementChild.focus();
  }

  const hasFocus = () => doc.activeElement && doc.activeElement !== doc.body;

  // Only what our own server marked is swapped: a proxy's error page is not.
  doc.addEventListener('htmx:before:swap', event => {
    const {ctx} = event.detail, {status, headers} = ctx.response;
    if (status === 204) return;
    if (headers.get('X-Fragment') !== '1') {
      event.preventDefault();
      say('tpl-server');
      return;
    }
    if (hasFocus()) held.add(ctx);
    doc.getElementById('page-alert').replaceChildren();
  });

  doc.addEventListener('htmx:after:swap', event => {
    const {ctx} = event.detail;
    localise();
    if (!held.has(ctx) || hasFocus()) return;
    const id = typeof ctx.target === 'string' ? ctx.target.slice(1) : ctx.target.id;
    (doc.querySelector(`[id="${id}"] [data-focus]`) || doc.getElementById('main')).focus();
  });

  doc.addEventListener('htmx:error', event => {
    if (event.detail.ctx && !event.detail.ctx.response) say('tpl-offline');
  });

  doc.addEventListener('DOMContentLoaded', localise);
  // A page that Back brings out of memory shows an old state.
  addEventListener('pageshow', event => event.persisted && location.reload());
})();
