import { createHash, timingSafeEqual } from 'node:crypto';
import { MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import type { MailboxClaim, MailboxRecord } from './ledger.js';
import { deskOf, type Office } from './office.js';

const tokenBytes = 32;

/** Makes a token that binds the mailbox to whoever shows it first; an older one that was not used is void. */
export async function issueToken(
  office: Office,
  name: string,
  expiresMs: number = limits.claimTokenMs,
): Promise<string> {
  const token = Buffer.from(office.transport.random.bytes(tokenBytes)).toString('base64url');
  const expiresAtMs = office.clock.now() + expiresMs;
  const desk = deskOf(office, 'a token of a mailbox');
  const record = await desk.changeMailbox(name, () => ({ token: { hash: hashOf(token), expiresAtMs } }));
  if (record === undefined) throw notOpen(name);
  return token;
}

export interface ClaimAttempt {
  readonly token: string;
  readonly owner: string;
}

/** Uses a token. The same owner with the same token is told the same again; everybody else is refused. */
export async function claimMailbox(office: Office, name: string, attempt: ClaimAttempt): Promise<MailboxClaim> {
  const hash = hashOf(attempt.token);
  const nowMs = office.clock.now();
  const desk = deskOf(office, 'claiming a mailbox');
  const record = await desk.changeMailbox(name, (before) => {
    if (isRepeat(before, attempt.owner, hash)) return undefined;
    refuseWrong(before, hash, nowMs);
    const epoch = (before.claim?.epoch ?? 0) + 1;
    const claim = { mailbox: name, owner: attempt.owner, epoch, claimedAtMs: nowMs, tokenHash: hash };
    return { claim, token: undefined, contactAtMs: nowMs };
  });
  if (record?.claim === undefined) throw notOpen(name);
  return record.claim;
}

/** @throws ACCESS_REFUSED when the mailbox was claimed by somebody else since. */
export function refuseReplaced({ name, claim }: MailboxRecord, owner: string): void {
  if (claim === undefined || claim.owner === owner) return;
  const details = { mailbox: name, reason: 'replaced', epoch: claim.epoch };
  throw new MessagingError('ACCESS_REFUSED', `mailbox "${name}" belongs to another owner now`, { details });
}

function isRepeat({ claim }: MailboxRecord, owner: string, hash: string): boolean {
  return claim !== undefined && claim.owner === owner && isSame(claim.tokenHash, hash);
}

function refuseWrong({ name, token, claim }: MailboxRecord, hash: string, nowMs: number): void {
  if (token !== undefined && isSame(token.hash, hash)) {
    if (nowMs < token.expiresAtMs) return;
    const details = { mailbox: name, expiredAtMs: token.expiresAtMs };
    throw new MessagingError('EXPIRED', `the token of mailbox "${name}" is past its time`, { details });
  }
  const reason = claim !== undefined && isSame(claim.tokenHash, hash) ? 'used' : 'unknown';
  const said = reason === 'used' ? 'was used by another owner' : 'is not the one that was given out';
  throw new MessagingError('ACCESS_REFUSED', `the token ${said}`, { details: { mailbox: name, reason } });
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function notOpen(name: string): MessagingError {
  return new MessagingError('NOT_FOUND', `the ledger knows no mailbox "${name}"`, { details: { mailbox: name } });
}
