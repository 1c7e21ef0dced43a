/** Writes the tables of `docs/drivers.md` that equal the code. */
import { writeFileSync } from 'node:fs';
import { document, documentFile } from './document.js';

writeFileSync(documentFile, document());
