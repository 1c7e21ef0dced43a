import type { Clock, Timer } from '@torcello/platform';
import picocolors from 'picocolors';
import type { PlanRow } from '../client/views.js';
import type { CliContext, TextSink } from '../context.js';
import { hasEnded, hasFailed, isSilent, planLine, planTable, waitOf } from '../output/deployment-text.js';
import { LiveRegion } from '../output/live-region.js';
import { cut } from '../output/table.js';
import { safeText } from '../output/text.js';
import { waitingLines } from '../output/why-text.js';

/** Shows how the plans of a deployment move on. */
export interface PlanDisplay {
  plan(plan: PlanRow): void;
  /** A line for people, beside the table. */
  note(text: string): void;
  /** Shows the last state; nothing is drawn after it. Safe to call twice. */
  close(): void;
}

/** A live table on a terminal, coloured unless `NO_COLOR` is set; plain lines in a pipe. */
export function planDisplay(context: Pick<CliContext, 'clock' | 'env'>, sink: TextSink): PlanDisplay {
  if (sink.isTTY !== true) return new LineDisplay(sink);
  return new TableDisplay(sink, context.clock, paintFor((context.env['NO_COLOR'] ?? '') === ''));
}

type Paint = (plan: PlanRow, line: string) => string;

function paintFor(isColoured: boolean): Paint {
  const { red, green, cyan, yellow } = picocolors.createColors(isColoured);
  return (plan, line) => {
    if (hasFailed(plan)) return red(line);
    if (hasEnded(plan)) return green(line);
    if (isSilent(plan)) return yellow(line);
    return plan.state === 'running' ? cyan(line) : line;
  };
}

/** Shows nothing; for `--json`. */
export const silentDisplay: PlanDisplay = { plan: () => undefined, note: () => undefined, close: () => undefined };

const redrawMs = 100;
const ageRedrawMs = 1_000;
/** Lines of the window that the table leaves free: its title, the line "and more", the prompt. */
const rowsKeptFree = 4;

class TableDisplay implements PlanDisplay {
  readonly #sink: TextSink;
  readonly #clock: Clock;
  readonly #paint: Paint;
  readonly #region: LiveRegion;
  readonly #plans = new Map<string, PlanRow>();
  #timer: Timer | undefined;
  #isUrgent = false;
  #isClosed = false;

  constructor(sink: TextSink, clock: Clock, paint: Paint) {
    this.#sink = sink;
    this.#clock = clock;
    this.#paint = paint;
    this.#region = new LiveRegion(sink);
  }

  plan(plan: PlanRow): void {
    this.#plans.set(plan.planId, plan);
    if (this.#isUrgent) return;
    this.#isUrgent = true;
    this.#drawIn(redrawMs);
  }

  note(text: string): void {
    this.#region.printAbove([safeText(text)]);
    this.#draw();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#draw();
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#region.release();
  }

  #drawIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(delayMs, () => this.#draw());
  }

  #draw(): void {
    this.#isUrgent = false;
    if (this.#plans.size > 0) {
      const { columns, rows } = this.#sink;
      const plans = [...this.#plans.values()];
      const nowMs = this.#clock.now();
      const waiting = waitingLines(plans, nowMs).map((line) => cut(line, columns ?? Number.POSITIVE_INFINITY));
      const rowsMax = rows === undefined ? undefined : Math.max(1, rows - rowsKeptFree - waiting.length);
      const table = planTable(plans, nowMs, { widthMax: columns, rowsMax, paint: this.#paint });
      this.#region.draw([...table, ...waiting]);
    }
    this.#drawIn(ageRedrawMs);
  }
}

class LineDisplay implements PlanDisplay {
  readonly #sink: TextSink;
  readonly #shown = new Map<string, string>();

  constructor(sink: TextSink) {
    this.#sink = sink;
  }

  plan(plan: PlanRow): void {
    const what = `${plan.state} ${plan.step ?? ''} ${waitOf(plan)?.code ?? ''}`;
    if (this.#shown.get(plan.planId) === what) return;
    this.#shown.set(plan.planId, what);
    this.#sink.write(`${planLine(plan)}\n`);
  }

  note(text: string): void {
    this.#sink.write(`${safeText(text)}\n`);
  }

  close(): void {
    this.#shown.clear();
  }
}
