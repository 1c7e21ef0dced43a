/** `npm run bench -- NAME [options]`: one of the benchmarks in `bench/`. */
import { existsSync } from 'node:fs';

const [name = ''] = process.argv.slice(2);
const file = ['rpc', 'publish', 'consume', 'notify'].includes(name) ? 'messaging' : name;
const script = new URL(`../bench/${file}.mjs`, import.meta.url);
if (!/^[\w-]+$/.test(file) || !existsSync(script)) {
  console.error(
    'usage: npm run bench -- rpc|publish|consume|notify|idle|broker|broker-scale|amqp10 [--rounds N] [--json]',
  );
  process.exit(1);
}
await import(script.href);
