import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { printable } from '@countersign/contract/ledger/report-text'
import { processTerminal, type Terminal } from '@countersign/contract/node/verify-file'
import type { BacktestChange, BacktestResult, PolicyText } from '@countersign/contract/policies'
import { formatProblem } from '../config/problem.ts'
import { checkPolicies } from '../policy/drafts/check.ts'
import { OVERLAY_FILES } from '../policy/overlay-text.ts'
import { readFolder } from '../policy/tests-command.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { placeOfData } from '../verify/command.ts'
import { snapshotOf } from '../verify/reading.ts'
import { ReplayFailed, replayed } from './running.ts'
import { BadWindow, windowOf } from './window.ts'

export interface BacktestOptions {
  since?: string
  until?: string
  against?: string
  agent?: string[]
  on?: string[]
  'no-overlays'?: boolean
  json?: boolean
  check?: boolean
}

/**
 * `countersign-gateway policy backtest`: asks the policies of a folder about the commands that were recorded, whether the
 * gateway runs or not; reads only. Sets the exit code: 0 however much would change, 1 with `check` where anything would, 2
 * where it could not be told.
 */
export async function backtest(config: string, folder: string, options: BacktestOptions): Promise<void> {
  const terminal = processTerminal('countersign-gateway')
  try {
    process.exitCode = await backtested(config, folder, options, terminal)
  } finally {
    terminal.close()
  }
}

async function backtested(
  config: string,
  folder: string,
  options: BacktestOptions,
  terminal: Terminal,
): Promise<number> {
  const { against = 'recorded' } = options
  if (against !== 'recorded' && against !== 'in-force') {
    terminal.err('--against is recorded or in-force')
    return 2
  }
  const place = await placeOfData(config, terminal)
  if (!place) return 2
  if (!existsSync(join(place.data, 'countersign.sqlite'))) {
    terminal.err(`there is no data folder ${printable(place.data)} with a store in it`)
    return 2
  }
  try {
    const window = windowOf(options.since ?? '30d', options.until, Date.now())
    const inForce = policyInForce(place.data)
    const overlays = options['no-overlays'] ? [] : inForce.filter(({ file }) => file.startsWith(OVERLAY_FILES))
    const policies = await loadedFrom(folder, overlays, terminal)
    if (!policies) return 2
    const result = await replayed(
      {
        ...{ data: place.data, policies, ...window },
        ...(against === 'in-force' && { against: inForce }),
        ...(options.agent && { agents: options.agent }),
        ...(options.on && { connections: options.on }),
      },
      { ...(terminal.signal && { signal: terminal.signal }), onProgress: progressOn(terminal) },
    )
    terminal.progress?.('')
    terminal.out(options.json ? JSON.stringify(result) : told(result, against).join('\n'))
    return options.check && changed(result) > 0 ? 1 : 0
  } catch (error) {
    if (terminal.signal?.aborted) return 2
    if (!(error instanceof BadWindow || error instanceof ReplayFailed || error instanceof LedgerStopped)) throw error
    terminal.err(printable(error.message))
    return 2
  }
}

async function loadedFrom(
  folder: string,
  overlays: readonly PolicyText[],
  terminal: Terminal,
): Promise<PolicyText[] | undefined> {
  const { files, problems } = await readFolder(folder)
  const cedar = files.filter(({ file }) => file.endsWith('.cedar'))
  const check = checkPolicies(cedar, overlays)
  const inFolder = (file: string) =>
    file === folder || file === '' || file.startsWith(OVERLAY_FILES) ? file : join(folder, file)
  for (const problem of [...problems, ...check.problems])
    terminal.err(printable(formatProblem({ ...problem, file: inFolder(problem.file) })))
  if (problems.length > 0 || check.version === undefined) return undefined
  for (const { file, message, ...warning } of check.warnings)
    terminal.err(printable(formatProblem({ ...warning, file: inFolder(file), message: `warning: ${message}` })))
  return [...cedar, ...overlays]
}

function policyInForce(data: string): PolicyText[] {
  using store = snapshotOf(join(data, 'countersign.sqlite'))
  const files = store.database
    .prepare(
      `select files from policy_versions
       where version = (select version from policy_times order by id desc limit 1)`,
    )
    .pluck()
    .get()
  return typeof files === 'string' ? JSON.parse(files) : []
}

/** On standard error: in place where that is a terminal, else a line every few seconds. */
function progressOn(terminal: Terminal) {
  let last = performance.now()
  return ({ commands, of }: { commands: number; of?: number }) => {
    const words = `${commands.toLocaleString('en')}${of === undefined ? '' : ` of about ${of.toLocaleString('en')}`} commands`
    if (terminal.progress) terminal.progress(words)
    else if (performance.now() - last >= 2000) {
      last = performance.now()
      terminal.err(words)
    }
  }
}

const changed = ({ newlyAllowed, newlyDenied, newlyHeld }: BacktestResult) => newlyAllowed + newlyDenied + newlyHeld

function told(result: BacktestResult, against: 'recorded' | 'in-force'): string[] {
  const { same, left, notes } = result
  const lines = [
    `${counted(result.commands)} from ${result.from} to ${result.until}, compared with ${against === 'recorded' ? 'what was decided then' : 'the policy in force'}:`,
    `  as before      ${same.allow} allowed, ${same.hold} held, ${same.deny} denied`,
    `  newly denied   ${result.newlyDenied}`,
    `  newly held     ${result.newlyHeld}`,
    `  newly allowed  ${result.newlyAllowed}`,
  ]
  if (result.unreadable > 0)
    lines.push(`  unreadable     ${result.unreadable} (erased by retention, or of another version's form)`)
  for (const change of result.changes) lines.push('', ...toldChange(change))
  if (left > 0) lines.push('', `and ${left} changes more, each of fewer commands`)
  for (const note of notes) lines.push('', note)
  return lines.map((line) => printable(line))
}

function toldChange({
  change,
  agentName,
  connection,
  commands,
  shape,
  policies,
  samples,
  reason,
}: BacktestChange): string[] {
  const words = { 'newly-denied': 'newly denied', 'newly-held': 'newly held', 'newly-allowed': 'newly allowed' }
  return [
    `${words[change]}: ${counted(commands)} of ${agentName} on ${connection}: ${shape}`,
    `  ${policies.length > 0 ? `by ${policies.join(', ')}` : reason}`,
    ...samples.map(
      ({ at, text, was, now, session }) =>
        `  ${at} ${session} ${was} → ${now}: ${text.replaceAll(/\s+/g, ' ').slice(0, 160)}`,
    ),
  ]
}

const counted = (commands: number) => (commands === 1 ? '1 command' : `${commands.toLocaleString('en')} commands`)
