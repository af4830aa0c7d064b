import { isAbsolute, join, relative } from 'node:path'
import { formatListen } from './config/address.ts'
import { type LoadedConfig, loadConfig } from './config/config.ts'
import { formatProblem, type Problem } from './config/problem.ts'
import { keptWords } from './config/retention.ts'
import { waitOf } from './policy/escalation.ts'
import { type LoadResult, loadPolicies } from './policy/policy.ts'
import { couldPermit } from './policy/scope.ts'
import { rulesOf } from './sessions/retention/rules.ts'

/**
 * `countersign-gateway check`: every problem of the configuration and its policies on standard output, or what was found
 * good. Nothing is made, opened or asked; with `connect`, the databases are asked for their columns. Sets the exit code.
 */
export async function check(file: string, { connect = false }: { connect?: boolean } = {}): Promise<void> {
  const loaded = await loadConfig(file)
  const problems: Problem[] = loaded.ok ? [] : loaded.problems
  const warnings: Problem[] = [...loaded.warnings]
  let policies: LoadResult | undefined
  let passed = 0
  let hostKey: string | undefined
  if (loaded.ok) {
    const { config, lineOf } = loaded
    const shown = config.ssh && (await hostKeyOf(config.data))
    if (shown instanceof Error)
      problems.push({ file, line: lineOf(['ssh']), message: shown.message, mend: 'see docs/operating.md' })
    else hostKey = shown
    problems.push(...(await unusableKeys(file, config, lineOf)))
    policies = await loadPolicies(loaded.config.policy)
    const inFolder = placed(loaded.config.policy)
    if (policies.ok) {
      const doubts = [...holdsForNobody(loaded.config, policies), ...escalatesTooLate(loaded.config, policies)]
      warnings.push(...[...policies.warnings, ...doubts].map(inFolder))
      warnings.push(...neverGiven(file, loaded.config, policies, loaded.lineOf))
      const tests = await testsOf(loaded.config.policy)
      problems.push(...tests.problems.map(inFolder))
      passed = tests.passed
    } else problems.push(...policies.problems.map(inFolder))
    if (connect) warnings.push(...(await unfitting(file, loaded.config, loaded.lineOf)))
  }
  for (const problem of problems) say(formatProblem(problem))
  for (const warning of warnings) say(formatProblem({ ...warning, message: `warning: ${warning.message}` }))
  if (problems.length > 0) {
    say(`${count(problems.length, 'problem')}${warnings.length > 0 ? `, ${count(warnings.length, 'warning')}` : ''}`)
    process.exitCode = 1
    return
  }
  if (loaded.ok && policies?.ok) for (const line of fine(loaded.config, policies, passed, hostKey)) say(line)
}

/** Private keys of hosts that nobody could sign in with. */
async function unusableKeys(
  file: string,
  config: LoadedConfig,
  lineOf: (path: string[]) => number,
): Promise<Problem[]> {
  const names = [...config.connections.values()].filter(({ kind }) => kind === 'ssh').map(({ name }) => name)
  if (names.length === 0) return []
  const { signInWays } = await import('./ssh/upstream/sign-in.ts')
  const { sshTargetOf } = await import('./ssh-target.ts')
  return names.flatMap((name) => {
    try {
      signInWays(sshTargetOf(config, name)!)
      return []
    } catch (error) {
      const line = lineOf(['connections', name, 'private_key'])
      return [
        { file, line, message: (error as Error).message, mend: 'give one that ssh-keygen made, without a passphrase' },
      ]
    }
  })
}

/** Keys of `data_classes` that name no columns of their databases, and databases that can't be asked. */
async function unfitting(
  file: string,
  { connections }: LoadedConfig,
  lineOf: (path: string[]) => number,
): Promise<Problem[]> {
  const { classesOf, readerOf } = await import('./suggest-classes.ts')
  const found: Problem[] = []
  for (const [name, connection] of connections) {
    if (connection.kind !== 'postgres' || Object.keys(connection.data_classes).length === 0) continue
    const path = ['connections', name]
    try {
      await using reader = await readerOf(connection)
      const { classification } = await classesOf(connection, (sql) => reader.query(sql))
      for (const { key, problem } of classification.problems)
        found.push({ file, line: lineOf([...path, 'data_classes', key]), message: problem, mend: '' })
    } catch (error) {
      const message = `${name} can't be asked whether its data_classes fit: ${(error as Error).message}`
      found.push({ file, line: lineOf(path), message, mend: '' })
    }
  }
  return found
}

/** Tests of the policies that fail, and what is wrong with their files; a reload looks at none of them. */
async function testsOf(folder: string): Promise<{ problems: Problem[]; passed: number }> {
  const { readFolder } = await import('./policy/tests-command.ts')
  const { checkPolicies } = await import('./policy/drafts/check.ts')
  const { files, problems } = await readFolder(folder)
  if (problems.length > 0) return { problems, passed: 0 }
  const check = checkPolicies(files)
  const failed = check.tests
    .filter(({ ok }) => !ok)
    .map(({ file, line, name, expected, got }) => ({
      file,
      line,
      message: `the test ${JSON.stringify(name)} expected ${expected}, and got ${got}`,
      mend: 'mend the policy, or the test',
    }))
  return { problems: [...check.problems, ...failed], passed: check.tests.length - failed.length }
}

