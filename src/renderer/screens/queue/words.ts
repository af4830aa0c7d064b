import type { Approval, Effect } from '@countersign/contract/approval'
import { span } from '../../../span.ts'
import { hiddenCount, mixedWords } from '../../../visible.ts'
import type { Me } from '../../app/store.ts'
import type { Tone } from '../../parts/basics.tsx'
import { duration } from '../../parts/time.ts'
import { listed } from './arrange.ts'

/** How a decided approval ended, in a line: what was decided, by whom, and what then happened. */
export function ending(approval: Approval, me: Me | null): { tone: Tone; sign: 'yes' | 'no' | 'none'; text: string } {
  const approvers = approval.decisions.filter((decision) => decision.verdict === 'approve')
  const by = listed(approvers.map((decision) => nameOf(decision, me)))
  switch (approval.state) {
    case 'pending':
      return { tone: 'plain', sign: 'none', text: 'waiting' }
    case 'approved':
      if (approval.access) return { tone: 'ok', sign: 'yes', text: `approved by ${by} · access is being given` }
      return {
        tone: 'ok',
        sign: 'yes',
        text: `approved by ${by} · ${approval.hold === 'fail' ? 'not run yet' : 'running'}`,
      }
    case 'used':
      if (approval.access) return { tone: 'ok', sign: 'yes', text: `approved by ${by} · access was given` }
      return {
        tone: approval.outcome?.status === 'failed' ? 'warn' : 'ok',
        sign: 'yes',
        text: `approved by ${by} · ${ran(approval)}`,
      }
    case 'denied': {
      const no = approval.decisions.findLast((decision) => decision.verdict === 'deny')
      const who = no && nameOf(no, me)
      if (!who) return { tone: 'danger', sign: 'no', text: approval.closedBecause ?? 'denied' }
      return {
        tone: 'danger',
        sign: 'no',
        text: `denied by ${who}${no?.reason ? `: “${no.reason}”` : ', without a reason'}`,
      }
    }
    case 'expired':
      return {
        tone: 'plain',
        sign: 'none',
        text: approvers.length > 0 ? `expired, approved only by ${by}` : 'expired, nobody decided',
      }
    case 'cancelled':
      return {
        tone: 'plain',
        sign: 'none',
        text: `cancelled${approval.closedBecause ? ` · ${approval.closedBecause}` : ''}`,
      }
  }
}

/** Who decided, and how, where that is out of the ordinary. */
function nameOf({ person, personId, inPlaceOf, breakGlass }: Approval['decisions'][number], me: Me | null): string {
  const name = personId === me?.id ? 'you' : person
  if (breakGlass) return `${name} alone (break-glass)`
  return inPlaceOf?.length ? `${name} in place of ${listed(inPlaceOf)}` : name
}

/** In a few words, what a request for access asks for; where it is a command, its text. */
export function headline(approval: Approval): string {
  const { access, connection } = approval
  if (!access) return approval.command.text
  if (access.plan) return `plan: ${access.title ?? access.plan} · ${access.grants.length} steps`
  return `access to ${connection} for ${span(access.seconds)}`
}

function ran(approval: Approval): string {
  const { outcome } = approval
  if (!outcome) return 'released; how it ended is not known yet'
  const time = outcome.ms === undefined ? '' : ` · ${duration(outcome.ms)}`
  if (outcome.status === 'failed')
    return `failed${outcome.sqlstate ? ` with ${outcome.sqlstate}` : ''}${outcome.message ? `: ${outcome.message}` : ''}`
  if (outcome.rows !== undefined) return `ran, ${rowCount(outcome.rows)}${time}`
  return `ran${time}`
}

export function rowCount(rows: number): string {
  return `${rows.toLocaleString('en-US')} row${rows === 1 ? '' : 's'}`
}

export interface EffectWords {
  readonly verb: string
  readonly everyRow: boolean
  readonly bounded: boolean
  readonly resource: string
}

const writes: Record<string, string> = {
  insert: 'adds rows to',
  update: 'changes rows of',
  delete: 'deletes rows of',
  merge: 'merges rows into',
  truncate: 'empties',
  copy: 'copies rows into',
  lock: 'locks',
  select: 'locks rows of',
}

/** What operations of sftp do to the file that they write. */
const files: Record<string, string> = {
  put: 'writes',
  update: 'reads and writes',
  remove: 'removes',
  rmdir: 'removes the folder',
  mkdir: 'makes the folder',
  rename: 'renames',
  setstat: 'changes the attributes of',
  symlink: 'links',
  link: 'links',
  copy: 'copies onto',
}

