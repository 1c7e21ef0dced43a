/**
 * Keeper of a quickstart: `end-leftovers.js FOLDER` ends what the steps below the folder left running, when the process
 * that started it is gone without having done so itself.
 */
import process from 'node:process';

const { endLeftoversOfOrphan } = await import('../dist/src/quickstart/main.js');
await endLeftoversOfOrphan(process.argv[2]);
