import { createRequire } from 'node:module';

/** The version of this command. */
export const ownVersion: string = (
  createRequire(import.meta.url)('@torcello/cli/package.json') as { readonly version: string }
).version;
