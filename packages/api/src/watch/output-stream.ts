import type { ServerResponse } from 'node:http';
import { Background } from '@torcello/platform';
import type { Clock, Logger, Timer } from '@torcello/platform';
import type { Db } from '../database/store.js';
import type { Notices } from '../notices.js';

export interface OutputStreamOptions {
  readonly db: Db;
  readonly notices: Notices;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly deploymentId: string;
  /** Name of a machine. */
  readonly machine: string | undefined;
  readonly step: string | undefined;
  readonly response: ServerResponse;
  /** The last piece that the client has; 0 for none. */
  readonly lastSequence: number;
  readonly onEnd: () => void;
}

interface Piece {
  readonly plan_id: string;
  readonly machine_name: string;
  readonly stage: string;
  readonly step: string;
  readonly start: number;
  readonly body: Uint8Array;
  readonly sequence: number;
}

/** The step wrote more than is kept. */
interface Cut {
  readonly plan_id: string;
  readonly machine_name: string;
  readonly stage: string;
  readonly step: string;
  readonly total_bytes: number;
  readonly written_bytes: number | null;
  readonly sha256: string | null;
  readonly sequence: number;
}

interface Told {
  readonly name: 'chunk' | 'cut';
  readonly data: unknown;
}

const keepAliveMs = 15_000;
/** Places of pieces that are looked up together. */
const placesPerRead = 1_000;
/** A megabyte at most: every follower has so much in hand, and a few times that while it is made into text. */
const piecesPerRead = 16;

/**
 * The output of a deployment as server-sent events, live. Each `chunk` carries its byte offset and, as id, the place
 * where a client that was cut off goes on: no byte is left out and none is told twice. Pieces that came out of order wait
 * for those before them. `data` holds the exact bytes (Base64); `text` is for display, and a character that two pieces
 * share shows as a replacement there. Where a step wrote more than is kept, one `cut` behind its pieces tells how much
 * that was in all, with its digest.
 */
export class OutputStream {
  readonly #options: OutputStreamOptions;
  readonly #background: Background;
  /** How far each output was told, in bytes, by plan and step. */
  readonly #told = new Map<string, number>();
  readonly #early = new Map<string, Piece[]>();
  /** Cuts whose last piece has not come yet. */
  readonly #cuts = new Map<string, Cut>();
  readonly #unlisten: () => void;
  #sequence = 0;
  #isReading = false;
  #isWanted = false;
  #isOver = false;
  #timer: Timer | undefined;

