import { AsyncLocalStorage } from 'node:async_hooks';
import { homeTenant } from './principal.js';
import type { Principal } from './principal.js';

const current = new AsyncLocalStorage<Principal>();

/** What `work` begins is done for this principal. */
export function onBehalfOf<Answer>(principal: Principal, work: () => Answer): Answer {
  return current.run(principal, work);
}

/** Who an audit entry names besides its own words; undefined where no request is being carried out, or the operator's. */
export function requester(): { readonly actor: string; readonly detail: Readonly<Record<string, string>> } | undefined {
  const principal = current.getStore();
  if (principal === undefined || (principal.tenantId === homeTenant && principal.userName === undefined))
    return undefined;
  const { userId, userName, tenantId } = principal;
  return { actor: userId, detail: { tenant: tenantId, ...(userName === undefined ? {} : { user: userName }) } };
}