/** How the gateway shows who it is to SSH clients, in words. */
async function hostKeyOf(data: string): Promise<string | Error> {
  const { HOST_KEY_FILE, keptHostKey } = await import('./ssh/door/host-key.ts')
  const { DataFolderError } = await import('./config/data-folder.ts')
  try {
    const kept = await keptHostKey(data)
    return kept ? `${kept.fingerprint} (${HOST_KEY_FILE})` : 'is made at the first start'
  } catch (error) {
    if (error instanceof DataFolderError) return error
    throw error
  }
}

/** What was checked and found good. */
function fine(
  config: LoadedConfig,
  policies: LoadResult & { ok: true },
  passed: number,
  hostKey: string | undefined,
): string[] {
  const { issuers } = config.identity
  const listeners = [`api ${formatListen(config.api.listen)}`]
  if (config.postgres) listeners.push(`postgres ${formatListen(config.postgres.listen)}`)
  if (config.ssh) listeners.push(`ssh ${formatListen(config.ssh.listen)}`)
  return [
    `configuration is good: ${config.file}`,
    `  listens    ${listeners.join(', ')}`,
    ...(hostKey === undefined ? [] : [`  host key   ${hostKey}`]),
    `  issuers    ${issuers.map((i) => `${i.issuer} (${i.for})`).join(', ')}`,
    `  connects   ${[...config.connections.values()].map((c) => `${c.name} (${c.kind} ${c.host}:${c.port}${c.kind === 'postgres' ? `, tls ${c.tls.mode}` : ''})`).join(', ') || 'to nothing'}`,
    `  policy     ${count(policies.policies.list.length, 'policy', 'policies')} in ${config.policy}${passed > 0 ? `, ${count(passed, 'test')} passed` : ''}`,
    `  data       ${config.data}`,
    `  retention  ${retained(config)}`,
  ]
}

/** The rules in a line: those for all, and what connections have that is another. */
function retained({ retention }: LoadedConfig): string {
  const words = rulesOf(retention)
    .filter(({ what, keeps }) => keeps !== null || what === 'recordings')
    .map(({ connection, what, class: of, keeps }) => {
      const subject = what === 'class' ? `class ${of}` : what
      return `${connection === undefined ? '' : `${connection}: `}${subject} ${keptWords(keeps ?? Number.POSITIVE_INFINITY)}`
    })
  return words.join(', ')
}

/** A group that holds name and no role does: its people could be approvers by another group, but likely aren't. */
function holdsForNobody(config: LoadedConfig, { policies }: LoadResult & { ok: true }): Problem[] {
  const approvers = new Set(config.identity.roles.approver)
  return policies.list.flatMap(({ id, file, line, hold }) =>
    [...(hold?.groups ?? []), ...(hold?.escalation ?? []).flatMap((stage) => stage.groups)]
      .filter((group) => !approvers.has(group))
      .map((group) => ({
        file,
        line,
        message: `${id} asks the group ${JSON.stringify(group)}, which has no role approver`,
        mend: 'add it to identity.roles.approver',
      })),
  )
}

/** Who would be asked once what is held has expired is never asked. */
function escalatesTooLate(config: LoadedConfig, { policies }: LoadResult & { ok: true }): Problem[] {
  return policies.list.flatMap(({ id, file, line, hold }) =>
    (hold?.escalation ?? [])
      .filter((stage) => waitOf(stage) >= config.approvals.expires)
      .map(({ after, groups }) => ({
        file,
        line,
        message: `${id} asks ${groups.join(', ')} after ${after}, when what is held has expired`,
        mend: 'ask them earlier, or let what is held wait longer (approvals.expires)',
      })),
  )
}

/** Connections that need a grant which no policy could give. */
function neverGiven(
  file: string,
  { connections }: LoadedConfig,
  { policies }: LoadResult & { ok: true },
  lineOf: (path: string[]) => number,
): Problem[] {
  return [...connections.values()]
    .filter(({ name, access }) => access === 'jit' && !couldPermit(policies, 'access:request', name))
    .map(({ name }) => ({
      file,
      line: lineOf(['connections', name, 'access']),
      message: `${name} takes a grant, and no policy could give one: nobody can open it`,
      mend: `permit Action::"access:request" on Connection::"${name}" to somebody`,
    }))
}

/** Names a policy file as a person at this terminal would. */
function placed(folder: string): (problem: Problem) => Problem {
  return (problem) => {
    const file = isAbsolute(problem.file) ? problem.file : join(folder, problem.file)
    const here = relative(process.cwd(), file)
    return { ...problem, file: here === '' || here.startsWith('..') ? file : here, line: Math.max(problem.line, 1) }
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}
