import { isMessagingError, MessagingError } from '../errors.js';
import type { CallHandle } from '../rpc/call-handle.js';
import {
  rpcClient,
  type Arguments,
  type CallOptions,
  type CastOptions,
  type RpcClient,
  type RpcClientOptions,
} from '../rpc/client.js';
import type { Target } from '../rpc/target.js';
import type { Transport } from '../transport/transport.js';
import { checked } from './contract-error.js';
import type { ContractParts, MethodContract, MethodsOf } from './contract.js';
import type { InputOf, OutputOf } from './standard-schema.js';

type ArgsIn<M> = M extends { readonly args: infer S } ? InputOf<S> : undefined;
type ResultOut<M> = M extends { readonly cast: true }
  ? void
  : M extends { readonly result: infer S }
    ? OutputOf<S>
    : null;
type ProgressOut<M> = M extends { readonly progress: infer S } ? OutputOf<S> : never;
type OptionsOf<M> = M extends { readonly cast: true } ? CastOptions : CallOptions;
type Parameters_<M> = M extends { readonly args: unknown }
  ? [args: ArgsIn<M>, options?: OptionsOf<M>]
  : [args?: undefined, options?: OptionsOf<M>];

/** A method of a contract as its caller sees it. */
export type ContractMethod<M> = (...parameters: Parameters_<M>) => Promise<ResultOut<M>>;

/**
 * Calls by method name. Arguments are checked before they are sent, results and progress as they come: CONTRACT_VIOLATED
 * names the places that do not fit. `open` has the methods that answer, as handles with progress and `cancel`.
 */
export type ContractClient<C extends ContractParts> = {
  readonly [M in string & keyof MethodsOf<C>]: ContractMethod<MethodsOf<C>[M]>;
} & {
  readonly open: {
    readonly [M in string & keyof MethodsOf<C>]: (
      ...parameters: Parameters_<MethodsOf<C>[M]>
    ) => CallHandle<ResultOut<MethodsOf<C>[M]>, ProgressOut<MethodsOf<C>[M]>>;
  };
};

/** A typed client of a contract. Close it through the `RpcClient` or the transport that it was made of. */
export function contractClient<C extends ContractParts>(
  transport: Transport,
  contract: C,
  options: RpcClientOptions & Pick<Target, 'server' | 'fanout'> = {},
): ContractClient<C> {
  const { server, fanout, ...rest } = options;
  const address = { ...(server === undefined ? {} : { server }), ...(fanout === undefined ? {} : { fanout }) };
  const client = rpcClient(transport, { ...targetOf(contract), ...address }, rest);
  const methods = Object.entries(contract.methods ?? {});
  const typed = {
    ...Object.fromEntries(methods.map(([name, method]) => [name, caller(client, name, method)])),
    open: Object.fromEntries(methods.map(([name, method]) => [name, opener(client, name, method)])),
  };
  return typed as unknown as ContractClient<C>;
}

/** Where a contract is served. */
export function targetOf({ topic, exchange, namespace, version }: ContractParts): Target {
  return {
    topic,
    ...(exchange === undefined ? {} : { exchange }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(version === undefined ? {} : { version }),
  };
}

function caller(client: RpcClient, name: string, method: MethodContract) {
  return async (args: unknown, options: CallOptions = {}): Promise<unknown> => {
    const given = await argumentsOf(method, name, args);
    if (method.cast === true) return client.cast(name, given, options);
    try {
      const result = await client.call(name, given, options);
      return await checked(method.result, result, { place: 'result', name });
    } catch (error) {
      throw await failureOf(error, name, method);
    }
  };
}

function opener(client: RpcClient, name: string, method: MethodContract) {
  return (args: unknown, options: CallOptions = {}): CallHandle<unknown> => {
    const handle = client.open(name, sentArguments(method, name, args), options);
    return new CheckedHandle(handle, name, method);
  };
}

async function argumentsOf(method: MethodContract, name: string, args: unknown): Promise<Arguments> {
  await checked(method.args, args, { place: 'args', name });
  return (args ?? {}) as Arguments;
}

/** A handle begins at once, so a schema that answers later is left to the server. */
function sentArguments(method: MethodContract, name: string, args: unknown): Arguments {
  const result = method.args?.['~standard'].validate(args);
  if (result !== undefined && !(result instanceof Promise) && result.issues !== undefined) {
    const issues = result.issues.map(({ message }) => ({ path: '', message }));
    const details = { place: 'args', name, issues };
    throw new MessagingError('CONTRACT_VIOLATED', `the args of "${name}" do not fit`, { details });
  }
  return (args ?? {}) as Arguments;
}

/** What the caller gets for a failure: one that the contract names has its data checked. */
async function failureOf(error: unknown, name: string, method: MethodContract): Promise<unknown> {
  if (!isMessagingError(error, 'REMOTE_ERROR')) return error;
  const { code, data } = error.details;
  const schema =
    typeof code === 'string' && Object.hasOwn(method.errors ?? {}, code) ? method.errors?.[code] : undefined;
  if (schema === undefined) return error;
  try {
    const known = await checked(schema, data ?? null, { place: 'error', name });
    const details = { ...error.details, data: known, contractMethod: name };
    return new MessagingError('REMOTE_ERROR', error.message, { cause: error, details });
  } catch (violation) {
    return violation;
  }
}

class CheckedHandle implements CallHandle<unknown> {
  readonly #handle: CallHandle<unknown>;
  readonly #name: string;
  readonly #method: MethodContract;

  constructor(handle: CallHandle<unknown>, name: string, method: MethodContract) {
    this.#handle = handle;
    this.#name = name;
    this.#method = method;
  }

  cancel(reason?: unknown): void {
    this.#handle.cancel(reason);
  }

  remainingMs(): number {
    return this.#handle.remainingMs();
  }

  // eslint-disable-next-line unicorn/no-thenable -- it is what one awaits
  then<A = unknown, B = never>(
    onResult?: ((value: unknown) => A | PromiseLike<A>) | null,
    onError?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result().then(onResult, onError);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for await (const piece of this.#handle) {
      yield await checked(this.#method.progress, piece, { place: 'progress', name: this.#name });
    }
  }

  [Symbol.dispose](): void {
    this.#handle[Symbol.dispose]();
  }

  async #result(): Promise<unknown> {
    try {
      return await checked(this.#method.result, await this.#handle, { place: 'result', name: this.#name });
    } catch (error) {
      throw await failureOf(error, this.#name, this.#method);
    }
  }
}
