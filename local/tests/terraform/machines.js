/** A machine is told what its start reads, and nothing that nobody reads. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { root } from './harness/programs.js';

/** @typedef {import('./terraform.test.js').World} World */

/** Keys that Compute Engine itself, or Google's agent on the machine, reads. */
const GOOGLES = [
  'startup-script', 'enable-oslogin', 'block-project-ssh-keys', 'serial-port-enable', 'serial-port-logging-enable',
];

/** @param {World} world */
export const machines = (world) =>
  describe('machines', () => {
    test('their metadata are the keys that vm/startup.sh knows, and all that it needs', async () => {
      const script = await readFile(`${root}vm/startup.sh`, 'utf8');
      const list = (/** @type {string} */ name) => {
        const words = new RegExp(`^${name}=\\(([^)]*)\\)`, 'm').exec(script)?.[1]?.trim().split(/\s+/) ?? [];
        assert.ok(words.length > 5, `${name} in vm/startup.sh`);
        return words.map((word) => word.toLowerCase());
      };
      const known = [...list('SETTINGS'), ...GOOGLES];
      const needed = list('NEEDED');
      for (const deployment of [world.plain, world.atDomain]) {
        const instances = deployment.all('google_compute_instance');
        assert.equal(instances.length, 3);
        for (const { values: { name, metadata } } of instances) {
          assert.deepEqual(Object.keys(metadata).filter((key) => !known.includes(key)), [], name);
          assert.deepEqual(needed.filter((key) => !metadata[key]), [], name);
          assert.equal(metadata['startup-script'], script, name);
        }
      }
    });

    test('each is one that lifecycle knows, with its zone, its price list and its address', () => {
      const declared = JSON.parse(String(world.plain.planned('lifecycle').env.WORKSPACES));
      const places = declared.flatMap((/** @type {any} */ workspace) =>
        workspace.placements.map((/** @type {any} */ place) => ({ ...place, workspace })),
      );
      const instances = world.plain.all('google_compute_instance').map(({ values }) => values);
      const names = (/** @type {any[]} */ list, /** @type {string} */ key) => list.map((it) => it[key]).sort();
      assert.deepEqual(names(instances, 'name'), names(places, 'instance'));
      for (const { instance, zone, spot, machine_type, origin, workspace } of places) {
        const made = instances.find(({ name }) => name === instance);
        assert.deepEqual([made.zone, made.machine_type, made.scheduling[0].preemptible], [zone, machine_type, spot], instance);
        assert.deepEqual([made.labels['pilotlight-workspace'], made.metadata.workspace], [workspace.id, workspace.id], instance);
        const address = made.network_interface[0].access_config[0].nat_ip;
        assert.equal(origin, `https://${made.metadata.domain_name ?? address}`, instance);
        assert.equal(made.metadata.hard_seconds, String(workspace.limits.hard_seconds), instance);
        // A disk that moves bears the name that lifecycle moves it by, and the device's name that the machine looks for.
        const disks = made.attached_disk.map((/** @type {any} */ disk) => disk.device_name);
        assert.ok(disks.every((/** @type {string} */ name) => name === made.metadata.data_disk), instance);
      }
      const moving = declared.map((/** @type {any} */ workspace) => workspace.disk).filter((/** @type {any} */ it) => it);
      assert.deepEqual(world.plain.all('google_compute_region_disk').map(({ values }) => values.name), moving);
    });
  });
