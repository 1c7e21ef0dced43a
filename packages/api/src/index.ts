export { Api } from './api.js';
export type { ApiOptions, ApiTimings } from './api.js';
export { Refusal, StartError, refusals } from './errors.js';
export type { RefusalCode, StartErrorCode } from './errors.js';
export { apiLimits } from './limits.js';
export type { ApiLimitName } from './limits.js';
export { managedAccounts, refusedAccounts, sharedAccounts } from './machines/accounts.js';
export type { AgentAccounts, ManagedAccountsOptions } from './machines/accounts.js';
export { main } from './main.js';
