/**
 * Who is signed in, what they may do, and what a refusal means. Pure.
 *
 * @import { Problem, Session, User, Role } from './types.js'
 */

/** A longer Retry-After than this is a mistake, not an instruction. */
export const RETRY_AFTER_MAX_MS = 3_600_000;

/** A person at work gets a fresh token this often, in milliseconds of the policy's clock; tokens live for a day. */
export const REFRESH_EVERY_MS = 3_600_000;

/** However fast the policy's clock runs, and however often it fails, refreshing waits this long in real time. */
export const REFRESH_FLOOR_MS = 30_000;

export const WATCH_ONLY = 'Your role is viewer: you can watch, but not start, stop or open anything.';

/** @param {User|null|undefined} user */
export const canAct = (user) => user?.role === 'admin' || user?.role === 'user';

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param {unknown} value @returns {User|null} */
const userFrom = (value) => {
  if (!isObject(value) || typeof value.name !== 'string') return null;
  const role = /** @type {Role} */ (['admin', 'user', 'viewer'].find((known) => known === value.role) ?? 'viewer');
  return { name: value.name, role };
};

/**
 * A session from an answer to sign-in or refresh.
 * @param {unknown} body @param {number} wallNow
 * @returns {Session|null}
 */
export const sessionFrom = (body, wallNow) => {
  if (!isObject(body) || typeof body.token !== 'string' || body.token === '') return null;
  const user = userFrom(body.user);
  return user && { token: body.token, user, obtainedAt: wallNow };
};

/**
 * A session as an earlier page stored it; storage is anybody's to write, so nothing is taken on trust.
 * @param {string|null} stored
 * @returns {Session|null}
 */
export const sessionFromStorage = (stored) => {
  try {
    const body = stored === null ? null : JSON.parse(stored);
    const at = isObject(body) && typeof body.obtainedAt === 'number' ? body.obtainedAt : 0;
    return sessionFrom(body, at);
  } catch {
    return null;
  }
};

/**
 * @param {Session} session @param {number} wallNow @param {number} rate @param {number} lastTryAt Wall clock.
 */
export const refreshDue = (session, wallNow, rate, lastTryAt) =>
  wallNow - lastTryAt >= REFRESH_FLOOR_MS &&
  wallNow - session.obtainedAt >= Math.max(REFRESH_EVERY_MS / rate, REFRESH_FLOOR_MS);

/**
 * Retry-After is seconds or a date.
 * @param {string|null} header @param {number} wallNow
 * @returns {number|null} Milliseconds.
 */
export const retryAfterMs = (header, wallNow) => {
  if (header === null || header.trim() === '') return null;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - wallNow;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS) : null;
};

/**
 * A problem document, or the best that can be said of an answer that is none (a proxy's page, say).
 * @param {unknown} body @param {number} status
 * @returns {Problem}
 */
export const problemFrom = (body, status) => {
  if (isObject(body) && typeof body.title === 'string') {
    const said = (/** @type {unknown} */ part) => (typeof part === 'string' ? part : undefined);
    return { code: said(body.code) ?? 'unknown', title: body.title, detail: said(body.detail), hint: said(body.hint) };
  }
  return {
    code: 'unexpected_answer',
    title: 'The server gave an answer this page does not understand',
    detail: `It answered with status ${status}.`,
    hint: 'Wait a moment and try again.',
  };
};

/** @param {Problem} problem */
export const problemSentence = (problem) =>
  [problem.detail, problem.hint].filter((part) => part && part !== problem.title).join(' ');
