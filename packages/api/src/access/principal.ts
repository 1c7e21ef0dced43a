/** Who makes a request, as far as the token says. */
export interface Principal {
  readonly userId: string;
  /** As people call the user, where the token's provider knows. */
  readonly userName?: string;
  readonly tenantId: string;
  /** Sees and changes what belongs to every tenant. */
  readonly isAdmin: boolean;
}

/** The tenant of the API's own token, and of everything that was there before there were tenants. */
export const homeTenant = 'torcello';

/** The holder of the API's own token. */
export const operator: Principal = { userId: 'admin', tenantId: homeTenant, isAdmin: true };

/**
 * Where tokens are checked: the API's own, or a Keystone.
 */
export interface TokenProvider {
  /** Undefined for a token that is not valid (here). @throws Refusal not_ready when it cannot be known just now. */
  check(token: string): Promise<Principal | undefined>;
}
