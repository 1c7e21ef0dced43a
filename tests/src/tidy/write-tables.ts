/** Writes the tables of `docs/` that equal the code. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './sources.js';
import { errorsDocument, limitsDocument } from './tables.js';

writeFileSync(path.join(root, 'docs/limits.md'), limitsDocument());
writeFileSync(path.join(root, 'docs/errors.md'), errorsDocument());
