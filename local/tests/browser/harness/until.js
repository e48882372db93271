/**
 * Waiting for what is to become true, never for time to pass: ask, and ask again shortly, until it is or the limit is reached.
 */

/** Nothing here takes longer on a slow machine. In milliseconds. */
export const WAIT_LIMIT_MS = 30_000;

/** Between two questions. */
const ASK_EVERY_MS = 50;

/**
 * The first answer that is neither false, null nor undefined.
 * @template T
 * @param {string} what For the message when it never comes.
 * @param {() => T | Promise<T>} ask
 * @param {number} [limitMs]
 * @returns {Promise<NonNullable<Exclude<Awaited<T>, false>>>}
 */
export const until = async (what, ask, limitMs = WAIT_LIMIT_MS) => {
  const end = performance.now() + limitMs;
  let last;
  while (performance.now() < end) {
    last = await ask();
    if (last !== false && last !== null && last !== undefined) {
      return /** @type {NonNullable<Exclude<Awaited<T>, false>>} */ (last);
    }
    await new Promise((resume) => setTimeout(resume, ASK_EVERY_MS));
  }
  throw new Error(`waited ${limitMs / 1_000} s in vain: ${what} (last answer: ${JSON.stringify(last)})`);
};

/**
 * What a promise comes to, or an error that says what was waited for.
 * @template T
 * @param {string} what @param {Promise<T>} promise @param {number} limitMs
 * @returns {Promise<T>}
 */
export const within = async (what, promise, limitMs) => {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new Error(`${what} took longer than ${limitMs / 1_000} s`)), limitMs);
  });
  try {
    return /** @type {T} */ (await Promise.race([promise, late]));
  } finally {
    clearTimeout(timer);
  }
};
