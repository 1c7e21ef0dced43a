import { isMessagingError, MessagingError } from '../errors.js';
import type { ContractParts, MethodsOf } from './contract.js';
import type { OutputOf, SchemaIssue, StandardSchema } from './standard-schema.js';

export type ErrorsOf<M> = M extends { readonly errors: infer Errors } ? Errors : Record<never, never>;

/**
 * Whether a call of a contract's method failed with one of the failures that it names; then `details.data` has its type.
 */
export function isContractError<
  C extends ContractParts,
  M extends string & keyof MethodsOf<C>,
  E extends string & keyof ErrorsOf<MethodsOf<C>[M]>,
>(
  error: unknown,
  failure: { readonly contract: C; readonly method: M; readonly name: E },
): error is MessagingError & { readonly details: { readonly data: OutputOf<ErrorsOf<MethodsOf<C>[M]>[E]> } } {
  return (
    isMessagingError(error, 'REMOTE_ERROR') &&
    error.details['code'] === failure.name &&
    error.details['contractMethod'] === failure.method
  );
}

/** Where a value stood that does not fit. */
export type ContractPlace = 'args' | 'result' | 'progress' | 'error' | 'payload';

/** The value as the schema reads it. @throws CONTRACT_VIOLATED, with the issues in its details. */
export async function checked<T>(
  schema: StandardSchema | undefined,
  value: unknown,
  at: { readonly place: ContractPlace; readonly name: string },
): Promise<T> {
  if (schema === undefined) return value as T;
  const result = await schema['~standard'].validate(value);
  if (result.issues === undefined) return result.value as T;
  const issues = result.issues.map(plainIssue);
  const told = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  const details = { ...at, issues };
  throw new MessagingError('CONTRACT_VIOLATED', `the ${at.place} of "${at.name}" do not fit: ${told}`, { details });
}

function plainIssue({ path = [], message }: SchemaIssue): { readonly path: string; readonly message: string } {
  const steps = path.map((step) => String(typeof step === 'object' ? step.key : step));
  return { path: steps.join('.'), message };
}
