// Tells the page around us that nobody is signed in here any more, so that it can get a new ticket.
(() => {
  'use strict';
  const { pageOrigin } = __SETTINGS__;
  if (window.parent !== window) {
    window.parent.postMessage({ source: 'pilotlight', kind: 'session_ended' }, pageOrigin);
  }
})();
