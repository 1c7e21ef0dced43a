import { limits, outputHeaders } from '@torcello/contracts/agent';
import { sleep, type Clock, type Logger } from '@torcello/platform';
import { OutputExcess, sha256Of } from './output-excess.js';
import type { Journal } from './journal.js';
import { announce } from './points.js';
import type { OutputFile, StepMachine } from './step-machine.js';
import type { Uplink } from './uplink.js';
import { Wake } from './wake.js';

/** A step whose output is to be sent. */
export interface OutputOf {
  readonly deploymentId: string;
  readonly planId: string;
  /** Place of the step in its plan. */
  readonly index: number;
  readonly step: string;
  readonly file: string;
}

interface Stream extends OutputOf {
  sentBytes: number;
  /** Where the chunk ends that may be on its way; it is never sent with another end. */
  sendingEnd: number;
  hasEnded: boolean;
  /** What is beyond the limit; undefined while nothing is. */
  excess: OutputExcess | undefined;
  /** The mark behind the last byte, once it is made: sent again, it is the same. */
  end: OutputEnd | undefined;
}

/** What the last message of a step says: how much it wrote, and the SHA-256 of that where it is known. */
interface OutputEnd {
  readonly offset: number;
  readonly sha256: string | undefined;
}

export interface OutputOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly journal: Journal;
  readonly machine: StepMachine;
  /** Gives the way up; called when there is the first output to send, so that an idle agent holds no connection for it. */
  readonly uplink: () => Promise<Uplink>;
  /** Called when the last byte of a step that has ended is with the broker. */
  readonly onSent: (planId: string) => void;
  /** Default: the contracts' `outputRunBytesMax`. */
  readonly runBytesMax?: number;
  /** So much beyond the limit is given back to the disk at a time. Default: 1 MiB. */
  readonly excessBytesMax?: number;
}

const pollMs = 200;
const retryMsMax = 5_000;
const publishTimeoutMs = 10_000;
const excessBytesMax = 1_048_576;
const chunkBytesMax = limits.outputChunkBytesMax.value;

/**
 * Sends what steps write, as bytes, in chunks that say their offset. It reads the files that the steps write to, one
 * chunk at a time, and goes on only after the broker's confirm: the file is the queue, so output costs no memory, and
 * after a restart it goes on from the last confirmed offset. What is over the limit of a run is neither sent nor kept, but
 * counted and hashed: the mark at the end tells length and SHA-256 of all that the step wrote.
 */
export class OutputSpool {
  readonly #options: OutputOptions;
  readonly #runBytesMax: number;
  readonly #streams = new Map<string, Stream>();
  readonly #wake = new Wake();

  constructor(options: OutputOptions) {
    this.#options = options;
    this.#runBytesMax = options.runBytesMax ?? limits.outputRunBytesMax.value;
  }