  constructor(options: OutputStreamOptions) {
    this.#options = options;
    this.#background = new Background((what, error) => options.logger.error('a watch failed', { what, error }));
    this.#unlisten = options.notices.listen((notice) => {
      const isOurs = 'deploymentId' in notice && notice.deploymentId === options.deploymentId;
      if (isOurs && (notice.type === 'output' || notice.type === 'history')) this.#wake();
    });
    options.response.on('close', () => this.end());
  }

  open(): void {
    this.#options.response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    // Nothing may be there to be told for long, and the follower wants to know that it is one.
    this.#options.response.flushHeaders();
    this.#keepAlive();
    this.#wake();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unlisten();
    this.#timer?.cancel();
    this.#options.response.end();
    this.#options.onEnd();
  }

  #wake(): void {
    this.#isWanted = true;
    if (this.#isReading || this.#isOver) return;
    this.#isReading = true;
    this.#background.run('output', async () => {
      try {
        while (this.#isWanted && !this.#isOver) {
          this.#isWanted = false;
          await this.#read();
        }
      } finally {
        this.#isReading = false;
      }
    });
  }

  async #read(): Promise<void> {
    const isFinished = await this.#isFinished();
    for (let isLast = false; !isLast && !this.#isOver;) {
      const places = await this.#places();
      isLast = places.length < placesPerRead;
      const cuts = await this.#newCuts(isLast ? Number.MAX_SAFE_INTEGER : (places.at(-1)?.sequence ?? 0));
      const found = [...places, ...cuts].toSorted((a, b) => a.sequence - b.sequence);
      while (found.length > 0 && !this.#isOver) await this.#takeAll(found.splice(0, piecesPerRead));
    }
    if (!isFinished || this.#isOver) return;
    // What is missing by now does not come any more.
    for (const cut of this.#cuts.values()) this.#tell([toldCut(cut)], this.#sequence + 1);
    this.#cuts.clear();
    this.#write('finished', {}, this.#sequence);
    this.end();
  }

  async #takeAll(found: readonly (Cut | Pick<Piece, 'sequence'>)[]): Promise<void> {
    const pieces = await this.#pieces(found.map(({ sequence }) => sequence));
    const cuts = found.filter((each) => 'total_bytes' in each);
    for (const each of [...pieces, ...cuts].toSorted((a, b) => a.sequence - b.sequence)) {
      if ('body' in each) this.#take(each);
      else this.#takeCut(each);
      await this.#drained();
    }
    // What was not asked for, or is gone, is not looked up again.
    this.#sequence = Math.max(this.#sequence, found.at(-1)?.sequence ?? 0);
  }

  /** A slow reader is waited for: an output may be larger than what may wait for it in memory. */
  async #drained(): Promise<void> {
    const { response } = this.#options;
    if (!response.writableNeedDrain || this.#isOver) return;
    await new Promise<void>((resolve) => {
      const goOn = (): void => {
        response.off('drain', goOn).off('close', goOn);
        resolve();
      };
      response.on('drain', goOn).on('close', goOn);
    });
  }

  /** Of the next pieces of the deployment, by an index alone: put in order with their bytes, all of them would be read. */
  async #places(): Promise<readonly Pick<Piece, 'sequence'>[]> {
    const { db, deploymentId, machine } = this.#options;
    return db
      .selectFrom('plans')
      .innerJoin('output_chunks', 'output_chunks.plan_id', 'plans.plan_id')
      .select('output_chunks.sequence as sequence')
      .where('plans.deployment_id', '=', deploymentId)
      .where('output_chunks.sequence', '>', this.#sequence)
      .$if(machine !== undefined, (query) => query.where('plans.machine_name', '=', machine ?? ''))
      .orderBy('output_chunks.sequence')
      .limit(placesPerRead)
      .execute();
  }

  async #pieces(sequences: readonly number[]): Promise<readonly Piece[]> {
    const { db, step } = this.#options;
    return db
      .selectFrom('output_chunks')
      .innerJoin('plans', 'plans.plan_id', 'output_chunks.plan_id')
      .select(['plans.plan_id', 'plans.machine_name', 'plans.stage', 'output_chunks.step', 'start', 'body'])
      .select('output_chunks.sequence as sequence')
      .where('output_chunks.sequence', 'in', sequences)
      .$if(step !== undefined, (query) => query.where('output_chunks.step', '=', step ?? ''))
      .execute();
  }

  async #newCuts(upTo: number): Promise<readonly Cut[]> {
    const { db, deploymentId, machine, step } = this.#options;
    const rows = await db
      .selectFrom('outputs')
      .innerJoin('plans', 'plans.plan_id', 'outputs.plan_id')
      .select(['plans.plan_id', 'machine_name', 'stage', 'outputs.step', 'total_bytes', 'written_bytes', 'sha256'])
      .select('cut_sequence')
      .where('plans.deployment_id', '=', deploymentId)
      .where('cut_sequence', '>', this.#sequence)
      .where('cut_sequence', '<=', upTo)
      .$if(machine !== undefined, (query) => query.where('plans.machine_name', '=', machine ?? ''))
      .$if(step !== undefined, (query) => query.where('outputs.step', '=', step ?? ''))
      .execute();
    return rows.map(({ cut_sequence, ...row }) => ({ ...row, sequence: cut_sequence ?? 0 }));
  }

  async #isFinished(): Promise<boolean> {
    const { db, deploymentId } = this.#options;
    const row = await db
      .selectFrom('deployments')
      .select('finished_at')
      .where('id', '=', deploymentId)
      .executeTakeFirst();
    return row === undefined || row.finished_at !== null;
  }

  /** One piece may be what others waited for: they are told together. */
  #take(piece: Piece): void {
    this.#sequence = Math.max(this.#sequence, piece.sequence);
    const key = `${piece.plan_id} ${piece.step}`;
    const told: Told[] = [];
    const waiting = [...(this.#early.get(key) ?? []), piece].toSorted((a, b) => a.start - b.start);
    for (let next = waiting[0]; next !== undefined && next.start <= (this.#told.get(key) ?? 0); next = waiting[0]) {
      waiting.shift();
      told.push(...this.#chunk(key, next));
    }
    this.#early.set(key, waiting);
    const cut = this.#cuts.get(key);
    if (cut !== undefined) told.push(...this.#cut(cut));
    this.#tell(told, piece.sequence);
  }

  #takeCut(cut: Cut): void {
    this.#sequence = Math.max(this.#sequence, cut.sequence);
    this.#tell(this.#cut(cut), cut.sequence);
  }

  #chunk(key: string, piece: Piece): readonly Told[] {
    const at = this.#told.get(key) ?? 0;
    const bytes = piece.body.subarray(at - piece.start);
    if (bytes.length === 0) return [];
    this.#told.set(key, at + bytes.length);
    const { plan_id: planId, machine_name: machine, stage, step } = piece;
    const data = Buffer.from(bytes).toString('base64');
    const text = new TextDecoder().decode(bytes);
    return [{ name: 'chunk', data: { planId, machine, stage, step, offset: at, bytes: bytes.length, text, data } }];
  }

  /** A cut waits until everything is told that is kept. */
  #cut(cut: Cut): readonly Told[] {
    const key = `${cut.plan_id} ${cut.step}`;
    if ((this.#told.get(key) ?? 0) < cut.total_bytes) {
      this.#cuts.set(key, cut);
      return [];
    }
    this.#cuts.delete(key);
    return [toldCut(cut)];
  }

  /**
   * What the client has already is left out. Only the last event of those that belong together carries the id: who is cut
   * off between them gets all of them once more, and none is lost.
   */
  #tell(events: readonly Told[], sequence: number): void {
    if (sequence <= this.#options.lastSequence) return;
    events.forEach(({ name, data }, place) =>
      this.#write(name, data, place === events.length - 1 ? sequence : undefined),
    );
  }

  #write(name: string, data: unknown, id: number | undefined): void {
    const { response } = this.#options;
    if (this.#isOver) return;
    response.write(`event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
  }

  #keepAlive(): void {
    if (this.#isOver) return;
    this.#timer = this.#options.clock.after(keepAliveMs, () => {
      this.#options.response.write(': alive\n\n');
      this.#keepAlive();
    });
  }
}

function toldCut(cut: Cut): Told {
  const { plan_id: planId, machine_name: machine, stage, step, total_bytes: offset } = cut;
  const digest = cut.sha256 === null ? {} : { sha256: cut.sha256 };
  const totalBytes = cut.written_bytes ?? offset;
  return { name: 'cut', data: { planId, machine, stage, step, offset, totalBytes, ...digest } };
}
