// The web service itself: one page that greets. It writes its process id once it listens.
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

const config = JSON.parse(readFileSync(new URL('config.json', import.meta.url), 'utf8'));
const pidFile = new URL('server.pid', import.meta.url);
const host = process.env.HOST ?? '127.0.0.1';
const port = Number(process.env.PORT);

const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(`${config.greeting} from ${config.machine} in ${config.environment}\n`);
});
server.on('error', (error) => {
  console.error(
    error.code === 'EADDRINUSE' ? `port ${port} on ${host} is taken; set another one in the properties` : error.message,
  );
  process.exit(1);
});
server.listen(port, host, () => {
  writeFileSync(pidFile, `${process.pid}\n`);
  console.log(`listening on http://${host}:${port}/`);
});
process.on('SIGTERM', () => {
  server.close(() => {
    unlinkSync(pidFile);
    process.exit(0);
  });
  server.closeAllConnections();
});
