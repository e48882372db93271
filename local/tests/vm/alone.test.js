/**
 * A VM without a domain: its certificate is for its address. Who has no ticket gets nothing; cut off from the control
 * plane it stops itself when it is idle, and never while it works; taken back by Google, it says so at once.
 */
import assert from 'node:assert/strict';

import { until } from '../browser/harness/until.js';
import { Caller } from './harness/caller.js';
import { ADDRESS, OTHER_ADDRESS, inWorld } from './harness/world.js';

const SPEED = 30;
const BOOT_MS = 90_000;

/** As the VM of this test is told; the control plane's silence limit is the same. Policy seconds. */
const SILENCE = 120;
const IDLE = 180;

const inReal = (/** @type {number} */ policySeconds) => (policySeconds * 1_000) / SPEED;

/** Of ComfyUI; one of each kind that a stranger could do something with. */
const ROUTES = [
  ['GET', '/'], ['GET', '/index.html'], ['GET', '/prompt'], ['POST', '/prompt'], ['GET', '/queue'], ['POST', '/queue'],
  ['POST', '/interrupt'], ['POST', '/free'], ['GET', '/history'], ['POST', '/history'], ['GET', '/object_info'],
  ['GET', '/object_info/KSampler'], ['GET', '/system_stats'], ['GET', '/embeddings'], ['GET', '/extensions'],
  ['GET', '/models'], ['GET', '/models/checkpoints'], ['GET', '/view?filename=a.png&type=output'], ['GET', '/view_metadata/checkpoints?filename=a'],
  ['POST', '/upload/image'], ['POST', '/upload/mask'], ['GET', '/users'], ['POST', '/users'], ['GET', '/settings'], ['POST', '/settings'],
  ['GET', '/settings/Comfy.TutorialCompleted'], ['GET', '/userdata?dir=workflows'], ['GET', '/userdata/a.json'], ['POST', '/userdata/a.json'],
  ['DELETE', '/userdata/a.json'], ['POST', '/userdata/a.json/move/b.json'], ['GET', '/v2/userdata'], ['GET', '/api/jobs'],
  ['GET', '/workflow_templates'], ['GET', '/i18n'], ['GET', '/internal/logs'], ['GET', '/internal/files/output'],
  ['GET', '/assets/index.js'], ['GET', '/scripts/app.js'], ['GET', '/extensions/core/a.js'], ['GET', '/user.css'],
  ['GET', '/customnode/getlist'], ['POST', '/customnode/install'], ['OPTIONS', '/prompt'], ['HEAD', '/'], ['PUT', '/prompt'],
  ['PATCH', '/prompt'], ['DELETE', '/prompt'], ['GET', '/..%2f..%2fetc/passwd'], ['GET', '//prompt'], ['GET', '/%70rompt'],
].flatMap(([method, path]) => (path?.startsWith('/api') ? [[method, path]] : [[method, path], [method, `/api${path}`]]));

/** @param {import('./harness/world.js').World} world @param {string} token */
const startsAndIsReady = async (world, token) => {
  assert.equal((await world.start(token)).status, 202);
  await until('ComfyUI is ready', async () => (await world.cloud.view(token)).phase === 'Ready', BOOT_MS);
};

const options = {
  speed: SPEED,
  args: ['--idle-limit', `${IDLE}s`, '--sweep-every', '30s'],
  metadata: { silence_seconds: String(SILENCE), allowed_ip: `127.0.0.1, ${ADDRESS}` },
};

// Trying every door takes its time, in which nobody uses the machine: it must not end of that.
const patient = { ...options, args: ['--idle-limit', '1h', '--sweep-every', '30s'] };

