// The database of the example: one counter for each web machine that it knows, kept in a file.
import { existsSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

const file = (name) => new URL(name, import.meta.url);
const config = JSON.parse(readFileSync(file('config.json'), 'utf8'));
const counts = existsSync(file('count.json')) ? JSON.parse(readFileSync(file('count.json'), 'utf8')) : {};

function count(client) {
  counts[client] = (counts[client] ?? 0) + 1;
  writeFileSync(file('count.json.new'), JSON.stringify(counts));
  renameSync(file('count.json.new'), file('count.json'));
  return counts[client];
}

const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  const client = decodeURIComponent(request.url.slice(1));
  if (client === 'health') {
    response.end(`database for ${config.clients.length} web machines\n`);
  } else if (request.method === 'POST' && config.clients.includes(client)) {
    response.end(`${count(client)}\n`);
  } else {
    response.statusCode = 404;
    response.end('no such counter\n');
  }
});
server.on('error', (error) => {
  console.error(
    error.code === 'EADDRINUSE' ? `port ${config.port} is taken; set another dbPort in the properties` : error.message,
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
