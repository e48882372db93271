/** What each function may do is what it does: the roles, held against the table that its code is held against. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { root } from './harness/programs.js';

/** @typedef {import('./terraform.test.js').World} World */
/** @typedef {import('./harness/deployment.js').Deployment} Deployment */

/** Google's own roles that are in use, each for a reason that stands where it is bound; none lets anybody act as another. */
const PREDEFINED = [
  'roles/iam.serviceAccountOpenIdTokenCreator', 'roles/pubsub.publisher', 'roles/pubsub.subscriber',
  'roles/storage.legacyObjectReader',
];

/** What a condition on names can be bound to; lists and operations cannot. */
const ON_MACHINES = /^compute\.(disks\.use|instances\.(?!list$)\w+)$/;

const IS_MACHINE =
  'resource.name.extract("/instances/{name}").startsWith("comfyui-") || resource.name.extract("/disks/{name}").startsWith("comfyui-")';

/**
 * @typedef {object} Grant
 * @property {string} member
 * @property {string} role
 * @property {string[]} permissions Empty of Google's own roles.
 * @property {string} on Of what.
 */

/** Who is given what, on what. @param {Deployment} deployment @returns {Grant[]} */
const grants = (deployment) => {
  const bindings = deployment.resources.filter(({ mode, type }) => mode === 'managed' && /_iam_(member|binding|policy)$/.test(type));
  const roles = new Map(deployment.all('google_project_iam_custom_role').map(({ values }) => [values.id, values.permissions]));
  return bindings.map(({ type, address, values }) => {
    assert.match(type, /_iam_member$/, `${address} takes from others what it does not name`);
    const { member, role, condition } = values;
    const where = ['secret_id', 'service_account_id', 'topic', 'subscription', 'bucket', 'repository'].map((key) => values[key]);
    const on = [where.find((it) => it) ?? 'project', ...condition.map((/** @type {any} */ it) => it.expression)].join(' if ');
    return { member, role, permissions: roles.get(role) ?? [], on };
  });
};

/** By permission, on what an account has it. @param {Deployment} deployment @param {string} email */
const given = (deployment, email) => {
  const own = grants(deployment).filter(({ member }) => member === `serviceAccount:${email}`);
  const each = own.flatMap(({ permissions, on }) => permissions.map((permission) => ({ permission, on })));
  return each.map(({ permission, on }) => `${permission} on ${on}`).sort();
};

/** @param {World} world */
export const permissions = (world) =>
  describe('permissions', () => {
    test('each function may do what it does, where it does it, and nothing else', async () => {
      const table = JSON.parse(await readFile(`${root}functions/platform/permissions.json`, 'utf8'));
      for (const deployment of [world.plain, world.atDomain]) {
        const topic = deployment.one('google_pubsub_topic', 'nudges').id;
        const vm = deployment.one('google_service_account', 'vm').name;
        const where = (/** @type {string} */ permission) => {
          if (permission === 'pubsub.topics.publish') return topic;
          if (permission === 'iam.serviceAccounts.actAs') return vm;
          return ON_MACHINES.test(permission) ? `project if ${IS_MACHINE}` : 'project';
        };
        for (const { name, email, secrets } of deployment.functions) {
          const needed = new Set(table.functions[name].flatMap((/** @type {string} */ call) => table.calls[call]));
          const calls = [...needed].map((permission) => `${permission} on ${where(permission)}`);
          const reads = Object.values(secrets).map((secret) => {
            const found = deployment.all('google_secret_manager_secret').find(({ values }) => values.secret_id === secret);
            return `secretmanager.versions.access on ${found?.values.id}`;
          });
          assert.deepEqual(given(deployment, email), [...calls, ...reads].sort(), name);
          assert.equal(email, deployment.email(name));
        }
      }
    });

    test('a machine may read its bucket; who signs for Google may nothing', () => {
      const { plain } = world;
      assert.deepEqual(given(plain, plain.email('vm')), [`storage.objects.get on ${plain.one('google_storage_bucket', 'vm').name}`]);
      for (const name of ['push', 'sweep']) assert.deepEqual(given(plain, plain.email(name)), [], name);
    });

    test('no role has a wildcard, and of Google\'s own roles only those are used that are known here', () => {
      for (const deployment of [world.plain, world.atDomain]) {
        for (const { values } of deployment.all('google_project_iam_custom_role')) {
          for (const permission of values.permissions) assert.match(permission, /^[a-z]+\.[a-zA-Z]+\.[a-zA-Z]+$/, values.role_id);
        }
        const unknown = grants(deployment).filter(({ role, permissions: own }) => own.length === 0 && !PREDEFINED.includes(role));
        assert.deepEqual(unknown, []);
      }
    });

    test('nobody but lifecycle acts as another, and nobody from outside has anything but the page', () => {
      for (const deployment of [world.plain, world.atDomain]) {
        const accounts = deployment.all('google_service_account').map(({ values }) => values.member);
        const acting = grants(deployment).filter(({ permissions: own }) => own.some((it) => /actAs|getAccessToken|signBlob|implicitDelegation/.test(it)));
        assert.deepEqual(acting.map(({ member }) => member), [`serviceAccount:${deployment.email('lifecycle')}`]);
        const others = grants(deployment).filter(({ member }) => !accounts.includes(member));
        const agents = others.filter(({ member }) => !/^serviceAccount:service-\d+@[a-z-]+\.iam\.gserviceaccount\.com$/.test(member));
        const open = deployment === world.plain ? [] : ['allUsers: roles/storage.legacyObjectReader'];
        assert.deepEqual(agents.map(({ member, role }) => `${member}: ${role}`), open);
      }
    });

    test('everybody gets as far as the functions\' own check', () => {
      for (const { values } of world.plain.all('google_cloud_run_v2_service')) assert.equal(values.invoker_iam_disabled, true);
    });
  });
