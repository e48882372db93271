// Asks until ComfyUI answers, then loads it. Asking is not activity.
(() => {
  'use strict';
  const AGAIN_AFTER_MS = 1500;
  const step = document.getElementById('step');
  const title = document.getElementById('title');

  const look = async () => {
    try {
      const answer = await fetch('/_pilotlight/boot.json', { cache: 'no-store' });
      // Without a session, the page that says so comes in place of this one.
      if (answer.status === 401) return location.reload();
      const { up, again, seconds } = await answer.json();
      if (up) return location.reload();
      title.textContent = again ? 'ComfyUI is starting again' : 'ComfyUI is starting';
      step.textContent = again
        ? 'It has gone away, and is started again by itself. Your files are safe.'
        : `The machine is up. ComfyUI loads its nodes, which takes about half a minute (${seconds} s so far).`;
    } catch {
      step.textContent = 'The machine does not answer at this moment. Trying again.';
    }
    setTimeout(look, AGAIN_AFTER_MS);
  };
  setTimeout(look, AGAIN_AFTER_MS);
})();
