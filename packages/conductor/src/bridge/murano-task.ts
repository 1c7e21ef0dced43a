/** A task as murano-api hands it to an engine (`handle_task`, Murano section 1.2), as far as it is understood here. */
export interface MuranoTask {
  readonly environmentId: string;
  readonly does: 'deploy' | 'delete';
  readonly applications: readonly MuranoApplication[];
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
  const { Objects: objects } = asObject(model);
  if (objects === null || objects === undefined) return { environmentId, does: 'delete', applications: [] };
  const { method } = asObject(action);
  if (method !== 'deploy') throw new TaskRefused(`the action "${String(method)}" is MuranoPL, which is not run here`);
  const { applications = [] } = asObject(objects);
  if (!Array.isArray(applications)) throw new TaskRefused('the model has no list of applications');
  return { environmentId, does: 'deploy', applications: applications.map(readApplication) };
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

/** How a task ended. */
export interface TaskEnd {
  /** Why it failed; undefined for success. */
  readonly failure?: string;
  /** Something may stand now: the objects of the model count as deployed, and a delete is for us to do. */
  readonly wasTried: boolean;
}

/**
 * The arguments of `process_result`. The model goes back with everything that murano-api and another engine keep in it.
 * Without objects and without a copy of them murano-api forgets the environment, and so a delete that failed keeps the copy.
 */
export function resultOf(environmentId: string, task: unknown, end: TaskEnd): Record<string, unknown> {
  const { failure, wasTried } = end;
  const before = asObject(asObject(task)['model']);
  const Objects = before['Objects'] ?? null;
  const isGone = Objects === null && failure === undefined;
  const ObjectsCopy = isGone || (Objects !== null && wasTried) ? Objects : before['ObjectsCopy'];
  const model = {
    Attributes: [],
    SystemData: {},
    ...before,
    Objects,
    ...(ObjectsCopy === undefined ? {} : { ObjectsCopy }),
  };
  const action =
    failure === undefined
      ? { result: null, isException: false }
      : { result: { message: failure, details: failure }, isException: true };
  return { environment_id: environmentId, result: { action, model } };
}
