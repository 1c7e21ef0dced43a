import { policyRow } from '../policy/policy.js';
import type { PolicyKind } from '../policy/policy.js';
import { HttpError } from './http-error.js';
import { policyWish, putPolicies } from './policy-definitions.js';
import { created, noContent, ok, vhostNamed } from './route.js';
import type { Answer, Route, RouteRequest } from './route.js';

/** Policies and operator policies: RabbitMQ's paths. */
export const policyRoutes: readonly Route[] = [
  ...routesOf('policies', 'policy'),
  ...routesOf('operator-policies', 'operator_policy'),
];

function routesOf(path: string, kind: PolicyKind): Route[] {
  return [
    {
      method: 'GET',
      path,
      serve: ({ broker }) =>
        ok([...broker.vhosts.values()].flatMap((vhost) => vhost.policies(kind)).map((policy) => policyRow(policy))),
    },
    { method: 'GET', path: `${path}/*`, serve: (request) => ok(vhostNamed(request).policies(kind).map(policyRow)) },
    { method: 'GET', path: `${path}/*/*`, serve: (request) => getPolicy(kind, request) },
    { method: 'PUT', path: `${path}/*/*`, serve: (request) => putPolicy(kind, request) },
    { method: 'DELETE', path: `${path}/*/*`, serve: (request) => deletePolicy(kind, request) },
  ];
}

function getPolicy(kind: PolicyKind, request: RouteRequest): Answer {
  const policy = vhostNamed(request)
    .policies(kind)
    .find(({ name }) => name === request.names[1]);
  if (policy === undefined) throw new HttpError(404, `there is no policy '${request.names[1] ?? ''}'`);
  return ok(policyRow(policy));
}

async function putPolicy(kind: PolicyKind, request: RouteRequest): Promise<Answer> {
  const vhost = vhostNamed(request);
  const name = request.names[1] ?? '';
  const isThere = vhost.policies(kind).some((policy) => policy.name === name);
  putPolicies(request.broker, [policyWish(kind, { vhost: vhost.name, name }, request.body)]);
  await request.broker.durable();
  return isThere ? noContent : created;
}

async function deletePolicy(kind: PolicyKind, request: RouteRequest): Promise<Answer> {
  const name = request.names[1] ?? '';
  if (!vhostNamed(request).deletePolicy(kind, name)) throw new HttpError(404, `there is no policy '${name}'`);
  await request.broker.durable();
  return noContent;
}
