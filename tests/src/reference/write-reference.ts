import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../tidy/sources.js';
import { apiReference } from './reference.js';

/** Writes `docs/api` from the docstrings. */
const folder = path.join(root, 'docs/api');
mkdirSync(folder, { recursive: true });
for (const [name, text] of apiReference()) writeFileSync(path.join(folder, name), text);
