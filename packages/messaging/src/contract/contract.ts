import type { StandardSchema } from './standard-schema.js';

/** One method: what goes in, what comes out, and how it may fail. */
export interface MethodContract {
  /** An object: the arguments by name. Default: none. */
  readonly args?: StandardSchema;
  /** Absent: the method answers nothing. */
  readonly result?: StandardSchema;
  /** What it reports while it runs, or the items of its streamed answer. */
  readonly progress?: StandardSchema;
  /** Failures by name, with the schema of the data that goes with each. */
  readonly errors?: Readonly<Record<string, StandardSchema>>;
  /** Sent without waiting for an answer. */
  readonly cast?: boolean;
}

export interface ContractNotification {
  readonly payload: StandardSchema;
}

/** What a service offers, as plain data: nothing in it runs. */
export interface ContractParts {
  readonly topic: string;
  /** Default `openstack`. */
  readonly exchange?: string;
  readonly namespace?: string;
  /** `major.minor`; servers of it serve callers of the same major and no newer minor version. Default 1.0. */
  readonly version?: string;
  readonly methods?: Readonly<Record<string, MethodContract>>;
  /** By event type. */
  readonly notifications?: Readonly<Record<string, ContractNotification>>;
}

export type Contract<C extends ContractParts = ContractParts> = C;

/**
 * A contract between the programs of a service, over the schemas of any library that speaks Standard Schema (zod,
 * valibot, …; `wrapSchema` for others). `contractClient` and `contractServer` have its types and check every value at the
 * edge; `describeContract` makes JSON of it that `diffContracts` compares.
 * @throws TypeError for names that no peer could call.
 */
export function defineContract<const C extends ContractParts>(parts: C): C {
  for (const name of Object.keys(parts.methods ?? {})) {
    if (name === '' || name.startsWith('_')) throw new TypeError(`"${name}" is private and cannot be called`);
    if (name === 'then' || name === 'open') throw new TypeError(`"${name}" is a word of the typed client`);
  }
  if (parts.version !== undefined && !/^\d+\.\d+$/.test(parts.version))
    throw new TypeError(`"${parts.version}" is not a version of the form major.minor`);
  return parts;
}

/** The methods of a contract; none where it has none. */
export type MethodsOf<C extends ContractParts> =
  C['methods'] extends Readonly<Record<string, MethodContract>> ? C['methods'] : Record<never, never>;
