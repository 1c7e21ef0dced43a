import { shownChannels, shownConnections, shownConsumers } from './connection-listings.js';
import { HttpError } from './http-error.js';
import {
  shownBindings,
  shownDefaultBindings,
  shownExchange,
  shownExchanges,
  shownQueue,
  shownQueues,
} from './listings.js';
import type { Shown } from './listings.js';
import { metricsText } from './metrics.js';
import { shownNode, shownOverview, shownVhost } from './node-listings.js';
import { operatorRow } from './policy-definitions.js';
import { ok, userNamed, vhostNamed } from './route.js';
import type { Answer, Route, RouteRequest } from './route.js';
import { limitsOf, permissionsOf, shownUser, topicPermissionsOf } from './user-listings.js';
import { nodeName } from '../version.js';

type Listing = (request: RouteRequest) => Shown[];

/** What can be looked at. */
export const listingRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: 'metrics',
    serve: ({ broker, limits }) => ({ status: 200, text: metricsText(broker, limits) }),
  },
  { method: 'GET', path: 'overview', serve: ({ broker }) => ok(shownOverview(broker)) },
  { method: 'GET', path: 'cluster-name', serve: () => ok({ name: nodeName }) },
  { method: 'GET', path: 'whoami', serve: ({ user }) => ok({ name: user?.name, tags: user?.tags }) },
  { method: 'GET', path: 'nodes', serve: ({ broker, limits }) => ok([shownNode(broker, limits)]) },
  {
    method: 'GET',
    path: 'nodes/*',
    serve: ({ broker, limits, names }) => named([shownNode(broker, limits)], names[0]),
  },
  { method: 'GET', path: 'connections', serve: ({ broker }) => ok(shownConnections(broker)) },
  { method: 'GET', path: 'connections/*', serve: ({ broker, names }) => named(shownConnections(broker), names[0]) },
  { method: 'GET', path: 'connections/*/channels', serve: channelsOf },
  { method: 'GET', path: 'channels', serve: ({ broker }) => ok(shownChannels(broker)) },
  { method: 'GET', path: 'channels/*', serve: ({ broker, names }) => named(shownChannels(broker), names[0]) },
  { method: 'GET', path: 'consumers', serve: ({ broker }) => ok(shownConsumers(broker)) },
  {
    method: 'GET',
    path: 'consumers/*',
    serve: (request) => ok(shownConsumers(request.broker, vhostNamed(request).name)),
  },
  ...everywhere('exchanges', ({ broker }) => shownExchanges(broker.vhosts.values())),
  { method: 'GET', path: 'exchanges/*', serve: (request) => ok(shownExchanges([vhostNamed(request)])) },
  { method: 'GET', path: 'exchanges/*/*', serve: exchange },
  { method: 'GET', path: 'exchanges/*/*/bindings/source', serve: (request) => bindingsWhere(request, 'source') },
  { method: 'GET', path: 'exchanges/*/*/bindings/destination', serve: (request) => bindingsWhere(request, 'exchange') },
  ...everywhere('queues', ({ broker }) => shownQueues(broker.vhosts.values())),
  { method: 'GET', path: 'queues/*', serve: (request) => ok(shownQueues([vhostNamed(request)])) },
  { method: 'GET', path: 'queues/*/*', serve: queue },
  { method: 'GET', path: 'queues/*/*/bindings', serve: (request) => bindingsWhere(request, 'queue') },
  ...everywhere('bindings', ({ broker }) => bindingsOf([...broker.vhosts.values()])),
  { method: 'GET', path: 'bindings/*', serve: (request) => ok(bindingsOf([vhostNamed(request)])) },
  { method: 'GET', path: 'vhosts', serve: ({ broker }) => ok(Array.from(broker.vhosts.values(), shownVhost)) },
  { method: 'GET', path: 'vhosts/*', serve: (request) => ok(shownVhost(vhostNamed(request))) },
  { method: 'GET', path: 'vhosts/*/permissions', serve: permissionsInVhost },
  ...everywhere('users', ({ broker }) => Array.from(broker.users.all(), shownUser)),
  { method: 'GET', path: 'users/*', serve: (request) => ok(shownUser(userNamed(request, 0))) },
  { method: 'GET', path: 'users/*/permissions', serve: (request) => ok(permissionsOf(userNamed(request, 0))) },
  ...everywhere('permissions', ({ broker }) => [...broker.users.all()].flatMap(permissionsOf)),
  { method: 'GET', path: 'permissions/*/*', serve: permission },
  ...everywhere('topic-permissions', ({ broker }) => [...broker.users.all()].flatMap(topicPermissionsOf)),
  ...everywhere('user-limits', ({ broker }) => [...broker.users.all()].flatMap(limitsOf)),
  ...everywhere('vhost-limits', () => []),
  ...everywhere('global-parameters', () => []),
  ...everywhere('parameters', ({ broker }) =>
    [...broker.vhosts.values()].flatMap((vhost) => vhost.policies('operator_policy').map(operatorRow)),
  ),
];

function everywhere(path: string, list: Listing): Route[] {
  return [{ method: 'GET', path, serve: (request) => ok(list(request)) }];
}

function named(rows: readonly Shown[], wanted: string | undefined): Answer {
  const row = rows.find(({ name }) => name === wanted);
  if (row === undefined) throw new HttpError(404, 'there is nothing of this name');
  return ok(row);
}

function channelsOf({ broker, names }: RouteRequest): Answer {
  const ofIt = shownChannels(broker).filter(
    ({ connection_details: details }) => (details as Shown)['name'] === names[0],
  );
  return ok(ofIt);
}

function exchange(request: RouteRequest): Answer {
  const vhost = vhostNamed(request);
  const found = vhost.exchanges.get(request.names[1] ?? '');
  if (found === undefined) throw new HttpError(404, 'there is no such exchange');
  return ok(shownExchange(vhost, found));
}

function queue(request: RouteRequest): Answer {
  const vhost = vhostNamed(request);
  const found = vhost.queues.get(request.names[1] ?? '');
  if (found === undefined) throw new HttpError(404, 'there is no such queue');
  const consumers = shownConsumers(request.broker, vhost.name);
  const ofIt = consumers.filter((one) => (one['queue'] as Shown)['name'] === found.name);
  return ok({ ...shownQueue(vhost, found), consumer_details: ofIt });
}

function bindingsOf(vhosts: Parameters<typeof shownBindings>[0] & readonly unknown[]): Shown[] {
  return [...shownDefaultBindings(vhosts), ...shownBindings(vhosts)];
}

function bindingsWhere(request: RouteRequest, which: 'source' | 'queue' | 'exchange'): Answer {
  const name = request.names[1];
  const isMeant = (row: Shown): boolean =>
    which === 'source' ? row['source'] === name : row['destination'] === name && row['destination_type'] === which;
  return ok(bindingsOf([vhostNamed(request)]).filter(isMeant));
}

function permissionsInVhost(request: RouteRequest): Answer {
  const { name } = vhostNamed(request);
  return ok([...request.broker.users.all()].flatMap(permissionsOf).filter(({ vhost }) => vhost === name));
}

function permission(request: RouteRequest): Answer {
  const { name } = vhostNamed(request);
  const row = permissionsOf(userNamed(request, 1)).find(({ vhost }) => vhost === name);
  if (row === undefined) throw new HttpError(404, 'no rights were given');
  return ok(row);
}
