/** Who calls whom: every address leads to a route that checks its caller, and both sides name the same caller. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { told } from './environment.js';

/** @typedef {import('./terraform.test.js').World} World */
/** @typedef {import('./harness/deployment.js').Deployment} Deployment */

/** @param {Deployment} deployment */
const pushes = (deployment) =>
  deployment.all('google_pubsub_subscription').flatMap(({ values }) => values.push_config);

/** @param {Deployment} deployment */
const sweep = (deployment) => deployment.one('google_cloud_scheduler_job', 'sweep').http_target[0];

/** @param {Deployment} deployment */
const metadata = (deployment) => deployment.all('google_compute_instance').map(({ values }) => values.metadata);

/** @param {World} world */
export const callers = (world) =>
  describe('callers', () => {
    test('each function answers the probe that it starts by', async () => {
      for (const { name, container } of world.plain.functions) {
        const [{ http_get: [{ path }] }] = container.startup_probe;
        assert.equal((await world.services.get(name)?.ask(path))?.status, 200, `${name}${path}`);
      }
    });

    test('what Pub/Sub and Cloud Scheduler call is a route, and refuses whoever has no token', async () => {
      const targets = [...pushes(world.plain).map((push) => push.push_endpoint), sweep(world.plain).uri];
      assert.equal(targets.length, 3);
      for (const target of targets) {
        const { origin, pathname } = new URL(target);
        const planned = world.plain.functions.find(({ audiences }) => audiences.includes(origin));
        const service = world.services.get(String(planned?.name));
        const answer = await service?.ask(pathname, { method: 'POST' });
        assert.deepEqual([answer?.status, (await answer?.json()).code], [401, 'no_identity'], target);
        assert.equal((await service?.ask(`${pathname}s`, { method: 'POST' }))?.status, 404, 'other paths are none');
      }
      assert.equal(sweep(world.plain).http_method, 'POST');
    });

    test('whoever calls is whom the function expects, and asks for a token for it', () => {
      for (const deployment of [world.plain, world.atDomain]) {
        const lifecycle = deployment.planned('lifecycle');
        assert.equal(pushes(deployment).length, 2);
        for (const { push_endpoint, oidc_token: [token] } of pushes(deployment)) {
          assert.equal(token.audience, lifecycle.env.PUSH_AUDIENCE, push_endpoint);
          assert.equal(token.service_account_email, lifecycle.env.PUSH_EMAILS, push_endpoint);
        }
        const reaper = deployment.planned('reaper');
        const { oidc_token: [token] } = sweep(deployment);
        assert.equal(token.audience, reaper.env.SWEEP_AUDIENCE);
        assert.equal(token.service_account_email, reaper.env.SWEEP_EMAILS);
        for (const { values } of deployment.all('google_compute_instance')) {
          assert.equal(values.metadata.control_audience, lifecycle.env.VM_AUDIENCE, values.name);
          assert.deepEqual(values.service_account.map((/** @type {any} */ it) => it.email), [lifecycle.env.VM_EMAILS], values.name);
        }
        const accounts = ['push', 'sweep', 'vm'].map((name) => deployment.email(name));
        assert.deepEqual(accounts, [lifecycle.env.PUSH_EMAILS, reaper.env.SWEEP_EMAILS, lifecycle.env.VM_EMAILS]);
      }
    });

    test('an audience is the address of the function that checks it', () => {
      const { plain } = world;
      const [lifecycle, reaper] = [plain.planned('lifecycle'), plain.planned('reaper')];
      assert.deepEqual(lifecycle.audiences, [lifecycle.env.PUSH_AUDIENCE]);
      assert.deepEqual(lifecycle.audiences, [lifecycle.env.VM_AUDIENCE]);
      assert.deepEqual(reaper.audiences, [reaper.env.SWEEP_AUDIENCE]);
      assert.deepEqual(plain.planned('auth').audiences, [plain.outputs.page_url?.value]);
    });

    test('nudges are published where lifecycle is subscribed', () => {
      const nudges = world.plain.one('google_pubsub_subscription', 'nudges');
      for (const name of ['lifecycle', 'reaper']) assert.equal(world.plain.planned(name).env.NUDGE_TOPIC, nudges.topic, name);
      assert.equal(new URL(nudges.push_config[0].push_endpoint).pathname, '/push/nudge');
    });

    test('the keys are where lifecycle and the machines look for them, in both deployments', async () => {
      for (const deployment of [world.plain, world.atDomain]) {
        const places = new Set([deployment.planned('lifecycle').env.JWKS_URL, ...metadata(deployment).map((it) => it.jwks_url)]);
        for (const place of places) {
          assert.equal(deployment.reached(String(place))?.name, 'auth', `who answers ${place} from the Internet`);
          const answer = await world.services.get('auth')?.ask(new URL(String(place)).pathname);
          assert.equal(answer?.status, 200, place);
          assert.equal((await answer?.json()).keys.length, 1, place);
        }
      }
    });

    test('machines reach lifecycle from the Internet, in both deployments', () => {
      for (const deployment of [world.plain, world.atDomain]) {
        for (const { control_url } of metadata(deployment)) {
          assert.equal(deployment.reached(`${control_url}/vm/heartbeat`)?.name, 'lifecycle', control_url);
        }
      }
    });

    test('all name the same issuer, and the same origin of the page', async () => {
      for (const deployment of [world.plain, world.atDomain]) {
        const [auth, lifecycle] = [deployment.planned('auth'), deployment.planned('lifecycle')];
        const issuers = await Promise.all(
          [auth, lifecycle].map(async ({ name, env }) => (await told(name, env)).get('ISSUER')?.value),
        );
        // The gateway's own word, where the machine is told none (vm/gateway/src/config.rs).
        const gateways = metadata(deployment).map((it) => it.token_issuer ?? 'pilotlight');
        assert.deepEqual([...new Set([...issuers, ...gateways])], ['pilotlight']);
        const origins = [auth.env.PAGE_ORIGIN, lifecycle.env.PAGE_ORIGIN, ...metadata(deployment).map((it) => it.page_origin)];
        assert.deepEqual([...new Set(origins)], [deployment.outputs.page_url?.value]);
      }
    });
  });