/** One effect in words. `resource` is without the connection's name, which stands elsewhere on the card. */
export function effectWords(effect: Effect, connection: string): EffectWords {
  const { action, kind, bounded } = effect
  const reaches = /^(update|delete|truncate)$/.test(kind) && action === 'sql:write'
  const resource = effect.resource.id.startsWith(`${connection}/`)
    ? effect.resource.id.slice(connection.length + 1)
    : effect.resource.id
  const everyRow = reaches && !bounded
  if (action === 'ssh:exec') return { verb: execVerb(effect), everyRow, bounded: false, resource }
  return { verb: verbOf(action, kind, everyRow), everyRow, bounded: reaches && bounded, resource }
}

/** `runs systemctl on`, or that a shell makes of it what it will. */
function execVerb({ command }: Effect): string {
  if (command?.shell === true) return 'has a shell run it on'
  const program = typeof command?.program === 'string' ? command.program : ''
  return program === '' || program.length > 60 ? 'runs a program on' : `runs ${program} on`
}

function verbOf(action: string, kind: string, everyRow: boolean): string {
  if (action === 'sql:write' && everyRow) return kind === 'update' ? 'changes every row of' : 'deletes every row of'
  if (action === 'sql:write') return writes[kind] ?? `${kind}: writes`
  if (action === 'sql:read') return 'reads'
  if (action === 'sql:call') return kind === 'do' ? 'runs code on' : 'calls'
  if (action === 'sql:ddl') return `${kind}: changes the shape of`
  if (action === 'sql:admin') return `${kind}: administers`
  if (action === 'sql:connect') return 'talks to'
  if (action === 'sql:unknown') return 'could not be understood: anything on'
  if (action === 'ssh:connect') return 'connects to'
  if (action === 'ssh:shell') return 'opens a shell on'
  if (action === 'ssh:forward') return 'forwards connections through'
  if (action === 'sftp:read') return 'reads'
  if (action === 'sftp:write') return files[kind] ?? `${kind}: writes`
  return `${action} (${kind}) on`
}

/** What is out of the ordinary, from what is really known: never guessed. */
export function unusual(
  approval: Approval,
  before: { commands: number; denied: number } | undefined,
): { tone: Tone; text: string }[] {
  const found: { tone: Tone; text: string }[] = []
  const { command } = approval
  if (command.effects.some((effect) => effectWords(effect, approval.connection).everyRow))
    found.push({ tone: 'danger', text: 'touches every row' })
  if (command.effects.some((effect) => effect.action === 'sql:unknown'))
    found.push({ tone: 'danger', text: 'could not be understood' })
  if (command.effects.some((effect) => effect.action === 'ssh:shell'))
    found.push({ tone: 'warn', text: 'what is typed into a shell is recorded, not decided' })
  if (command.effects.some((effect) => effect.action === 'ssh:exec' && effect.command?.shell === true))
    found.push({ tone: 'warn', text: 'a shell makes of it what it will' })
  const texts = [command.text, ...command.parameters.filter((value) => typeof value === 'string')]
  const hidden = texts.reduce((sum, text) => sum + hiddenCount(text), 0)
  if (hidden > 0)
    found.push({ tone: 'danger', text: `${hidden} hidden character${hidden === 1 ? '' : 's'}, marked above` })
  const mixed = texts.flatMap((text) => mixedWords(text))
  if (mixed.length > 0) found.push({ tone: 'danger', text: `look-alike letters in ${mixed.slice(0, 3).join(', ')}` })
  if (before && before.commands === 0) found.push({ tone: 'warn', text: 'first command of this session' })
  if (before && before.denied > 0) found.push({ tone: 'warn', text: `${before.denied} denied earlier in this session` })
  return found
}

/** sha256:9f41…c07e */
export function shortDigest(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':', 2)
  return hex.length > 12 ? `${algorithm}:${hex.slice(0, 4)}…${hex.slice(-4)}` : digest
}

/** How a protocol is called. */
export function protocolName(protocol: string): string {
  return (
    { postgres: 'PostgreSQL', ssh: 'SSH', kubernetes: 'Kubernetes', mcp: 'MCP', http: 'HTTP', access: 'access' }[
      protocol
    ] ?? protocol
  )
}
