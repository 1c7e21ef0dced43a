import type { Service } from '@torcello/platform';
import { isMessagingError } from '../errors.js';
import type { IncomingCall, Method } from '../rpc/endpoint.js';
import { RemoteFailure } from '../rpc/failure.js';
import { rpcServer, type RpcServerOptions } from '../rpc/server.js';
import type { Transport } from '../transport/transport.js';
import { checked, type ContractPlace, type ErrorsOf } from './contract-error.js';
import { targetOf } from './contract-client.js';
import type { ContractParts, MethodContract, MethodsOf } from './contract.js';
import type { InputOf, OutputOf } from './standard-schema.js';

type ArgsOut<M> = M extends { readonly args: infer S } ? OutputOf<S> : Record<never, never>;
type ResultIn<M> = M extends { readonly result: infer S } ? InputOf<S> : unknown;
type ProgressIn<M> = M extends { readonly progress: infer S } ? InputOf<S> : never;

/** What a handler learns beside its arguments, and how it fails in the contract's words. */
export interface ContractCall<M> extends Omit<IncomingCall, 'report'> {
  readonly report: (progress: ProgressIn<M>) => Promise<void>;
  /** The failure to throw: `throw call.failure('Overdrawn', { by: 3 })`. */
  readonly failure: <E extends string & keyof ErrorsOf<M>>(
    name: E,
    data: InputOf<ErrorsOf<M>[E]>,
    message?: string,
  ) => RemoteFailure;
}

type HandlerResult<M> =
  | ResultIn<M>
  | Promise<ResultIn<M>>
  | (M extends { readonly progress: unknown } ? AsyncIterable<ProgressIn<M>, ResultIn<M>> : never);

/** One handler for each method of the contract: a missing one does not compile. */
export type ContractHandlers<C extends ContractParts> = {
  readonly [M in string & keyof MethodsOf<C>]: (
    args: ArgsOut<MethodsOf<C>[M]>,
    call: ContractCall<MethodsOf<C>[M]>,
  ) => HandlerResult<MethodsOf<C>[M]>;
};

export interface ContractServerOptions extends RpcServerOptions {
  /** The server's name. */
  readonly server: string;
}

/**
 * Serves a contract. Arguments that do not fit never reach a handler: a Python caller sees TypeError, one of ours
 * REMOTE_ERROR with `details.code` CONTRACT_VIOLATED. What a handler answers is checked before it leaves.
 */
export function contractServer<C extends ContractParts>(
  transport: Transport,
  contract: C,
  handlers: ContractHandlers<C>,
  options: ContractServerOptions,
): Service {
  const { server, ...rest } = options;
  const { namespace, version, ...address } = targetOf(contract);
  const byName = handlers as Readonly<Record<string, AnyHandler>>;
  const methods = Object.entries(contract.methods ?? {}).map(([name, method]) => {
    const handler = byName[name];
    if (handler === undefined) throw new TypeError(`no handler is there for "${name}"`);
    return [name, served(name, method, handler)] as const;
  });
  const target = {
    ...(namespace === undefined ? {} : { namespace }),
    ...(version === undefined ? {} : { version }),
  };
  return rpcServer(transport, { ...address, server }, [{ target, methods: Object.fromEntries(methods) }], rest);
}

type AnyHandler = (args: unknown, call: ContractCall<MethodContract>) => unknown;

function served(name: string, method: MethodContract, handler: AnyHandler): Method {
  return async (args, call) => {
    const read = await checkedHere(method.args, args, { place: 'args', name });
    const report = async (piece: unknown): Promise<void> => {
      await checkedHere(method.progress, piece, { place: 'progress', name });
      await call.report(piece);
    };
    const failure = (code: string, data: unknown, message: string = code): RemoteFailure =>
      new RemoteFailure({ class: code, code, message, data });
    const result = await handler(read, { ...call, report, failure });
    if (method.progress !== undefined && isAsyncIterable(result)) return checkedStream(result, name, method);
    await checkedHere(method.result, result, { place: 'result', name });
    return method.result === undefined ? null : result;
  };
}

async function* checkedStream(
  stream: AsyncIterable<unknown>,
  name: string,
  method: MethodContract,
): AsyncGenerator<unknown, unknown, undefined> {
  const iterator = stream[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await iterator.next();
      const place = next.done === true ? 'result' : 'progress';
      await checkedHere(method[place], next.value, { place, name });
      if (next.done === true) return method.result === undefined ? null : next.value;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** As `checked`, with a failure that tells the caller what does not fit. */
async function checkedHere(
  schema: MethodContract['args'],
  value: unknown,
  at: { readonly place: ContractPlace; readonly name: string },
): Promise<unknown> {
  try {
    return await checked(schema, value, at);
  } catch (error) {
    if (!isMessagingError(error, 'CONTRACT_VIOLATED')) throw error;
    const code = error.code;
    const kind = at.place === 'args' ? 'TypeError' : 'RuntimeError';
    throw new RemoteFailure({ class: kind, module: 'builtins', message: error.message, code, data: error.details });
  }
}
