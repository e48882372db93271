/**
 * Which ComfyUI may be embedded, which of its messages are heard, and how often it is opened anew. Pure.
 *
 * @import { View, User } from './types.js'
 */
import { canAct } from './session-logic.js';

/** A gateway that ends sessions faster than this is broken, and reloading it for ever would hide that. */
export const REOPENS_MAX = 3;
export const REOPENS_WITHIN_MS = 60_000;

/** How often a refused ticket is asked for again before the person is asked to. */
export const TICKET_ATTEMPTS_MAX = 5;

/** @param {View} view */
export const frameKey = (view) => `${view.id}/${view.run}`;

/**
 * Only a run that is up has anything to show.
 * @param {View} view
 */
export const isUp = (view) => view.phase === 'Ready' || view.phase === 'Draining';

/**
 * Whether to open ComfyUI by ourselves. Not while Draining: opening it is use, and nobody has said to use it.
 * @param {View} view @param {User} user
 */
export const opensByItself = (view, user) => view.phase === 'Ready' && canAct(user);

/** @param {string} host */
const isLoopback = (host) => host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);

/**
 * The origin to embed and to hear, or null when the address must not be embedded: plain HTTP across a network is
 * readable by others, and our own origin would give ComfyUI's custom nodes the person's token.
 * @param {unknown} url @param {string} ownOrigin
 */
export const embeddableOrigin = (url, ownOrigin) => {
  if (typeof url !== 'string' || !URL.canParse(url)) return null;
  const parsed = new URL(url);
  const safe = parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLoopback(parsed.hostname));
  return safe && parsed.origin !== ownOrigin ? parsed.origin : null;
};

/**
 * What the script injected into ComfyUI tells us; anything else is null.
 * @param {unknown} data
 * @returns {'person'|'session_ended'|null}
 */
export const frameMessage = (data) => {
  if (typeof data !== 'object' || data === null) return null;
  const { source, kind } = /** @type {{source?: unknown, kind?: unknown}} */ (data);
  if (source !== 'pilotlight') return null;
  return kind === 'person' || kind === 'session_ended' ? kind : null;
};

/**
 * The reopenings that still count, and whether one more is allowed.
 * @param {number[]} earlier @param {number} now
 */
export const reopening = (earlier, now) => {
  const recent = earlier.filter((at) => now - at < REOPENS_WITHIN_MS);
  return { recent, allowed: recent.length < REOPENS_MAX };
};
