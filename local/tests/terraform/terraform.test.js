/**
 * What Terraform would make, held against the programs that it is made for: once as it comes, once with a domain for the
 * page. Each part is about one thing that Terraform and the programs must agree on.
 */
import { after, before, describe } from 'node:test';

import { canApply, deploy } from './harness/deployment.js';
import { Service } from './harness/programs.js';
import { environment } from './environment.js';
import { machines } from './machines.js';
import { page } from './page.js';
import { permissions } from './permissions.js';
import { callers } from './callers.js';

/**
 * @typedef {object} World
 * @property {import('./harness/deployment.js').Deployment} plain
 * @property {import('./harness/deployment.js').Deployment} atDomain With `page_domain`.
 * @property {Map<string, Service>} services Of `plain`, by name; what they are told of Google is never used.
 * @property {Service} authAtDomain
 */

/** The domain of the page in the second deployment. */
const PAGE_DOMAIN = 'pilotlight.example.com';

const skip = canApply ? false : 'there is nothing to apply with: TERRAFORM_CHECK names no folder with validate.sh';

describe('what Terraform makes', { skip }, () => {
  /** Filled before the first test. */
  const world = /** @type {World} */ ({ services: new Map() });

  before(async () => {
    const [plain, atDomain] = await deploy([{}, { page_domain: PAGE_DOMAIN }]);
    if (plain === undefined || atDomain === undefined) throw new Error('two were asked for');
    Object.assign(world, { plain, atDomain });
    for (const planned of plain.functions) {
      world.services.set(planned.name, await Service.start(planned.command, planned.env));
    }
    const auth = atDomain.planned('auth');
    world.authAtDomain = await Service.start(auth.command, auth.env);
  });

  after(async () => {
    for (const service of [...world.services.values(), world.authAtDomain]) await service?.end();
  });

  for (const part of [environment, callers, page, permissions, machines]) part(world);
});
