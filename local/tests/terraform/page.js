/** What the page may do, wherever it is served from, and that all it asks for reaches whoever answers it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

/** @typedef {import('./terraform.test.js').World} World */
/** @typedef {import('./harness/deployment.js').Deployment} Deployment */

/** Headers that are about one answer, or about who else may read it, and not about what the page may do. */
const OF_ONE_ANSWER = [
  'accept-ranges', 'access-control-allow-origin', 'access-control-expose-headers', 'cache-control', 'connection',
  'content-encoding', 'content-length', 'content-type', 'date', 'etag', 'keep-alive', 'transfer-encoding', 'vary',
  'x-request-id',
];

/** @param {Deployment} deployment @returns {string[]} */
const origins = (deployment) =>
  JSON.parse(String(deployment.planned('lifecycle').env.WORKSPACES)).flatMap((/** @type {any} */ workspace) =>
    workspace.placements.map((/** @type {any} */ place) => place.origin),
  );

/** What a directive allows. @param {Headers | undefined} headers @param {string} name */
const allowed = (headers, name) => {
  const directives = (headers?.get('content-security-policy') ?? '').split('; ').map((directive) => directive.split(' '));
  return directives.find(([directive]) => directive === name)?.slice(1);
};

/** @param {World} world */
export const page = (world) =>
  describe('page', () => {
    test('it may ask lifecycle, and frame the gateways', async () => {
      const answer = await world.services.get('auth')?.ask('/');
      const lifecycle = world.plain.planned('lifecycle').audiences;
      assert.deepEqual(allowed(answer?.headers, 'connect-src'), ["'self'", ...lifecycle]);
      assert.equal(origins(world.plain).length, 3);
      assert.deepEqual(allowed(answer?.headers, 'frame-src'), origins(world.plain));
      const config = await (await world.services.get('auth')?.ask('/config.json'))?.json();
      assert.deepEqual([config.lifecycle_origin], lifecycle);
    });

    test('lifecycle lets it read the answers', async () => {
      const origin = world.plain.outputs.page_url?.value;
      const answer = await world.services.get('lifecycle')?.ask('/api/workspaces', { headers: { origin } });
      assert.deepEqual([answer?.status, answer?.headers.get('access-control-allow-origin')], [401, origin]);
    });

    test('out of the bucket it has the headers that auth gives it', async () => {
      const answer = await world.authAtDomain.ask('/');
      const sent = [...(answer?.headers ?? [])].filter(([name]) => !OF_ONE_ANSWER.includes(name));
      assert.deepEqual(world.atDomain.outputs.page_headers?.value, Object.fromEntries(sent));
      const [bucket] = world.atDomain.all('google_compute_backend_bucket');
      const headers = bucket?.values.custom_response_headers.map((/** @type {string} */ line) => line.split(': '));
      assert.deepEqual(Object.fromEntries(headers), Object.fromEntries(sent));
    });

    test('at the domain, every route reaches its function, and every file the bucket', async () => {
      const { page_url } = world.atDomain.outputs;
      for (const name of ['auth', 'lifecycle']) {
        const { paths } = await (await world.services.get(name)?.ask(`/api/${name}/openapi.json`))?.json();
        const browsers = Object.keys(paths).filter((path) => !path.startsWith('/vm/') && !path.startsWith('/push/'));
        assert.ok(browsers.length >= 7, `${name}: ${browsers}`);
        for (const path of [...browsers, `/api/${name}/openapi.json`]) {
          const address = `${page_url?.value}${path.replace('{id}', 'main')}`;
          assert.equal(world.atDomain.reached(address)?.name, name, address);
        }
      }
      const files = world.atDomain.all('google_storage_bucket_object').map(({ values }) => values);
      assert.ok(files.some(({ name }) => name === 'index.html'));
      for (const { name, content_type } of files) {
        assert.equal(world.atDomain.reached(`${page_url?.value}/${name}`), undefined, name);
        const answer = await world.authAtDomain.ask(`/${name}`);
        assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, content_type], name);
        await answer.arrayBuffer();
      }
    });
  });
