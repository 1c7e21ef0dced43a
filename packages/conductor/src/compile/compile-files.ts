import { type FileDefinition, type PlanFile, limits } from '@torcello/contracts';
import { CompileError, type FindPlace } from './compile-error.js';
import { type PackageContent, decodeText } from './package-content.js';
import type { Templates } from './templates.js';
import { type TextReader, readText } from './text.js';

const fileModeDefault = '0644';
const scriptMode = 0o700;
const pathCharsMax = 1024;

/** Makes the files of plans; what does not depend on the machine is encoded once. */
export class FileCompiler {
  readonly #content: PackageContent;
  readonly #templates: Templates;
  readonly #encoded = new Map<string, string>();

  constructor(content: PackageContent, templates: Templates) {
    this.#content = content;
    this.#templates = templates;
  }

  compile(file: FileDefinition, reader: TextReader, place: FindPlace): PlanFile {
    const path = confined(readText(file.path, reader, place), place);
    const mode = Number.parseInt(file.mode ?? fileModeDefault, 8);
    if (file.remove === true) return { path, mode, body: '', remove: true };
    if (file.template === undefined) return { path, mode, body: this.#copy(`files/${file.source ?? ''}`, place) };
    const name = `files/${file.template}`;
    const text = this.#templates.render(name, () => decodeText(name, this.#read(name, place)), reader.scope);
    return { path, mode, body: Buffer.from(text).toString('base64') };
  }

  /** A script lies next to the files under its own name. */
  script(name: string, place: FindPlace): PlanFile {
    return { path: name, mode: scriptMode, body: this.#copy(`scripts/${name}`, place) };
  }

  #copy(name: string, place: FindPlace): string {
    const known = this.#encoded.get(name);
    if (known !== undefined) return known;
    const encoded = Buffer.from(this.#read(name, place)).toString('base64');
    this.#encoded.set(name, encoded);
    return encoded;
  }

  #read(name: string, place: FindPlace): Uint8Array {
    const bytes = this.#content.files.get(name);
    if (bytes === undefined) {
      throw new CompileError('FILE_MISSING', place(), {
        problem: `the package has no file ${name}`,
        cure: 'add it to the package, or correct the name',
      });
    }
    const bytesMax = limits.planBytesMax.value;
    if (bytes.length > bytesMax) {
      throw new CompileError('PLAN_TOO_LARGE', place(), {
        problem: `${name} has ${bytes.length} bytes and a plan carries at most ${bytesMax} (planBytesMax)`,
        cure: 'let a script fetch large files',
      });
    }
    return bytes;
  }
}

/** Relative paths stay inside the application's folder, also when an expression made them. */
function confined(path: string, place: FindPlace): string {
  const leaves = !path.startsWith('/') && path.split('/').includes('..');
  if (path !== '' && path.length <= pathCharsMax && !leaves && !path.includes('\0')) return path;
  throw new CompileError('STEP_INVALID', place(), {
    problem: `the path "${path.slice(0, 80)}" cannot be used`,
    cure: `stay inside the application's folder or write an absolute path, at most ${pathCharsMax} characters`,
  });
}
