import {
  type AppendedEvent,
  type DeploymentEvent,
  type DeploymentState,
  apply,
  emptyDeployment,
} from '@torcello/contracts';
import { type Random, hexId } from '@torcello/platform';
import type { DeploymentsClient } from '../deployments-client.js';
import type { Lease } from '../lease.js';
import { checkCarriedOut } from './known-events.js';

/** An event to be written, with the letter that goes beside it. Its id is made once, before the first try. */
export type NewEvent = AppendedEvent;

export interface HistoryParts {
  readonly client: DeploymentsClient;
  readonly lease: Lease;
  readonly random: Random;
  /** How long it was when the deployment was claimed. */
  readonly claimedLength: number;
}

/** The history of one deployment as its holder sees it: the events so far folded into a state, and the only way to write. */
export class History {
  readonly #client: DeploymentsClient;
  readonly #lease: Lease;
  readonly #random: Random;
  readonly #claimedLength: number;
  #state: DeploymentState = emptyDeployment;
  #length = 0;

  constructor(parts: HistoryParts) {
    this.#client = parts.client;
    this.#lease = parts.lease;
    this.#random = parts.random;
    this.#claimedLength = parts.claimedLength;
  }

  get state(): DeploymentState {
    return this.#state;
  }
  get length(): number {
    return this.#length;
  }

  event(event: DeploymentEvent, letter?: Uint8Array): NewEvent {
    const id = hexId(this.#random);
    return letter === undefined ? { id, event } : { id, event, letter: Buffer.from(letter).toString('base64') };
  }

  /** Reads what is new. @throws UnknownEventError */
  async catchUp(): Promise<void> {
    for (;;) {
      const page = await this.#client.load(
        { deploymentId: this.#lease.deploymentId, from: this.#length },
        this.#lease.signal,
      );
      this.#fold(page.events);
      if (this.#length >= page.length || page.events.length === 0) return;
    }
  }

  /** Writes decisions. False: somebody else wrote first, nothing was written, and the state is another one now. */
  async decide(events: readonly NewEvent[]): Promise<boolean> {
    this.#lease.check();
    const { deploymentId, epoch, signal } = this.#lease;
    const answer = await this.#client.append({ deploymentId, epoch, expectedLength: this.#length, events }, signal);
    if (answer.appended) {
      this.#fold(events.map(({ event }) => event));
      return true;
    }
    if (answer.why === 'fenced') {
      this.#lease.end('FENCED', 'the deployment has a newer holder');
      signal.throwIfAborted();
    } else {
      this.#fold(answer.missing);
      if (this.#length < answer.length) await this.catchUp();
    }
    return false;
  }

  /** Writes what has happened already: it stays true whoever wrote in between. Not after the deployment's end. */
  async record(events: readonly NewEvent[]): Promise<void> {
    while (this.#state.result === undefined) {
      if (await this.decide(events)) return;
    }
  }

  #fold(events: readonly DeploymentEvent[]): void {
    checkCarriedOut(events);
    this.#state = events.reduce(apply, this.#state);
    this.#length += events.length;
    this.#lease.seenLength = this.#length;
    this.#leaveWhenResumed(events);
  }

  /** A resume may come with other packages and for other agents: only a new claim brings the model that fits. */
  #leaveWhenResumed(events: readonly DeploymentEvent[]): void {
    const newOnes = events.slice(Math.max(0, this.#claimedLength - (this.#length - events.length)));
    if (!newOnes.some(({ type }) => type === 'resumed')) return;
    this.#lease.end('HANDED_OVER', 'the deployment was resumed and has to be claimed anew');
    this.#lease.signal.throwIfAborted();
  }
}
