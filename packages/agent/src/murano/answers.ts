import { hexId, type Clock, type Random } from '@torcello/platform';

/**
 * An error answer that no runner wrote (Murano section 1.5), in the bytes of Python's `json.dumps`: separators with a
 * space, everything beyond ASCII escaped.
 */
export function errorAnswer(
  facts: { readonly sourceId: unknown; readonly message: string; readonly info: unknown; readonly replyTo: unknown },
  world: { readonly clock: Clock; readonly random: Random },
): string {
  return pythonJson({
    FormatVersion: '2.0.0',
    ID: hexId(world.random),
    SourceID: facts.sourceId,
    Action: 'Execution:Result',
    ErrorCode: 1,
    Body: { Message: facts.message, AdditionalInfo: facts.info },
    Time: pythonTime(world.clock.now()),
    ReplyTo: facts.replyTo,
  });
}

/** `str(datetime)` of an instant, in UTC. */
function pythonTime(nowMs: number): string {
  return new Date(nowMs).toISOString().replace('T', ' ').replace('Z', '000');
}

/** JSON as Python's `json.dumps` writes it by default. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => `${ascii(key)}: ${pythonJson(item)}`);
    return `{${entries.join(', ')}}`;
  }
  return typeof value === 'string' ? ascii(value) : (JSON.stringify(value) ?? 'null');
}

function ascii(text: string): string {
  // JSON.stringify leaves DEL and everything above as it is, Python leaves DEL only.
  return JSON.stringify(text).replaceAll(/[\u0080-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
