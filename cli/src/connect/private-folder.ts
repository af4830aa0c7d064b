import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder of this user alone (0700), which goes away with the process that made it. */
export interface PrivateFolder extends Disposable {
  readonly path: string
  /** Writes a file there, 0600 or, where it is a program, 0700; answers its path. */
  write(name: string, text: string, program?: boolean): string
}

export function privateFolder(env: NodeJS.ProcessEnv): PrivateFolder {
  // A runtime folder is in memory, and is emptied at the end of the session, should we be killed.
  const parents = [env.XDG_RUNTIME_DIR, tmpdir()].filter((one) => one !== undefined && one !== '')
  const path = firstThatWorks(parents as string[])
  const remove = () => rmSync(path, { recursive: true, force: true })
  process.once('exit', remove)
  return {
    path,
    write(name, text, program = false) {
      const file = join(path, name)
      writeFileSync(file, text, { mode: program ? 0o700 : 0o600, flag: 'wx' })
      return file
    },
    [Symbol.dispose]() {
      remove()
      process.off('exit', remove)
    },
  }
}

function firstThatWorks([parent, ...others]: string[]): string {
  try {
    return mkdtempSync(join(parent!, 'countersign-'))
  } catch (error) {
    if (others.length === 0) throw error
    return firstThatWorks(others)
  }
}
