import type { ApplicationDefinition } from './application.js';
import type { DeploymentAction, DeploymentEvent } from './deployment.js';

/**
 * RPC of the conductors to the API, topic `deployments`. A claim carries holder and nonce and repeats its answer, an
 * append carries event ids and repeats its answer: every call may be made again after a lost answer.
 */
export interface DeploymentsRpc {
  claim(request: ClaimRequest): Promise<ClaimAnswer>;
  renew(request: RenewRequest): Promise<RenewAnswer>;
  load(request: LoadRequest): Promise<LoadAnswer>;
  append(request: AppendRequest): Promise<AppendAnswer>;
  letter(request: LetterRequest): Promise<LetterAnswer>;
  release(request: ReleaseRequest): Promise<ReleaseAnswer>;
  attempt(request: AttemptRequest): Promise<AttemptAnswer>;
}

export interface ClaimRequest {
  readonly deploymentId: string;
  /** The conductor's process; random, made at its start. */
  readonly holder: string;
  /** Random for each claim; the same again gets the same answer while the lease stands. */
  readonly nonce: string;
  readonly knownEvents: readonly string[];
}
export type ClaimAnswer =
  | {
      readonly claimed: true;
      readonly epoch: number;
      /** Length of the history. */
      readonly length: number;
      /** The lease ends so long after the claim unless it is renewed. */
      readonly leaseMs: number;
      readonly model: DeploymentModel;
    }
  | { readonly claimed: false; readonly why: 'held' | 'finished' | 'unknownDeployment' | 'unknownEvents' };

/** What a deployment works on: fixed when it was accepted. */
export interface DeploymentModel {
  readonly deploymentId: string;
  readonly action: DeploymentAction;
  readonly environment: { readonly id: string; readonly name: string };
  readonly services: readonly DeploymentService[];
  readonly machines: readonly DeploymentMachine[];
  /** Plans that an agent gets later than this are refused as expired. Milliseconds since 1970. */
  readonly startByMs?: number;
  /** Plans of deployments that this one supersedes, by machine id. */
  readonly replaces?: Readonly<Record<string, readonly string[]>>;
  /** Base of the API's HTTP address and a token good for the packages of this deployment only. */
  readonly filesUrl: string;
  readonly filesToken: string;
}
export interface DeploymentService {
  readonly id: string;
  readonly type: string;
  readonly properties: Readonly<Record<string, unknown>>;
  /** The package it came in; `digest` is SHA-256 (hexadecimal) of the archive at `filesUrl` + `path`. */
  readonly package: { readonly id: string; readonly digest: string; readonly path: string };
  /** `application.yaml` of the package, parsed and checked when it was imported. Plans are made from this. */
  readonly definition: ApplicationDefinition;
}
export interface DeploymentMachine {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  /** Place among the machines of its role, from 0. */
  readonly index: number;
  readonly mailbox: string;
  /** The enrolment a plan made now is for. */
  readonly enrolment: number;
  /** Of a machine with a `muranoagent`: the highest Stamp that a plan for it ever had, as far as the API knows. */
  readonly stampAfter?: number;
}

export interface RenewRequest {
  readonly holder: string;
  readonly leases: readonly { readonly deploymentId: string; readonly epoch: number }[];
}
export interface RenewAnswer {
  readonly leases: readonly { readonly deploymentId: string; readonly isHeld: boolean; readonly length: number }[];
}

export interface LoadRequest {
  readonly deploymentId: string;
  /** Index of the first event wanted. */
  readonly from: number;
}
export interface LoadAnswer {
  readonly events: readonly DeploymentEvent[];
  readonly length: number;
}

export interface AppendRequest {
  readonly deploymentId: string;
  readonly epoch: number;
  readonly expectedLength: number;
  readonly events: readonly AppendedEvent[];
}
export interface AppendedEvent {
  /** Random, made once: the same ids again answer as before. */
  readonly id: string;
  readonly event: DeploymentEvent;
  /** Of a `planScheduled`: the exact bytes of its letter, Base64. Kept beside the history, not in it. */
  readonly letter?: string;
}
export type AppendAnswer =
  | { readonly appended: true; readonly length: number }
  /** Somebody else wrote first: `missing` are the events from `expectedLength` on (perhaps only a first page). */
  | {
      readonly appended: false;
      readonly why: 'length';
      readonly length: number;
      readonly missing: readonly DeploymentEvent[];
    }
  | { readonly appended: false; readonly why: 'fenced' };

export interface LetterRequest {
  readonly deploymentId: string;
  readonly planId: string;
}
export interface LetterAnswer {
  readonly mailbox: string;
  /** Base64. */
  readonly letter: string;
}

export interface ReleaseRequest {
  readonly deploymentId: string;
  readonly epoch: number;
  /** How much of the history the holder has seen; when there is more, the lease is kept and `released` is false. */
  readonly length: number;
}
export interface ReleaseAnswer {
  readonly released: boolean;
  readonly length: number;
}

/** What becomes of an attempt at a hint. The API counts, so that it counts whoever ends in the middle of one. */
export interface AttemptRequest {
  /** Random, made once for each request: the same again gets the same answer. */
  readonly nonce: string;
  /**
   * `begins` before a hint is read that somebody may have seen before. `failed` when it cannot be handled; it counts then,
   * unless it had `begun`. `succeeded`: its attempts are forgotten. `givenBack`: this one was none.
   */
  readonly stage: 'begins' | 'failed' | 'succeeded' | 'givenBack';
  /** Of `failed`. */
  readonly hasBegun?: boolean;
  /** Of `failed`: why it cannot be handled. */
  readonly reason?: string;
  readonly message: HintMessage;
}
export interface AttemptAnswer {
  /** It was tried often enough and lies with the dead letters: it is to be settled, and not tried (again). */
  readonly isBuried: boolean;
}
/** A message of the mailbox `tasks` as it is. */
export interface HintMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly messageId?: string;
  readonly contentType?: string;
  /** A JSON object. */
  readonly headers: string;
  /** Base64. Of a message that is too large only its beginning. */
  readonly body: string;
  /** Length of the whole body. */
  readonly bytes: number;
}

/** Body of a letter in the mailbox `tasks`, JSON. */
export interface TaskHint {
  readonly deploymentId: string;
}
