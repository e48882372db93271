/**
 * A deployment as Terraform makes it, without a cloud: a copy of what it reads is applied with a provider that creates
 * nothing and makes up what Google would say. The folder that TERRAFORM_CHECK names has that provider.
 */
import { cp, mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { controlPlane, root, run } from './programs.js';

const checker = process.env.TERRAFORM_CHECK ?? join(root, '../shared/tools/terraform-check');

/** Whether there is a provider to apply with. */
export const canApply = existsSync(join(checker, 'validate.sh'));

/** What Terraform reads of the repository. */
const READ = ['terraform', 'vm/startup.sh', 'static'];

/** On two busy cores it takes a quarter of this. */
const APPLY_WITHIN_MS = 180_000;

/** @typedef {import('./programs.js').Environment} Environment */
/** @typedef {{address: string, mode: string, type: string, name: string, index?: string|number, values: any}} Resource */

/** What is secret, by the secret's name. */
export class Secrets {
  /** @param {Environment} values */
  constructor(values) {
    this.values = values;
  }

  static async make() {
    const [key, hash] = await Promise.all([
      controlPlane(['new-key']),
      controlPlane(['hash-password'], { input: 'correct horse battery staple' }),
    ]);
    if (key.failed || hash.failed) throw new Error(`${key.stderr}${hash.stderr}`);
    const users = JSON.stringify([{ name: 'admin', role: 'admin', hash: hash.stdout.trim() }]);
    return new Secrets({
      'pilotlight-signing-key': key.stdout,
      'pilotlight-users': users,
      'pilotlight-first-password': 'correct horse battery staple',
    });
  }

  /** These, and another. @param {string} secret @param {string} value */
  and(secret, value) {
    return new Secrets({ ...this.values, [secret]: value });
  }

  /** As Terraform is told: a variable for each. */
  get variables() {
    const name = (/** @type {string} */ secret) => secret.replace('pilotlight-', 'TF_VAR_').replaceAll('-', '_');
    return Object.fromEntries(Object.entries(this.values).map(([secret, value]) => [name(secret), value]));
  }
}

/** One function as it would run on Cloud Run. */
export class Planned {
  /** @param {Resource} resource @param {Secrets} secrets */
  constructor(resource, secrets) {
    const { values } = resource;
    [this.template] = values.template;
    [this.container] = this.template.containers;
    /** @type {string} */
    this.name = resource.name;
    /** @type {string} */
    this.ingress = values.ingress;
    /** @type {string[]} */
    this.audiences = values.custom_audiences;
    /** @type {string} */
    this.command = this.container.command[0];
    /** @type {string} */
    this.email = this.template.service_account;
    /** Secrets that it reads, by the variable. @type {Environment} */
    this.secrets = {};
    /** @type {Environment} */
    this.env = {};
    for (const { name, value, value_source: [source] } of this.container.env) {
      const secret = source?.secret_key_ref[0].secret;
      if (secret !== undefined) this.secrets[name] = secret;
      this.env[name] = secret === undefined ? value : (secrets.values[secret] ?? '');
    }
  }
}

export class Deployment {
  /** @param {any} state As `terraform show -json` tells it. @param {string} written What Terraform has said and kept. @param {Secrets} secrets */
  constructor(state, written, secrets) {
    /** @type {Resource[]} */
    this.resources = state.values.root_module.resources;
    /** @type {Record<string, {value: any}>} */
    this.outputs = state.values.outputs;
    this.written = written;
    this.secrets = secrets;
    this.functions = this.all('google_cloud_run_v2_service').map((resource) => new Planned(resource, secrets));
  }

  /** @param {string} type */
  all(type) {
    return this.resources.filter((resource) => resource.mode === 'managed' && resource.type === type);
  }

  /** The only one of its type and name. @param {string} type @param {string} name */
  one(type, name) {
    const found = this.all(type).filter((resource) => resource.name === name);
    if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of ${type}.${name}; expected one`);
    return found[0].values;
  }

  /** @param {string} name */
  planned(name) {
    const found = this.functions.find((planned) => planned.name === name);
    if (found === undefined) throw new Error(`there is no service ${name}`);
    return found;
  }

  /** @param {string} name @returns {string} */
  email(name) {
    return this.one('google_service_account', name).email;
  }

  /**
   * The function that a request from the Internet to this address reaches, if it reaches any.
   * @param {string} url
   */
  reached(url) {
    const { origin, pathname } = new URL(url);
    const direct = this.functions.find((planned) => planned.audiences.includes(origin));
    if (direct !== undefined) return direct.ingress === 'INGRESS_TRAFFIC_ALL' ? direct : undefined;
    return this.#byLoadBalancer(new URL(url).hostname, pathname);
  }

  /** @param {string} host @param {string} path */
  #byLoadBalancer(host, path) {
    const matches = (/** @type {string} */ rule) =>
      rule.endsWith('/*') ? path.startsWith(rule.slice(0, -1)) || path === rule.slice(0, -2) : path === rule;
    for (const { values } of this.all('google_compute_url_map')) {
      const rule = values.host_rule.find((/** @type {any} */ it) => it.hosts.includes(host));
      const matcher = values.path_matcher.find((/** @type {any} */ it) => it.name === rule?.path_matcher);
      const taken = matcher?.path_rule.find((/** @type {any} */ it) => it.paths.some(matches));
      if (taken === undefined) continue;
      const backend = this.all('google_compute_backend_service').find((it) => it.values.id === taken.service);
      const [{ group }] = backend?.values.backend ?? [{}];
      const behind = this.all('google_compute_region_network_endpoint_group').find((it) => it.values.id === group);
      const service = this.all('google_cloud_run_v2_service').find((it) => it.values.name === behind?.values.cloud_run[0].service);
      return service && this.planned(service.name);
    }
    return undefined;
  }
}

/**
 * Applies what the repository declares, once for each set of variables, side by side.
 * @param {Environment[]} sets Beside those of terraform/tests/terraform.tfvars.
 * @returns {Promise<Deployment[]>}
 */
export const deploy = async (sets) => {
  const secrets = await Secrets.make();
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-terraform-'));
  try {
    const env = await checkerEnvironment();
    const copies = sets.map((_, at) => join(folder, String(at)));
    for (const copy of copies) await copyRepository(copy);
    return await Promise.all(sets.map((variables, at) => apply(String(copies[at]), env, variables, secrets)));
  } finally {
    await rm(folder, { recursive: true });
  }
};

/** @returns {Promise<NodeJS.ProcessEnv>} */
const checkerEnvironment = async () => {
  // One checker is one path: by several, runs side by side would find each other's changed.
  const told = await run(join(await realpath(checker), 'validate.sh'), ['--env'], { env: process.env, limitMs: APPLY_WITHIN_MS });
  if (told.failed) throw new Error(told.stderr);
  const variables = [...told.stdout.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]);
  const { PATH, HOME } = process.env;
  return { PATH, HOME, TF_IN_AUTOMATION: '1', TF_INPUT: '0', ...Object.fromEntries(variables) };
};

/** @param {string} copy */
const copyRepository = async (copy) => {
  const wanted = (/** @type {string} */ path) => !/\/\.terraform|\.tfstate/.test(path);
  for (const path of READ) await cp(join(root, path), join(copy, path), { recursive: true, filter: wanted });
  // In the place of the bucket.
  await writeFile(join(copy, 'terraform/local_override.tf'), 'terraform {\n  backend "local" {}\n}\n');
};

/** @param {string} copy @param {NodeJS.ProcessEnv} surroundings @param {Environment} variables @param {Secrets} secrets */
const apply = async (copy, surroundings, variables, secrets) => {
  const cwd = join(copy, 'terraform');
  const env = { ...surroundings, ...secrets.variables };
  const terraform = async (/** @type {string[]} */ ...args) => {
    const ended = await run('terraform', args, { cwd, env, limitMs: APPLY_WITHIN_MS });
    if (ended.failed) throw new Error(`terraform ${args[0]}:\n${ended.stdout.slice(-4_000)}${ended.stderr}`);
    return ended.stdout;
  };
  const set = Object.entries(variables).map(([name, value]) => `-var=${name}=${value}`);
  const said = ['-no-color', '-var-file=tests/terraform.tfvars', ...set];
  await terraform('init', '-no-color');
  const applied = await terraform('apply', '-auto-approve', ...said);
  const state = await terraform('show', '-json');
  const written = applied + state + (await stateFiles(cwd));
  const webhooks = await webhooksWritten(cwd, (expression) => run('terraform', ['console', ...said], { cwd, env, input: expression, limitMs: APPLY_WITHIN_MS }));
  return new Deployment(JSON.parse(state), written, secrets.and('pilotlight-webhooks', webhooks));
};

/**
 * What the secret of the webhooks is given, which nothing keeps: so Terraform is asked, after all is made, with a variable
 * that is no secret any more.
 * @param {string} folder @param {(expression: string) => Promise<import('./programs.js').Ended>} console
 */
const webhooksWritten = async (folder, console) => {
  await writeFile(join(folder, 'webhooks_override.tf'), 'variable "webhooks" {\n  sensitive = false\n  ephemeral = false\n}\n');
  const { failed, stdout, stderr } = await console('base64encode(local.webhooks_json)');
  const said = /^"([A-Za-z0-9+/=]+)"$/m.exec(stdout)?.[1];
  if (failed || said === undefined) throw new Error(`terraform console:\n${stdout}${stderr}`);
  return Buffer.from(said, 'base64').toString();
};

/** @param {string} folder */
const stateFiles = async (folder) => {
  const names = (await readdir(folder)).filter((name) => name.includes('.tfstate'));
  return (await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))).join('\n');
};
