import type { Transport } from '@torcello/messaging';

/** What a conductor asks of a machine. */
export interface Plan {
  readonly id: string;
  readonly text: string;
}

export interface Answer {
  readonly planId: string;
  readonly text: string;
}

/** A program of one of the two sides; each has a transport of its own, whose end is the end of the program. */
export interface Side {
  stop(): Promise<void>;
}

/** One way to get a plan to a machine and its answer back. */
export interface Pattern {
  readonly name: string;
  /**
   * The conductor: listens for answers, and sends a plan. `send` settles when the way itself has nothing more to do.
   * @param ttlMs - what a queue made for a machine lives without a reader, where the way makes one.
   */
  conductor(
    transport: Transport,
    onAnswer: (answer: Answer) => void,
    ttlMs: number,
  ): Promise<Side & { send(plan: Plan): Promise<void> }>;
  /** The agent of the one machine. */
  agent(transport: Transport, work: (plan: Plan) => Promise<string>): Promise<Side>;
}

/** Murano's `ttl`, the `x-expires` of an agent's queue: a day. */
export const muranoTtlMs = 86_400_000;

export const encode = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
export const decode = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T;
