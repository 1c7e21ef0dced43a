/** Writes the tables of `docs/` that equal the code, and the API reference, and formats them. Needs a build. */
import { writeFileSync } from 'node:fs';
import { root, run, tool } from './lib/run.mjs';
import { settingsDocument } from './lib/settings.mjs';

await run(process.execPath, ['--import', 'tsx', '--conditions=source', 'tests/src/tidy/write-tables.ts']);
await run(process.execPath, ['--import', 'tsx', '--conditions=source', 'tests/src/reference/write-reference.ts']);
writeFileSync(`${root}docs/settings.md`, settingsDocument());
await tool('oxfmt', ['--write', 'docs']);
