import type { Permission } from '@countersign/contract/access'
import type { ItemEvidence } from '@countersign/contract/review'
import type { Subject } from '../recommend/subject.ts'

const PRODUCTION = /^prod(uction)?$/i
/** What changes something, or lets an agent do what no policy can see. */
const CHANGES =
  /^(sql:(write|ddl|admin|call|unknown)|ssh:(exec|shell|forward)|sftp:write|http:write|mcp:call|k8s:(create|update|patch|delete|deletecollection|exec|attach|portforward|proxy|token))$/

/**
 * Why an item is privileged, in words; none where it isn't. Such are decided one by one. By what policy permits, whether or
 * not people are asked about it, not by what was done.
 */
export function privilegedOf(subject: Subject, evidence: ItemEvidence): string[] {
  return subject.kind === 'rule' ? ofRule(evidence) : ofAccess(evidence)
}

function ofAccess({ permitted, connection }: ItemEvidence): string[] {
  const may = permitted.filter(({ verdict }) => verdict !== 'deny')
  const actions = new Set(may.map(({ action }) => action))
  const because: string[] = []
  const has = (action: string, words: string) => {
    if (actions.has(action)) because.push(`${words}${asked(may, action)}`)
  }
  has('sql:admin', 'may administer the database (sql:admin)')
  has('sql:ddl', 'may change what the database is made of (sql:ddl)')
  has('sql:unknown', 'may run what the gateway doesn’t understand (sql:unknown)')
  if (may.some(({ action, verdict }) => action === 'sql:write' && verdict === 'allow'))
    because.push('may write without any bound: every row at once, and nobody is asked')
  has('ssh:shell', 'may open a shell, in which nothing is policed (ssh:shell)')
  has('ssh:exec', 'may run programs (ssh:exec)')
  has('ssh:forward', 'may forward connections (ssh:forward)')
  const cluster = [...actions].filter((action) => action.startsWith('k8s:') && CHANGES.test(action))
  if (cluster.length > 0) because.push(`may change the cluster (${cluster.join(', ')})`)
  const reveals = may.filter(({ action }) => action === 'data:reveal').map(({ resource }) => resource)
  if (reveals.length > 0) {
    const classes = [...new Set(reveals)].filter((one) => one !== connection.name)
    because.push(`may see classified data as it is${classes.length > 0 ? `: ${classes.join(', ')}` : ''}`)
  }
  const changes = [...actions].filter((action) => CHANGES.test(action))
  const tag = connection.tags.find((one) => PRODUCTION.test(one))
  if (tag !== undefined && changes.length > 0) because.push(`may change something in ${tag}`)
  if (everything(permitted, connection.name)) because.push('may do everything on the connection')
  return because
}

/** Where people are asked each time, that is said. */
function asked(may: readonly Permission[], action: string): string {
  const mine = may.filter((line) => line.action === action)
  return mine.every(({ verdict }) => verdict === 'hold') ? ', once people let it' : ''
}

function everything(permitted: readonly Permission[], connection: string): boolean {
  const all = permitted.filter(({ resource, action }) => resource === connection && action !== 'data:reveal')
  return all.length > 1 && all.every(({ verdict }) => verdict === 'allow')
}

function ofRule({ connection, askers, through }: ItemEvidence): string[] {
  const because: string[] = []
  const tag = connection.tags.find((one) => PRODUCTION.test(one))
  if (tag !== undefined) because.push(`lets agents ask for access to ${tag}`)
  if (through.some(({ effect }) => effect === 'permit') && askers?.some(({ verdict }) => verdict === 'allow'))
    because.push('gives access without asking anybody')
  return because
}