inWorld('without a ticket nobody gets anything, and a ticket serves its run, once', patient, async (world) => {
  const { cloud } = world;
  const token = await cloud.signIn();
  await startsAndIsReady(world, token);
  const caller = await world.caller();
  const let_in = [];
  for (const [method, path] of ROUTES) {
    for (const headers of [{}, { cookie: '__Host-pilotlight=forged' }, { authorization: `Bearer ${token}` }, { 'x-auth-token': token }]) {
      const { status } = await caller.call(String(path), { method, headers });
      // A path that no server should understand may be refused as such.
      if (![401, 403, 400, 405].includes(status)) let_in.push(`${method} ${path} with ${JSON.stringify(headers).slice(0, 40)}: ${status}`);
    }
  }
  assert.deepEqual(let_in, []);
  for (const path of ['/ws', '/api/ws', '/ws?clientId=a']) {
    const { status } = await caller.call(path, { headers: Caller.handshake });
    assert.ok([401, 403].includes(status), `a WebSocket at ${path} is answered ${status}`);
  }

  const url = await world.ticket(token);
  const tampered = `${url.slice(0, -20)}${url.at(-20) === 'a' ? 'b' : 'a'}${url.slice(-19)}`;
  for (const wrong of [tampered, `${new URL(url).origin}/_enter?ticket=`, `${new URL(url).origin}/_enter?ticket=${token}`]) {
    const { status, cookie } = await caller.enter(wrong);
    assert.ok([400, 401, 403].includes(status) && !cookie, `a wrong ticket: ${status}`);
  }
  const entered = await caller.enter(url);
  assert.ok(entered.status === 303 && entered.cookie, `a good ticket: ${entered.status}`);
  assert.match(entered.headers['set-cookie']?.[0] ?? '', /^__Host-.*; ?Secure/i);
  const replayed = await caller.enter(url);
  assert.ok([401, 403].includes(replayed.status) && !replayed.cookie, `the same ticket again: ${replayed.status}`);

  const late = await world.ticketWithEnd(token);
  await until('a ticket has run out', async () => Date.parse((await cloud.view(token)).now) > Date.parse(late.expires_at));
  const expired = await caller.enter(late.url);
  assert.ok([401, 403].includes(expired.status) && !expired.cookie, `a ticket that has run out: ${expired.status}`);

  const cookie = entered.cookie;
  assert.equal((await caller.call('/prompt', { headers: { cookie } })).status, 200);
  for (const origin of ['https://evil.example', `https://sibling.${world.host}`, 'null', `http://${world.host}`]) {
    const { status } = await caller.call('/prompt', { method: 'POST', headers: { cookie, origin, 'content-type': 'application/json' }, body: '{}' });
    assert.equal(status, 403, `a post from ${origin}`);
    const socket = await caller.call('/ws', { headers: { cookie, origin, ...Caller.handshake } });
    assert.equal(socket.status, 403, `a WebSocket from ${origin}`);
  }
  const page = await caller.call('/', { headers: { cookie } });
  assert.match(String(page.headers['content-security-policy']), new RegExp(`frame-ancestors ${cloud.base}`));

  const stranger = new Caller(world.host, ADDRESS, await world.ca.root());
  const refused = await stranger.call('/prompt', { headers: { cookie }, localAddress: OTHER_ADDRESS });
  assert.equal(refused.status, 403, 'whom the allow-list does not name');
  assert.deepEqual(await world.diagnosis(), []);

  // Another run: what opened the first opens nothing.
  const kept = await world.ticket(token);
  await cloud.call('/api/workspaces/main/stop', { token, body: {} });
  await world.vm.isOff(60_000);
  await until('it is stopped', async () => (await cloud.view(token)).phase === 'Stopped', 60_000);
  await startsAndIsReady(world, token);
  assert.ok([401, 403].includes((await caller.enter(kept)).status), 'a ticket of the run before');
  assert.equal((await caller.call('/prompt', { headers: { cookie } })).status, 401, 'a cookie of the run before');
});

/** Taken back, off, started and booted again. */
const AGAIN_MS = 90_000;

inWorld('cut off from the control plane it works on while it is busy, and then stops itself', options, async (world, diagnostic) => {
  const { cloud, vm, relay } = world;
  const token = await cloud.signIn();
  await startsAndIsReady(world, token);
  const caller = await world.caller();
  const { cookie } = await caller.enter(await world.ticket(token));
  const job = SILENCE + 2 * IDLE;
  const prompt = {
    1: { class_type: 'EmptyImage', inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    2: { class_type: 'ImageBlur', inputs: { image: ['1', 0], blur_radius: 1, sigma: 1, stand_in_seconds: job } },
    3: { class_type: 'PreviewImage', inputs: { images: ['2', 0] } },
  };
  const sent = await caller.call('/prompt', {
    method: 'POST', headers: { cookie, 'content-type': 'application/json' }, body: JSON.stringify({ prompt, client_id: 'a-script' }),
  });
  assert.equal(sent.status, 200, sent.body);
  relay.cut();
  const cutAt = performance.now();
  const remaining = async () => Number(JSON.parse((await caller.call('/prompt', { headers: { cookie } })).body).exec_info.queue_remaining);
  await until('the job is nearly done', () => performance.now() - cutAt > inReal(job) - 2_000, inReal(job) + 5_000);
  assert.equal(await remaining(), 1, 'it has worked on, cut off for longer than its limits');
  await vm.isOff(inReal(SILENCE + IDLE) + 30_000);
  diagnostic(`off ${Math.round((performance.now() - cutAt) / 1_000)} s after the wire was cut, by its own hand`);
  const journal = await vm.journal(['--unit', 'pilotlight-gateway.service']);
  assert.match(journal, /this machine stops itself/);
  relay.mend();
  await until('the control plane has seen it', async () => (await cloud.view(token)).phase === 'Stopped', 60_000);

  await startsAndIsReady(world, token);
  const [machine] = await cloud.running();
  assert.ok(machine);
  const { run } = await cloud.view(token);
  await cloud.fault({ instance: machine.instance, preempt: true });
  await until('the run after it is ready on the machine that it has again', async () => {
    const view = await cloud.view(token);
    return view.run === run + 1 && view.phase === 'Ready';
  }, AGAIN_MS);
  const { last_stop: ended, restarts } = await cloud.view(token);
  assert.deepEqual([ended.run, ended.reason, restarts], [run, 'Preempted', 1]);
  const told = await vm.journal(['--unit', 'pilotlight-gateway.service', '--grep', 'takes this machine back']);
  assert.match(told, /takes this machine back/);
});
