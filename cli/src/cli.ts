import { mkdirSync, statSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Runs the command line. Sets the exit code. */
export async function main(args: string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}) // whoever read it has gone
  rememberCompiled()
  const [{ createProgram }, { failed }] = await Promise.all([import('./program.ts'), import('./failed.ts')])
  try {
    await (await createProgram(args)).parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = failed(error)
  }
}

/** Most of a short command is reading the program: Node keeps what it has compiled, in a folder of this user's own. */
function rememberCompiled(): void {
  const { XDG_CACHE_HOME: named } = process.env
  const folder = join(named?.startsWith('/') ? named : join(homedir(), '.cache'), 'countersign')
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const { uid, mode } = statSync(folder)
    // What others could write there would be run here, as root under `sudo -E`.
    if (process.getuid?.() === uid && (mode & 0o022) === 0) enableCompileCache(folder)
  } catch {
    // It only takes longer.
  }
}