  /** Begins, or goes on, to send a step's output. Calling it again for the same step changes nothing. */
  follow(of: OutputOf): void {
    const key = keyOf(of.planId, of.index);
    if (this.#streams.has(key)) return;
    const state = this.#options.journal.book.plan(of.planId)?.steps.get(of.index);
    if (state?.isOutputComplete === true) return;
    this.#streams.set(key, {
      ...of,
      sentBytes: state?.outputSentBytes ?? 0,
      sendingEnd: state?.outputSendingEnd ?? 0,
      hasEnded: state?.result !== undefined,
      excess: undefined,
      end: undefined,
    });
    this.#wake.call();
  }

  /** The step will write no more: the rest of it is sent, then a mark. */
  ended(planId: string, index: number): void {
    const stream = this.#streams.get(keyOf(planId, index));
    if (stream !== undefined) stream.hasEnded = true;
    this.#wake.call();
  }

  /** Bytes of the step that were over the limit, and that the length of its file does not count any more. */
  lostBytes(planId: string, index: number): number {
    return this.#options.journal.book.plan(planId)?.steps.get(index)?.outputLostBytes ?? 0;
  }

  /** Whether something of the plan is still to be sent. */
  isPending(planId: string): boolean {
    return [...this.#streams.values()].some((stream) => stream.planId === planId);
  }

  /** Sends until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (let retryMs = pollMs; !signal.aborted;) {
      try {
        const isMore = await this.#round();
        retryMs = pollMs;
        if (!isMore) await this.#wait(signal);
      } catch (error) {
        if (signal.aborted || !this.#options.journal.isOpen) return;
        this.#options.logger.warn('output waits: it could not be sent', { error });
        await sleep(this.#options.clock, retryMs, signal).catch(() => undefined);
        retryMs = Math.min(retryMs * 2, retryMsMax);
      }
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const isIdle = this.#streams.size === 0;
    await this.#wake.wait({ clock: this.#options.clock, signal, ...(isIdle ? {} : { timeoutMs: pollMs }) });
  }

  /** One chunk of every stream that has one. True: there may be more at once. */
  async #round(): Promise<boolean> {
    let isMore = false;
    for (const [key, stream] of this.#streams) {
      const file = await this.#options.machine.openOutput(stream.file);
      try {
        if (await this.#step(key, stream, file)) isMore = true;
      } finally {
        await file?.close();
      }
    }
    return isMore;
  }

  async #step(key: string, stream: Stream, file: OutputFile | undefined): Promise<boolean> {
    // Asked before reading: what was written before the end is all read then.
    const { hasEnded } = stream;
    const isBehind = file !== undefined && (await this.#tendExcess(stream, file));
    const body = file === undefined ? Buffer.alloc(0) : await this.#read(stream, file);
    if (body.length > 0) {
      await this.#sendChunk(stream, body);
      // A step that writes a little all the time is sent with a breath in between, not line by line.
      return hasEnded || isBehind || body.length === chunkBytesMax;
    }
    if (hasEnded) {
      stream.end ??= await this.#endOf(stream, file);
      await this.#sendEnd(stream, stream.end);
      this.#finish(key, stream.planId);
      return false;
    }
    return isBehind;
  }

  async #sendChunk(stream: Stream, body: Uint8Array): Promise<void> {
    const { journal } = this.#options;
    const { planId, index, sentBytes } = stream;
    const end = sentBytes + body.length;
    if (stream.sendingEnd !== end) {
      stream.sendingEnd = end;
      await journal.write({ type: 'outputSending', planId, step: index, end }, { sync: false });
    }
    await this.#publish(stream, { body, offset: sentBytes, isLast: false });
    stream.sentBytes = end;
    await journal.write({ type: 'outputSent', planId, step: index, offset: end, isLast: false }, { sync: false });
  }

  async #endOf(stream: Stream, file: OutputFile | undefined): Promise<OutputEnd> {
    if (file === undefined) return { offset: stream.sentBytes, sha256: undefined };
    if (stream.excess !== undefined) return await stream.excess.end(file);
    return { offset: stream.sentBytes, sha256: await sha256Of(file, stream.sentBytes) };
  }

  /** An empty chunk at the end of all that was written. */
  async #sendEnd(stream: Stream, { offset, sha256 }: OutputEnd): Promise<void> {
    const { planId, index, sentBytes } = stream;
    await this.#publish(stream, { body: new Uint8Array(), offset, isLast: true, sha256 });
    await this.#options.journal.write(
      { type: 'outputSent', planId, step: index, offset: sentBytes, isLast: true },
      { sync: false },
    );
  }

  #finish(key: string, planId: string): void {
    this.#streams.delete(key);
    if (!this.isPending(planId)) this.#options.onSent(planId);
  }

  async #read(stream: Stream, file: OutputFile): Promise<Buffer> {
    const { sentBytes, sendingEnd } = stream;
    const wanted = sendingEnd > sentBytes ? sendingEnd - sentBytes : chunkBytesMax;
    const length = Math.min(wanted, this.#runBytesMax - sentBytes);
    if (length <= 0) return Buffer.alloc(0);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, sentBytes);
    return buffer.subarray(0, bytesRead);
  }

  async #tendExcess(stream: Stream, file: OutputFile): Promise<boolean> {
    const { size } = await file.stat();
    const { planId, index } = stream;
    const { journal } = this.#options;
    const lostBytes = journal.book.plan(planId)?.steps.get(index)?.outputLostBytes;
    if (stream.excess === undefined && size <= this.#runBytesMax && lostBytes === undefined) return false;
    stream.excess ??= new OutputExcess({
      path: stream.file,
      from: this.#runBytesMax,
      bytesMax: this.#options.excessBytesMax ?? excessBytesMax,
      lostBytes,
      onLoss: (bytes) => journal.write({ type: 'outputCut', planId, step: index, lostBytes: bytes }),
    });
    return await stream.excess.tend(file);
  }

  async #publish(
    stream: Stream,
    chunk: {
      readonly body: Uint8Array;
      readonly offset: number;
      readonly isLast: boolean;
      readonly sha256?: string | undefined;
    },
  ): Promise<void> {
    const { deploymentId, planId, index, step } = stream;
    const { body, offset, isLast, sha256 } = chunk;
    const headers = {
      [outputHeaders.deploymentId]: deploymentId,
      [outputHeaders.planId]: planId,
      [outputHeaders.step]: step,
      [outputHeaders.offset]: offset,
      [outputHeaders.last]: isLast,
      ...(sha256 === undefined ? {} : { [outputHeaders.sha256]: sha256 }),
    };
    const id = `${planId}.${index}.${isLast ? 'end' : offset}`;
    const send = await this.#options.uplink();
    await send({ kind: 'output', id, body, headers, timeoutMs: publishTimeoutMs });
    announce('outputPublished', { planId, step });
  }
}

function keyOf(planId: string, index: number): string {
  return `${planId}/${index}`;
}
