import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { printable } from '@countersign/contract/ledger/report-text'
import type { PolicyCheck, PolicyText } from '@countersign/contract/policies'
import { formatProblem, type Problem } from '../config/problem.ts'
import { checkPolicies } from './drafts/check.ts'
import { TESTS } from './tests.ts'

/** Policies and tests of a folder, as `policy test` and `check` read it; what can't be read is a problem. */
export async function readFolder(folder: string): Promise<{ files: PolicyText[]; problems: Problem[] }> {
  const files: PolicyText[] = []
  const problems: Problem[] = []
  let names: string[]
  try {
    names = (await readdir(folder)).filter((name) => !name.startsWith('.') && /\.(cedar|test\.yaml)$/.test(name)).sort()
  } catch (error) {
    const message = `can’t be read (${(error as Error).message})`
    return { files, problems: [{ file: folder, line: 1, message, mend: 'name a folder of *.cedar files' }] }
  }
  for (const file of names) {
    try {
      files.push({ file, text: new TextDecoder('utf-8', { fatal: true }).decode(await readFile(join(folder, file))) })
    } catch (error) {
      const message = `can’t be read as UTF-8 text (${(error as Error).message})`
      problems.push({ file, line: 1, message, mend: 'mend the file or its permissions' })
    }
  }
  return { files, problems }
}

/**
 * `countersign-gateway policy test DIR`: runs the `*.test.yaml` of a folder against its policies. Sets the exit code: 0 all
 * passed, 1 some failed or something is wrong with a file, 2 there was nothing to run, or the folder is none.
 */
export async function testPolicies(folder: string, { json = false }: { json?: boolean } = {}): Promise<void> {
  const { files, problems } = await readFolder(folder)
  const [unread] = problems
  if (unread?.file === folder) {
    process.stderr.write(`countersign-gateway: ${folder} ${unread.message}; ${unread.mend}\n`)
    process.exitCode = 2
    return
  }
  const check: PolicyCheck =
    problems.length > 0 ? { ok: false, problems, warnings: [], tests: [] } : checkPolicies(files)
  if (json) process.stdout.write(`${JSON.stringify(check)}\n`)
  else tell(folder, check)
  if (!check.ok) process.exitCode = 1
  else if (!files.some(({ file }) => file.endsWith(TESTS))) {
    process.stderr.write(`countersign-gateway: there are no tests in ${folder}: they are files that end in ${TESTS}\n`)
    process.exitCode = 2
  }
}

function tell(folder: string, { problems, warnings, tests }: PolicyCheck): void {
  const placed = (problem: Problem): Problem => ({
    ...problem,
    file: placeOf(folder, problem.file),
    line: Math.max(problem.line, 1),
  })
  for (const problem of problems) say(formatProblem(placed(problem)))
  for (const warning of warnings) say(formatProblem(placed({ ...warning, message: `warning: ${warning.message}` })))
  const failed = tests.filter(({ ok }) => !ok)
  for (const { file, line, name, expected, got } of failed) {
    say(`${placeOf(folder, file)}:${line}: ${name}`)
    say(`    expected ${expected}`)
    say(`    got      ${got}`)
  }
  if (tests.length > 0)
    say(failed.length > 0 ? `${failed.length} of ${tests.length} tests failed` : `${count(tests.length)} passed`)
}

function placeOf(folder: string, file: string): string {
  const path = file === folder || file === '' ? folder : join(folder, file)
  const here = relative(process.cwd(), path)
  return here === '' || here.startsWith('..') ? path : here
}

const count = (tests: number) => (tests === 1 ? '1 test' : `all ${tests} tests`)

function say(line: string): void {
  process.stdout.write(`${printable(line)}\n`)
}
