/**
 * One request, one answer. Every outcome is a value: refused, unreachable and aborted are answers that the caller must
 * think about, not exceptions it may forget.
 *
 * @import { Answer, Surroundings } from './types.js'
 */
import { problemFrom, retryAfterMs } from './session-logic.js';

/** A start answers at once and works on later, so nothing honest takes longer. */
export const REQUEST_LIMIT_MS = 15_000;

/** A list of a thousand workspaces is smaller than this; more is not ours. In characters. */
const ANSWER_MAX = 2_000_000;

/**
 * @typedef {object} Request
 * @property {'GET'|'POST'} [method]
 * @property {unknown} [body]
 * @property {string|null} [token]
 * @property {string|null} [etag]
 * @property {AbortSignal} [signal]
 */

/** @param {Request} request @returns {RequestInit} */
const initOf = ({ method = 'GET', body, token, etag, signal }) => {
  const headers = new Headers({ accept: 'application/json' });
  if (token) headers.set('x-auth-token', token);
  if (etag) headers.set('if-none-match', etag);
  if (body !== undefined) headers.set('content-type', 'application/json');
  const limit = AbortSignal.timeout(REQUEST_LIMIT_MS);
  return {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    cache: 'no-store',
    redirect: 'error',
  };
};

/** @param {Response} response */
const bodyOf = async (response) => {
  const text = await response.text();
  if (text === '') return null;
  if (text.length > ANSWER_MAX) return undefined;
  try {
    return /** @type {unknown} */ (JSON.parse(text));
  } catch {
    return undefined;
  }
};

/**
 * @param {Pick<Surroundings, 'fetch'|'wall'>} around
 * @returns {(url: string, request?: Request) => Promise<Answer>}
 */
export const createRequest = (around) => async (url, request = {}) => {
  try {
    const response = await around.fetch(url, initOf(request));
    if (response.status === 304) return { kind: 'unchanged' };
    const body = await bodyOf(response);
    if (response.ok && body !== undefined) {
      return { kind: 'ok', status: response.status, body, etag: response.headers.get('etag') };
    }
    return {
      kind: 'problem',
      status: response.status,
      problem: problemFrom(body, response.status),
      retryAfterMs: retryAfterMs(response.headers.get('retry-after'), around.wall()),
    };
  } catch {
    return request.signal?.aborted ? { kind: 'aborted' } : { kind: 'unreachable' };
  }
};
