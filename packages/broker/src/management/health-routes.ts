import { ok, vhostNamed } from './route.js';
import type { Answer, Route, RouteRequest } from './route.js';

/** RabbitMQ's health checks: 200 when all is well, else 503 with the reason. */
export const healthRoutes: readonly Route[] = [
  { method: 'GET', path: 'health/checks/alarms', isPublic: true, serve: alarms },
  { method: 'GET', path: 'health/checks/local-alarms', isPublic: true, serve: alarms },
  { method: 'GET', path: 'health/checks/virtual-hosts', serve: () => ok({ status: 'ok' }) },
  { method: 'GET', path: 'health/checks/node-is-quorum-critical', serve: oneNode },
  { method: 'GET', path: 'health/checks/node-is-mirror-sync-critical', serve: oneNode },
  { method: 'GET', path: 'health/checks/port-listener/*', serve: portListener },
  { method: 'GET', path: 'health/checks/protocol-listener/*', serve: protocolListener },
  { method: 'GET', path: 'healthchecks/node', serve: alarms },
  { method: 'GET', path: 'healthchecks/node/*', serve: alarms },
  { method: 'GET', path: 'aliveness-test/*', serve: aliveness },
];

function alarms({ broker }: RouteRequest): Answer {
  const reason = broker.blockedReason;
  return reason === undefined ? ok({ status: 'ok' }) : failed({ reason });
}

function oneNode(): Answer {
  return ok({ status: 'ok', reason: 'single node cluster' });
}

function portListener({ broker, names }: RouteRequest): Answer {
  const port = Number(names[0]);
  const ports = broker.listeners.map((listener) => listener.port);
  if (ports.includes(port)) return ok({ status: 'ok', port });
  return failed({ reason: 'No active listener', missing: port, ports });
}

function protocolListener({ broker, names }: RouteRequest): Answer {
  const [protocol = ''] = names;
  const wanted = protocol === 'amqp091' ? 'amqp' : protocol === 'amqps' ? 'amqp/ssl' : protocol;
  const protocols = broker.listeners.map((listener) => listener.protocol as string);
  if (protocols.includes(wanted)) return ok({ status: 'ok', protocol });
  return failed({ reason: 'No active listener', missing: protocol, protocols });
}

/** Publishes are taken, and the disk has synced everything that was promised up to now. */
async function aliveness(request: RouteRequest): Promise<Answer> {
  vhostNamed(request);
  await request.broker.durable();
  return alarms(request);
}

function failed(why: Readonly<Record<string, unknown>>): Answer {
  return { status: 503, body: { status: 'failed', ...why } };
}
