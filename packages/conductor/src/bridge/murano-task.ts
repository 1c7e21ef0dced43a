/** A task as murano-api hands it to an engine (`handle_task`, Murano section 1.2), as far as it is understood here. */
export interface MuranoTask {
  readonly environmentId: string;
  /** Name of the environment, where the task has a model. */
  readonly name: string;
  readonly does: 'deploy' | 'delete';
  readonly applications: readonly MuranoApplication[];
  /** What has to go back with the result: murano-api stores it as the environment. */
  readonly model: Readonly<Record<string, unknown>>;
}

export interface MuranoApplication {
  readonly '?': { readonly id: string; readonly type: string };
  readonly [property: string]: unknown;
}

/** What a task asks for that is not done here: the environment's deployment fails with this text. */
export class TaskRefused extends Error {
  readonly code = 'TASK_REFUSED';
}

type Json = Readonly<Record<string, unknown>>;

/** The environment that a task is about; undefined where it names none, and nobody can be answered. */
export function environmentOfTask(task: unknown): string | undefined {
  const { id } = asObject(task);
  return typeof id === 'string' && /^[0-9a-f]{32}$/.test(id) ? id : undefined;
}

/** @throws TaskRefused */
export function readTask(task: unknown, environmentId: string): MuranoTask {
  const { action, model } = asObject(task);
  const whole = asObject(model);
  const objects = whole['Objects'];
  const base = { environmentId, model: whole };
  if (objects === null || objects === undefined) return { ...base, name: '', does: 'delete', applications: [] };
  const { method } = asObject(action);
  if (method !== 'deploy') throw new TaskRefused(`the action "${String(method)}" is MuranoPL, which is not run here`);
  const { name, applications = [] } = asObject(objects);
  if (!Array.isArray(applications)) throw new TaskRefused('the model has no list of applications');
  return {
    ...base,
    name: typeof name === 'string' ? name : environmentId,
    does: 'deploy',
    applications: applications.map(readApplication),
  };
}

function readApplication(value: unknown): MuranoApplication {
  const application = asObject(value);
  const { id, type } = asObject(application['?']);
  if (typeof id !== 'string' || typeof type !== 'string')
    throw new TaskRefused('an application of the model has no id or no type');
  const nested = Object.entries(application).find(([key, item]) => key !== '?' && holdsObject(item));
  if (nested !== undefined)
    throw new TaskRefused(`${type}: the property "${nested[0]}" holds an object of MuranoPL, which is not run here`);
  const properties = Object.entries(application).filter(([key]) => key !== '?');
  // After a deployment a type is `name/version@package`.
  return { '?': { id, type: type.split('@')[0] ?? type }, ...Object.fromEntries(properties) };
}

/** An object of MuranoPL carries `?`. */
function holdsObject(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsObject);
  if (typeof value !== 'object' || value === null) return false;
  return '?' in value || Object.values(value).some(holdsObject);
}

function asObject(value: unknown): Json {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as Json) : {};
}

/** The arguments of `process_result`. */
export function resultOf(
  task: { readonly environmentId: string; readonly model: Json },
  failure: string | undefined,
  isDeleted: boolean,
): Record<string, unknown> {
  const { Objects = null, Attributes = [], SystemData = {} } = task.model;
  const left = isDeleted && failure === undefined ? null : Objects;
  const model = { Objects: left, ObjectsCopy: left, Attributes, SystemData };
  const action =
    failure === undefined
      ? { result: null, isException: false }
      : { result: { message: failure, details: failure }, isException: true };
  return { environment_id: task.environmentId, result: { action, model } };
}
