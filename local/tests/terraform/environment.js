/** The environment of each function is one that it takes, with nothing in it that it does not know. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { controlPlane } from './harness/programs.js';

/** @typedef {import('./terraform.test.js').World} World */

/**
 * What a function says of each of its variables: the value, and where it is from.
 * @param {string} name @param {Record<string, string>} env
 */
export const told = async (name, env) => {
  const { failed, stdout, stderr } = await controlPlane(['check-config', name], { env });
  assert.ok(!failed, stderr);
  const lines = stdout.trim().split('\n').map((line) => /^(\w+)=(.*)  # (.*)$/.exec(line));
  return new Map(lines.map((line) => [String(line?.[1]), { value: String(line?.[2]), from: String(line?.[3]) }]));
};

/** @param {World} world */
export const environment = (world) =>
  describe('environment', () => {
    test('each function takes what it is told, and knows all of it', async () => {
      for (const deployment of [world.plain, world.atDomain]) {
        assert.deepEqual(deployment.functions.map((planned) => planned.name), ['auth', 'lifecycle', 'reaper']);
        for (const { name, env } of deployment.functions) {
          const known = await told(name, env);
          for (const variable of Object.keys(env)) assert.equal(known.get(variable)?.from, 'environment', `${name}: ${variable}`);
        }
      }
    });

    test('the container starts the function that the service is named for, where it listens', () => {
      for (const { name, container } of world.plain.functions) {
        assert.deepEqual(container.command, [`/${name}`]);
        assert.deepEqual(container.ports.map((/** @type {any} */ port) => port.container_port), [8080], 'the default of PORT');
      }
    });

    test('the workspaces are those that the owner has declared', async () => {
      for (const name of ['lifecycle', 'reaper']) {
        const { value } = (await told(name, world.plain.planned(name).env)).get('WORKSPACES') ?? {};
        const each = 'main on comfyui-main-a, comfyui-main-b; small on comfyui-small-a';
        assert.equal(value, `(2 workspaces: ${each})`);
      }
      const { env } = world.plain.planned('lifecycle');
      const members = JSON.parse(String(env.WORKSPACES)).map((/** @type {any} */ workspace) => workspace.members);
      assert.deepEqual(members, [undefined, ['ada']]);
    });

    test('what a workspace may cost, which placement comes first, and that it tells, is said as it was declared', () => {
      for (const name of ['lifecycle', 'reaper']) {
        const declared = JSON.parse(String(world.plain.planned(name).env.WORKSPACES));
        const said = declared.map((/** @type {any} */ { spot, budget, notify }) => ({ spot, budget, notify }));
        assert.deepEqual(said, [
          { spot: 'last', budget: { monthly_usd: 50, per_user_usd: 20, when_used_up: 'next_idle' }, notify: true },
          { spot: undefined, budget: undefined, notify: undefined },
        ], name);
      }
    });

    test('lifecycle alone is told where, and takes it', async () => {
      const { plain } = world;
      for (const name of ['auth', 'reaper']) assert.equal(plain.planned(name).env.WEBHOOKS, undefined, name);
      const { env, secrets } = plain.planned('lifecycle');
      assert.equal(secrets.WEBHOOKS, 'pilotlight-webhooks');
      const { main, ...others } = JSON.parse(String(env.WEBHOOKS));
      assert.deepEqual([Object.keys(main).sort(), main.shape, others], [['secret', 'shape', 'url'], 'slack', {}]);
      const known = await told('lifecycle', env);
      assert.ok(![...known.values()].some(({ value }) => value.includes(main.secret) || value.includes(new URL(main.url).pathname)));
    });

    test('a workspace that tells, and has no webhook, would be refused; and the other way round', async () => {
      const { env } = world.plain.planned('lifecycle');
      const { main } = JSON.parse(String(env.WEBHOOKS));
      for (const webhooks of [{}, { main, small: main }, { main: { ...main, shape: 'teams' } }]) {
        const changed = { ...env, WEBHOOKS: JSON.stringify(webhooks) };
        const { failed, stderr } = await controlPlane(['check-config', 'lifecycle'], { env: changed });
        assert.ok(failed && stderr.includes('WEBHOOKS'), `${Object.keys(webhooks)}: ${stderr}`);
        assert.ok(!stderr.includes(main.secret), 'the secret is repeated');
      }
    });

    test('a wrong workspace would be refused', async () => {
      const { env } = world.plain.planned('lifecycle');
      const wrong = JSON.parse(String(env.WORKSPACES));
      wrong[1].members = [];
      const { failed, stderr } = await controlPlane(['check-config', 'lifecycle'], {
        env: { ...env, WORKSPACES: JSON.stringify(wrong) },
      });
      assert.ok(failed && stderr.includes('workspace small: members is an empty list'), stderr);
    });

    test('nothing secret is written down', () => {
      for (const { written, secrets } of [world.plain, world.atDomain]) {
        const key = String(secrets.values['pilotlight-signing-key']).split('\n')[1] ?? '';
        const hash = JSON.parse(String(secrets.values['pilotlight-users']))[0].hash;
        assert.ok(key.length > 40 && hash.startsWith('$argon2id$'));
        const { url, secret: signs } = JSON.parse(String(secrets.values['pilotlight-webhooks'])).main;
        // And what terraform/tests/terraform.tfvars says, each of which says of itself that it is in no state.
        for (const secret of [key, hash, String(secrets.values['pilotlight-first-password']), 'in no state', url, signs]) {
          assert.ok(!written.includes(secret), 'a secret is in the state');
        }
      }
    });
  });
