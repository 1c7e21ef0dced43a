import { Liquid, type LiquidError, type Template } from 'liquidjs';
import { conductorLimits } from '../limits.js';
import { CompileError, type CompileErrorCode, type SourcePlace } from './compile-error.js';
import type { Scope } from './scope.js';

/**
 * Renders text files written in Liquid, bounded in time and memory, before the plan is signed. A template sees the
 * scope's own values and nothing else: unknown names and filters are errors, other files cannot be included.
 */
export class Templates {
  readonly #engine: Liquid;
  readonly #parsed = new Map<string, readonly Template[]>();

  constructor() {
    this.#engine = new Liquid({
      strictVariables: true,
      strictFilters: true,
      ownPropertyOnly: true,
      lenientIf: false,
      dynamicPartials: false,
      templates: {},
      timezoneOffset: 0,
      parseLimit: conductorLimits.templateBytesMax.value,
      memoryLimit: conductorLimits.templateMemoryMax.value,
      renderLimit: conductorLimits.templateRenderMsMax.value,
    });
  }

  /**
   * @param file - name of the template in its package; it is read and parsed once.
   * @throws CompileError TEMPLATE_INVALID (cannot be parsed), TEMPLATE_FAILED (unknown name, over a limit).
   */
  render(file: string, source: () => string, scope: Scope): string {
    const parsed = this.#parse(file, source);
    try {
      return String(this.#engine.renderSync([...parsed], { ...scope }));
    } catch (error) {
      throw templateError('TEMPLATE_FAILED', file, error);
    }
  }

  #parse(file: string, source: () => string): readonly Template[] {
    const known = this.#parsed.get(file);
    if (known !== undefined) return known;
    const text = source();
    try {
      const parsed = this.#engine.parse(text);
      this.#parsed.set(file, parsed);
      return parsed;
    } catch (error) {
      throw templateError('TEMPLATE_INVALID', file, error);
    }
  }
}

function templateError(code: CompileErrorCode, file: string, error: unknown): CompileError {
  const { token, originalError, message } = error as Partial<LiquidError>;
  const position = token?.getPosition();
  const [line, column] = position ?? [];
  const place: SourcePlace = {
    file,
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
  };
  const problem = originalError?.message ?? message ?? 'the template failed';
  return new CompileError(code, place, { problem, cure: 'correct the template' });
}
