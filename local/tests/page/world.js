/**
 * A world for the controller: a clock and timers moved by hand, storage in memory, and a server that answers from a
 * script and remembers what it was asked. No browser, no network, no waiting.
 */
import { Controller } from '../../../static/controller.js';

export const EPOCH = Date.parse('2026-11-22T18:00:00Z');

/** More rounds than any test needs; a controller that keeps itself busy for ever fails here instead of hanging. */
const ROUNDS_MAX = 500;

export const viewOf = (changes = {}) => ({
  id: 'main',
  title: 'ComfyUI',
  wish: 'Stopped',
  phase: 'Stopped',
  run: 3,
  now: '2026-11-22T18:00:00Z',
  placement: {
    instance: 'comfyui-main-a',
    zone: 'us-central1-a',
    spot: false,
    machine_type: 'g2-standard-4',
    accelerator: 'nvidia-l4',
    usd_per_hour: 0.707,
    price_date: '2026-07-30',
  },
  boot: null,
  started_at: null,
  ready_at: null,
  last_active_at: null,
  active_because: null,
  stop_at: null,
  hard_stop_at: null,
  drain_ends_at: null,
  ending: null,
  opened: false,
  cost: { run_usd: 0, month_usd: 12.4, idle_usd: 0 },
  last_stop: null,
  failure: null,
  limits: { idle_minutes: 30, arrival_minutes: 10, hard_minutes: 720 },
  poll_after_ms: 20_000,
  clock_rate: 1,
  ...changes,
});

export const readyView = (changes = {}) => viewOf({ phase: 'Ready', wish: 'Running', opened: true, ...changes });

/** @param {number} status @param {unknown} body @param {Record<string, string>} [headers] */
export const answer = (status, body, headers = {}) =>
  new Response(status === 204 || status === 304 ? null : JSON.stringify(body), { status, headers });

/** @param {number} status @param {string} code @param {Record<string, string>} [headers] */
export const refusal = (status, code, headers) => answer(status, { title: `title of ${code}`, code, hint: 'a hint' }, headers);

export const ticketAnswer = () =>
  answer(200, { url: 'https://comfy.example.com/_enter?ticket=secret', expires_at: '2026-11-22T18:01:00Z' });

const session = (user = 'admin', role = 'admin', token = 'token-1') => ({ token, expires_at: 'x', user: { name: user, role } });

export const createWorld = ({ signedIn = true, role = 'admin', view = viewOf(), views = null, selected = null } = {}) => {
  const world = {
    now: 1_000_000,
    wallOffset: EPOCH,
    visible: true,
    reachable: true,
    view,
    views,
    /** What the server does instead of its usual; returns undefined for the usual. @type {(asked: any) => any} */
    script: () => undefined,
    asked: [],
    opened: [],
    remembered: [],
    drawn: 0,
    stored: new Map(),
    timers: new Map(),
  };
  if (signedIn) {
    world.stored.set('pilotlight.session', JSON.stringify({ ...session('admin', role), obtainedAt: EPOCH + world.now }));
  }

  const usual = ({ method, path }) => {
    const [, , , id, what] = path.split('/');
    if (path === '/config.json') return answer(200, { lifecycle_origin: '' });
    if (path === '/api/login') return answer(200, session());
    if (path === '/api/logout') return answer(204, null);
    if (path === '/api/session/refresh') return answer(200, session('admin', role, 'token-2'));
    if (path === '/api/workspaces') return answer(200, { workspaces: world.views ?? [world.view] });
    if (what === 'ticket') return ticketAnswer();
    const found = (world.views ?? [world.view]).find((each) => each.id === id);
    if (!found) return refusal(404, 'no_such_workspace');
    return answer(method === 'POST' && what === 'start' ? 202 : 200, found, { etag: '"1"' });
  };

  const fetch = async (url, init) => {
    const asked = {
      method: init.method,
      path: String(url),
      body: init.body === undefined ? undefined : JSON.parse(init.body),
      token: init.headers.get('x-auth-token'),
      etag: init.headers.get('if-none-match'),
      signal: init.signal,
    };
    world.asked.push(asked);
    if (!world.reachable) throw new TypeError('no network');
    return (await world.script(asked)) ?? usual(asked);
  };

  let timer = 0;
  world.controller = new Controller(
    {
      fetch,
      storage: {
        getItem: (key) => world.stored.get(key) ?? null,
        setItem: (key, value) => void world.stored.set(key, value),
        removeItem: (key) => void world.stored.delete(key),
      },
      monotonic: () => world.now,
      wall: () => world.now + world.wallOffset,
      chance: () => 0,
      setTimer: (run, ms) => {
        world.timers.set(++timer, { at: world.now + ms, run });
        return timer;
      },
      clearTimer: (id) => void world.timers.delete(id),
      visible: () => world.visible,
      ownOrigin: 'https://page.example.com',
      openTab: (url) => void world.opened.push(url),
      rememberSelected: (id) => void world.remembered.push(id),
      selectedAtStart: selected,
    },
    () => void world.drawn++,
  );

  /** Lets everything that is under way come to rest, without moving the clock. */
  world.settle = async () => {
    for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
  };
  /** Moves the clock, running each timer at its own moment. */
  world.pass = async (ms) => {
    const until = world.now + ms;
    await world.settle();
    for (let round = 0; ; round++) {
      if (round > ROUNDS_MAX) throw new Error('the controller never rests');
      const due = [...world.timers].filter(([, { at }]) => at <= until).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, { at, run }] = due;
      world.timers.delete(id);
      world.now = Math.max(world.now, at);
      run();
      await world.settle();
    }
    world.now = until;
  };
  world.begin = async () => {
    world.controller.begin();
    await world.pass(0);
  };
  /** What was asked since the last time, as `POST keep-alive` and the like. */
  world.heard = () => world.asked.splice(0).map(({ method, path }) => `${method} ${path.replace('/api/', '')}`);
  world.press = (type = 'pointerdown') => world.controller.heardInput({ type, isTrusted: true });
  return world;
};
