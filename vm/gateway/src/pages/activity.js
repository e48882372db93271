// Put into ComfyUI's page by the gateway. An idle ComfyUI page sends nothing, and neither does somebody who pans, zooms
// or edits a graph: so this tells, at most every so often, of a person's own input while the page is visible. An open,
// forgotten tab tells nothing. It also says when the session is over, and shows what the control plane announces.
(() => {
  'use strict';
  const { pageOrigin, tellEveryMs, checkEveryMs } = __SETTINGS__;
  // A hand on the desk shakes the pointer; a person moves it. In pixels.
  const MOVED_AT_LEAST = 3;

  let toldAt = -Infinity;
  let waiting = 0;
  let over = false;
  let pointer = null;

  const visible = () => document.visibilityState === 'visible';

  const say = (kind) => {
    if (window.parent !== window) window.parent.postMessage({ source: 'pilotlight', kind }, pageOrigin);
  };

  const ended = () => {
    if (over) return;
    over = true;
    show('This session is over. Go to the Pilotlight page to open ComfyUI again.');
    say('session_ended');
  };

  const tell = async () => {
    waiting = 0;
    if (over) return;
    toldAt = performance.now();
    say('person');
    try {
      const answer = await fetch('/_pilotlight/person', { method: 'POST', keepalive: true, cache: 'no-store' });
      if (answer.status === 401) ended();
    } catch {
      // The machine is out of reach; the check below finds out what became of it.
    }
  };

  // The first input is told at once; what follows within the interval is told, once, at its end.
  const noted = () => {
    if (waiting || over) return;
    const left = toldAt + tellEveryMs - performance.now();
    if (left <= 0) tell();
    else waiting = setTimeout(tell, left);
  };

  const isOwnInput = (event) => {
    if (!event.isTrusted || event.repeat || !visible()) return false;
    if (event.type !== 'pointermove') return true;
    // Browsers report a move when the page shifts under a resting pointer, too.
    const before = pointer;
    pointer = { x: event.screenX, y: event.screenY };
    if (before === null) return false;
    if (Math.hypot(pointer.x - before.x, pointer.y - before.y) >= MOVED_AT_LEAST) return true;
    pointer = before;
    return false;
  };

  for (const type of ['pointerdown', 'pointermove', 'keydown', 'wheel']) {
    window.addEventListener(type, (event) => { if (isOwnInput(event)) noted(); }, { capture: true, passive: true });
  }

  let banner = null;
  const show = (text) => {
    if (text && !banner) {
      banner = document.createElement('div');
      banner.setAttribute('role', 'status');
      Object.assign(banner.style, {
        position: 'fixed', top: '8px', left: '50%', transform: 'translateX(-50%)', zIndex: '2147483647',
        maxWidth: '90vw', padding: '8px 16px', borderRadius: '8px', pointerEvents: 'none',
        font: '14px/1.4 system-ui, sans-serif', background: '#5c3200', color: '#fff',
      });
      document.body.append(banner);
    }
    if (!banner) return;
    banner.textContent = text;
    banner.style.display = text ? 'block' : 'none';
  };

  const check = async () => {
    if (over || !visible()) return;
    try {
      const answer = await fetch('/_pilotlight/session.json', { cache: 'no-store' });
      if (answer.status === 401) ended();
      // Inside the page the page itself announces a stop, and offers to keep it running.
      else if (answer.ok && window.parent === window) show((await answer.json()).announce);
    } catch {
      // Out of reach: the page around us knows better why.
    }
  };
  setInterval(check, checkEveryMs);
  document.addEventListener('visibilitychange', check);
})();
