/**
 * A backup is one file: the API's database as it was at one instant, and beside it the small files without which the
 * database is worth little (the keys). Everything in it is secret. Lines of JSON, each but the last followed by bytes:
 *
 *   {"torcello":"backup","format":1,"madeAtMs":…}
 *   {"name":"torcello.sqlite","bytes":N}   N bytes
 *   {"name":"plan-key.pem","bytes":N}      N bytes
 *   {"end":true,"sha256":"…"}              over everything before this line
 */
export interface BackupHead {
  readonly torcello: 'backup';
  readonly format: 1;
  /** Milliseconds since 1970, by the API's clock. */
  readonly madeAtMs: number;
}
export interface BackupEntry {
  readonly name: BackupName;
  readonly bytes: number;
}
export interface BackupEnd {
  readonly end: true;
  /** Hexadecimal. */
  readonly sha256: string;
}
export type BackupLine = BackupHead | BackupEntry | BackupEnd;

/** What a backup may hold, by the name in the data folder. Other names are refused: a backup writes nowhere else. */
export const backupNames = [
  'torcello.sqlite',
  'admin-token',
  'api-secret',
  'plan-key.pem',
  'plan-key.pem.pub',
  'broker-login.json',
] as const;
export type BackupName = (typeof backupNames)[number];

/** No line of a backup is longer. */
export const backupLineBytesMax = 1_024;
/** Every file but the database is small. */
export const backupSmallFileBytesMax = 65_536;

/** Header of the answer to `GET /v1/backup`: when the copy was made, milliseconds since 1970. */
export const backupMadeAtHeader = 'x-torcello-made-at-ms';

export function formatBackupLine(line: BackupLine): string {
  return `${JSON.stringify(line)}\n`;
}

/** Undefined when the text is no line of a backup of this format. */
export function parseBackupLine(text: string): BackupLine | undefined {
  const line = parse(text);
  if (line === undefined) return undefined;
  const { torcello, format, madeAtMs, name, bytes, end, sha256 } = line;
  if (torcello === 'backup' && format === 1 && isCount(madeAtMs)) return { torcello, format, madeAtMs };
  const known = backupNames.find((candidate) => candidate === name);
  if (known !== undefined && isCount(bytes)) return { name: known, bytes };
  const isDigest = typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256);
  return end === true && isDigest ? { end, sha256 } : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
