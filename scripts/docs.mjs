/** Writes the tables of `docs/` that equal the code, and formats them. */
import { run, tool } from './lib/run.mjs';

await run(process.execPath, ['--import', 'tsx', '--conditions=source', 'tests/src/tidy/write-tables.ts']);
await tool('oxfmt', ['--write', 'docs']);
