/**
 * Whether this machine has Google's own emulators, which are Java programs of Google's SDK.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** The SDK's folder: where `CLOUDSDK_ROOT` says, or around the `gcloud` on the path. */
const sdk = () => {
  if (process.env.CLOUDSDK_ROOT) return process.env.CLOUDSDK_ROOT;
  const gcloud = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'gcloud')).find(existsSync);
  return gcloud === undefined ? null : dirname(dirname(realpathSync(gcloud)));
};

/** What is missing and how to get it, or null when all is there. @returns {string | null} */
export const emulatorsMissing = () => {
  const root = sdk();
  const parts = ['cloud-firestore-emulator', 'pubsub-emulator'];
  const there = root !== null && parts.every((part) => existsSync(join(root, 'platform', part)));
  if (there && spawnSync('java', ['-version'], { stdio: 'ignore' }).status === 0) return null;
  return `It needs Java 17 and Google's emulators: install the Google Cloud SDK, then gcloud components install ${parts.join(' ')}`;
};
