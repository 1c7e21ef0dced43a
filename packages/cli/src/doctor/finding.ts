/** One thing that the doctor has looked at. */
export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'failed';
  readonly text: string;
  /** What changes it. */
  readonly cure?: string;
}

/** What the API says of itself, `GET /v1/doctor`. */
export interface ApiExamination {
  readonly version: string;
  readonly node: string;
  readonly now: string;
  readonly transport: {
    readonly url: string | null;
    readonly state: string;
    readonly capabilities?: Readonly<Record<string, boolean | number>>;
  };
  readonly carrier?: string;
  readonly missing?: readonly string[];
  readonly lettersWaiting: number;
  readonly agents: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
}

/** What a program says that connected to a broker once. */
export type TransportCheck =
  | {
      readonly reached: true;
      readonly url: string;
      readonly capabilities: Readonly<Record<string, boolean | number>>;
      readonly carrier: string;
      readonly missing: readonly string[];
    }
  | { readonly reached: false; readonly url: string; readonly code: string; readonly text: string };

export interface Diagnosis {
  readonly version: string;
  readonly node: string;
  /** Where the API is; null when it does not answer. */
  readonly api: { readonly url: string; readonly version: string; readonly node: string } | null;
  /** The API's clock minus ours, and half the time of the question: so much it may be wrong. */
  readonly clock: { readonly offsetMs: number; readonly uncertaintyMs: number } | null;
  readonly transport: {
    readonly url: string | null;
    readonly state: string;
    readonly capabilities?: Readonly<Record<string, boolean | number>>;
  } | null;
  /** `mailboxes` or `handshake`; null where no broker was reached. */
  readonly carrier: string | null;
  readonly missing: readonly string[];
  readonly findings: readonly Finding[];
}
