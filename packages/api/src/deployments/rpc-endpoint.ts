import { deploymentsTopic, limits } from '@torcello/contracts';
import type {
  AppendRequest,
  AttemptRequest,
  ClaimRequest,
  LetterRequest,
  LoadRequest,
  ReleaseRequest,
  RenewRequest,
} from '@torcello/contracts';
import { RemoteFailure, rpcServer } from '@torcello/messaging';
import type { Arguments, Endpoint, Method, Transport } from '@torcello/messaging';
import type { Logger, Service } from '@torcello/platform';
import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import type { HintAttempts } from '../dead-letters/hint-attempts.js';
import { Refusal } from '../errors.js';
import type { Appends } from './appends.js';
import type { Claims } from './claims.js';

const id = Type.String({ minLength: 1, maxLength: 64 });
const count = Type.Integer({ minimum: 0 });
const shortText = Type.String({ maxLength: 1024 });
/** Base64 takes four characters for three bytes. */
const bodyTextMax = Math.ceil(limits.agentMessageBytesMax.value / 3) * 4;

const schemas: Readonly<Record<string, TSchema>> = {
  claim: Type.Object({
    deploymentId: id,
    holder: id,
    nonce: id,
    knownEvents: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1000 }),
  }),
  renew: Type.Object({
    holder: id,
    leases: Type.Array(Type.Object({ deploymentId: id, epoch: count }), { maxItems: 10_000 }),
  }),
  load: Type.Object({ deploymentId: id, from: count }),
  append: Type.Object({
    deploymentId: id,
    epoch: count,
    expectedLength: count,
    events: Type.Array(
      Type.Object({
        id,
        event: Type.Object({ type: Type.String({ maxLength: 64 }) }),
        letter: Type.Optional(Type.String()),
      }),
      { maxItems: 20_000 },
    ),
  }),
  letter: Type.Object({ deploymentId: id, planId: id }),
  release: Type.Object({ deploymentId: id, epoch: count, length: count }),
  attempt: Type.Object({
    nonce: id,
    stage: Type.Union(['begins', 'failed', 'succeeded', 'givenBack'].map((stage) => Type.Literal(stage))),
    hasBegun: Type.Optional(Type.Boolean()),
    reason: Type.Optional(shortText),
    message: Type.Object({
      exchange: shortText,
      routingKey: shortText,
      messageId: Type.Optional(shortText),
      contentType: Type.Optional(shortText),
      headers: Type.String({ maxLength: 65_536 }),
      body: Type.String({ maxLength: bodyTextMax }),
      bytes: count,
    }),
  }),
};

/** The conductors' way to the truth: what `DeploymentsRpc` in contracts says, on the topic `deployments`. */
export function deploymentsEndpoint(parts: {
  readonly claims: Claims;
  readonly appends: Appends;
  readonly attempts: HintAttempts;
}): Endpoint {
  const { claims, appends, attempts } = parts;
  return {
    target: { version: deploymentsTopic.version },
    methods: {
      claim: checked('claim', (request: ClaimRequest) => claims.claim(request)),
      renew: checked('renew', (request: RenewRequest) => claims.renew(request)),
      load: checked('load', (request: LoadRequest) => appends.load(request)),
      append: checked('append', (request: AppendRequest) => {
        claims.heard(request.deploymentId);
        return appends.append(request);
      }),
      letter: checked('letter', (request: LetterRequest) => appends.letter(request)),
      release: checked('release', (request: ReleaseRequest) => claims.release(request)),
      attempt: checked('attempt', (request: AttemptRequest) => attempts.attempt(request)),
    },
  };
}

/** Serves the endpoint under a server name that is this process's own. */
export function deploymentsServer(
  transport: Transport,
  endpoint: Endpoint,
  options: { readonly server: string; readonly logger: Logger },
): Service {
  const { exchange, topic } = deploymentsTopic;
  return rpcServer(transport, { exchange, topic, server: options.server }, [endpoint], { logger: options.logger });
}

function checked<Request>(name: string, method: (request: Request) => Promise<unknown>): Method {
  const schema = schemas[name];
  return async (request: Arguments) => {
    if (schema === undefined || !Value.Check(schema, request))
      throw failure('invalid_request', `the arguments of ${name} are not as agreed`);
    try {
      return await method(request as Request);
    } catch (error) {
      if (error instanceof Refusal) throw failure(error.code, error.message);
      throw error;
    }
  };
}

function failure(code: string, message: string): RemoteFailure {
  return new RemoteFailure({ class: 'Refusal', message, code });
}
