/** Where in a package something is wrong. Lines and columns count from 1. */
export interface SourcePlace {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

/** Finds the place of a text within the value that is being read; asked only when something is wrong. */
export type FindPlace = (text?: string) => SourcePlace;

/** A package that cannot be turned into a plan: its author or the user has to change something. */
export class CompileError extends Error {
  readonly code: CompileErrorCode;
  readonly place: SourcePlace;
  readonly problem: string;
  /** What to do about it, one sentence. */
  readonly cure: string;

  constructor(code: CompileErrorCode, place: SourcePlace, what: Problem) {
    const subject = what.subject === undefined ? '' : `${what.subject}: `;
    super(`${subject}${describePlace(place)}: ${what.problem}; ${what.cure}`);
    this.name = 'CompileError';
    this.code = code;
    this.place = place;
    this.problem = what.problem;
    this.cure = what.cure;
  }

  /** The same error, saying which application it is about. */
  about(subject: string): CompileError {
    return new CompileError(this.code, this.place, { subject, problem: this.problem, cure: this.cure });
  }
}

interface Problem {
  readonly problem: string;
  readonly cure: string;
  readonly subject?: string;
}

export type CompileErrorCode =
  | 'PACKAGE_UNREADABLE'
  | 'PACKAGE_NOT_FOUND'
  | 'DEFINITION_INVALID'
  | 'FILE_MISSING'
  | 'STAGE_UNKNOWN'
  | 'STEP_UNKNOWN'
  | 'MACHINE_UNKNOWN'
  | 'EXPRESSION_INVALID'
  | 'EXPRESSION_FAILED'
  | 'EXPRESSION_TOO_LARGE'
  | 'VALUE_UNSUITABLE'
  | 'TEMPLATE_INVALID'
  | 'TEMPLATE_FAILED'
  | 'STEP_INVALID'
  | 'PLAN_TOO_LARGE';

function describePlace({ file, line, column }: SourcePlace): string {
  return [file, line, column].filter((part) => part !== undefined).join(':');
}
