import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { find, psql } from '../system.ts'
import type { Regress } from './regress.ts'
import { environment, type Side, startSides } from './sides.ts'

/** Files that exercise what is refused for everyone (docs/policy.md), and what of it. No others are left out. */
export const leftOut: Record<string, string> = {
  strings: 'SET standard_conforming_strings TO off',
  plpgsql: 'SET standard_conforming_strings = off',
  largeobject: '\\lo_import and \\lo_export, for which libpq sends FunctionCall',
}

export interface Compared {
  file: string
  /** A unified diff of what psql printed, direct against gateway; empty where there is none. */
  diff: string
  lines: number
  ms: number
}

/**
 * Runs files of the suite by psql, directly and through the gateway, each on a server of its own, and compares what psql
 * prints, file by file. What was expected of another version of the server doesn't matter.
 * @param files in the order in which they run; `test_setup` has to be the first
 * @param each called as each file is done
 */
export async function compareSuite(
  { folder }: Regress,
  files: string[],
  each: (compared: Compared) => void,
): Promise<{ compared: Compared[]; complaints: string[] }> {
  await using stack = new AsyncDisposableStack()
  const home = mkdtempSync(join(tmpdir(), 'countersign-suite-'))
  stack.defer(() => rmSync(home, { recursive: true, force: true }))
  chmodSync(home, 0o755)
  const sides = stack.use(await startSides('regression'))
  const outputs = [sides.direct, sides.gateway].map((side) => {
    const output = join(home, side.name.padEnd(7, '-'))
    for (const within of ['', 'results', 'testtablespace']) {
      mkdirSync(join(output, within))
      chmodSync(join(output, within), 0o777) // the server writes there too, by an account of its own
    }
    return { side, output }
  })
  const compared: Compared[] = []
  for (const file of files) {
    if (file in leftOut) continue
    const started = performance.now()
    const [direct, gateway] = await Promise.all(outputs.map(({ side, output }) => run(folder, file, side, output)))
    const diff = direct === gateway ? '' : await difference(home, direct!, gateway!)
    const done = { file, diff, lines: direct!.split('\n').length, ms: Math.round(performance.now() - started) }
    compared.push(done)
    each(done)
  }
  return { compared, complaints: sides.complaints }
}

async function run(folder: string, file: string, side: Side, output: string): Promise<string> {
  const out = join(output, 'results', `${file}.out`)
  const from = openSync(join(folder, 'sql', `${file}.sql`), 'r')
  const to = openSync(out, 'w')
  // As pg_regress does it (pg_regress_main.c, initialize_environment).
  const args = ['-X', '-a', '-q', '-v', 'HIDE_TABLEAM=on', '-v', 'HIDE_TOAST_COMPRESSION=on']
  const child = spawn(find(psql)!, args, {
    cwd: output,
    stdio: [from, to, to],
    env: environment(side, {
      PGTZ: 'PST8PDT',
      PGDATESTYLE: 'Postgres, MDY',
      PGOPTIONS: '-c intervalstyle=postgres_verbose',
      PG_ABS_SRCDIR: folder,
      PG_ABS_BUILDDIR: output,
      PG_LIBDIR: folder,
      PG_DLSUFFIX: '.so',
    }),
  })
  await once(child, 'close')
  closeSync(from)
  closeSync(to)
  return readFileSync(out, 'utf8').replaceAll(output, 'BUILDDIR')
}

async function difference(home: string, direct: string, gateway: string): Promise<string> {
  const [a, b] = [join(home, 'direct.out'), join(home, 'gateway.out')]
  writeFileSync(a, direct)
  writeFileSync(b, gateway)
  const child = spawn('diff', ['-u', '--label', 'direct', '--label', 'gateway', a, b], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text
  })
  await once(child, 'close')
  return out
}
