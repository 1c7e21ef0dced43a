// Fetches the page until it greets as it should; gives up after five seconds.
import { setTimeout as pause } from 'node:timers/promises';

const { URL: url, GREETING: greeting } = process.env;
const attempts = 20;
let last = 'no answer';
for (let attempt = 1; attempt <= attempts; attempt += 1) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    const text = await response.text();
    if (response.ok && text.startsWith(`${greeting} from `)) {
      console.log(`${url} says: ${text.trim()}`);
      process.exit(0);
    }
    last = `status ${response.status}: ${text.trim().slice(0, 200)}`;
  } catch (error) {
    last = error.cause?.message ?? error.message;
  }
  await pause(250);
}
console.error(`${url} is not healthy: ${last}`);
process.exit(1);
