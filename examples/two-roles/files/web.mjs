// The web service of the example: every visit is counted by the database on the other machine.
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

const file = (name) => new URL(name, import.meta.url);
const config = JSON.parse(readFileSync(file('config.json'), 'utf8'));

async function visit() {
  const url = `${config.database}/${encodeURIComponent(config.machine)}`;
  const answer = await fetch(url, { method: 'POST', signal: AbortSignal.timeout(2000) });
  if (!answer.ok) throw new Error(`the database answered ${answer.status}`);
  return Number(await answer.text());
}

const server = createServer(async (request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  try {
    response.end(`${config.machine} counts ${await visit()}\n`);
  } catch (error) {
    response.statusCode = 503;
    response.end(`${config.machine} cannot ask the database: ${error.cause?.message ?? error.message}\n`);
  }
});
server.on('error', (error) => {
  console.error(
    error.code === 'EADDRINUSE' ? `port ${config.port} is taken; set another webPort in the properties` : error.message,
  );
  process.exit(1);
});
server.listen(config.port, config.host, () => {
  writeFileSync(file('server.pid'), `${process.pid}\n`);
  console.log(`listening on http://${config.host}:${config.port}/`);
});
process.on('SIGTERM', () => {
  server.close(() => {
    unlinkSync(file('server.pid'));
    process.exit(0);
  });
  server.closeAllConnections();
});
