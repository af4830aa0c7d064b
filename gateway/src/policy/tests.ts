import { argvOf } from '@countersign/contract/argv'
import { z } from 'zod'
import { parseDocument, type YamlDocument } from '../config/document.ts'
import { nearest } from '../config/problem.ts'
import type { Command, Effect, Resource } from '../gate/command.ts'
import type { LiveGrant } from '../gate/entrance.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import type { PolicyProblem } from './load.ts'
import { actionsIn } from './permitted/actions.ts'
import { attributesOf } from './permitted/resources.ts'

/** One test of a `*.test.yaml` (docs/policy.md, "Tests"): a command, and what policy is to say of it. */
export interface PolicyTest {
  file: string
  line: number
  name: string
  command: Command
  time: Date
  /** Who has approved; absent: nobody was asked. */
  approval?: { groups: string[]; people: string[] }
  expect: 'allow' | 'hold' | 'deny'
  /** Ids of the policies that are to decide, exactly; absent: any. */
  policies?: string[]
  /** Groups that are to be asked, exactly; absent: any. */
  groups?: string[]
  /** Part of the reason. */
  reason?: string
}

export const TESTS = '.test.yaml'
/** Of a file. */
const MOST_TESTS = 2000

const text = z.string().min(1).max(2000)
const texts = z.array(text).max(200)

const EffectForm = z.strictObject({
  action: text,
  resource: z.string().default(''),
  type: z.enum(['Connection', 'Table', 'Routine', 'Resource', 'Path', 'Tool', 'DataClass']).optional(),
  kind: text.optional(),
  bounded: z.boolean().optional(),
  functions: texts.optional(),
  command: z.record(z.string(), z.union([z.string(), z.boolean(), texts])).optional(),
  attrs: z.record(z.string(), z.string()).optional(),
  /** The command line of an `ssh:exec`. */
  run: z.string().optional(),
  actions: texts.optional(),
  seconds: z.number().int().positive().optional(),
})
const AgentForm = z.strictObject({
  id: text.optional(),
  groups: texts.default([]),
  owner: text.optional(),
  onBehalfOf: text.optional(),
})
const ConnectionForm = z.strictObject({
  kind: z.enum(['postgres', 'ssh', 'kubernetes', 'http', 'mcp']).default('postgres'),
  tags: texts.default([]),
  access: z.enum(['standing', 'jit']).default('standing'),
})
const GrantForm = z.strictObject({
  id: text.default('gr_test'),
  actions: texts.optional(),
  resources: texts.optional(),
})
const TestForm = z.strictObject({
  name: text,
  agent: z.union([text, AgentForm]).optional(),
  connection: text.optional(),
  purpose: text.optional(),
  time: z.iso.datetime({ offset: true }).optional(),
  grant: z.union([z.boolean(), GrantForm]).optional(),
  approval: z.strictObject({ groups: texts, people: texts.default([]) }).optional(),
  does: z.union([
    z.string(),
    EffectForm,
    z
      .array(z.union([z.string(), EffectForm]))
      .min(1)
      .max(100),
  ]),
  expect: z.enum(['allow', 'hold', 'deny']),
  policies: texts.optional(),
  groups: texts.optional(),
  reason: text.optional(),
})
const FileForm = z.strictObject({
  agents: z.record(z.string(), AgentForm).default({}),
  connections: z.record(z.string(), ConnectionForm).default({}),
  defaults: TestForm.pick({ agent: true, connection: true, purpose: true, time: true }).partial().default({}),
  tests: z.array(TestForm).min(1).max(MOST_TESTS),
})
type Form = z.infer<typeof FileForm>
type TestOfForm = Form['tests'][number]

/** A Monday morning (UTC), where a test doesn't say. */
const MONDAY = '2026-01-05T10:00:00Z'
/** Of agents whose id isn't said. */
const ISSUER = 'https://test.invalid'

/**
 * Reads a `*.test.yaml`.
 * @returns its tests, or all that is wrong with it, each with its line
 */
export function readTests(file: string, source: string): { tests: PolicyTest[]; problems: PolicyProblem[] } {
  const parsed = parseDocument(file, source)
  if (!parsed.ok)
    return {
      tests: [],
      problems: parsed.problems.map((one) =>
        one.mend.startsWith('write at least') ? { ...one, mend: 'write tests:' } : one,
      ),
    }
  const { document } = parsed
  const form = FileForm.safeParse(document.content)
  if (!form.success) return { tests: [], problems: problemsOf(file, document, form.error) }
  const problems: PolicyProblem[] = []
  const tests = form.data.tests.flatMap((one, at) => {
    const problem = (message: string, mend: string, ...path: PropertyKey[]) =>
      problems.push({ file, line: document.lineOf(['tests', at, ...path]), message, mend })
    return testOf(form.data, one, { file, line: document.lineOf(['tests', at]) }, problem) ?? []
  })
  return { tests, problems }
}

type Problem = (message: string, mend: string, ...path: PropertyKey[]) => void

function testOf(
  { agents, connections, defaults }: Form,
  own: TestOfForm,
  place: { file: string; line: number },
  problem: Problem,
): PolicyTest | undefined {
  const test = { ...defaults, ...own }
  const agent = typeof test.agent === 'string' ? named(agents, test.agent) : test.agent
  if (!agent) {
    const known = Object.keys(agents)
    problem(
      typeof test.agent === 'string'
        ? `there is no agent ${test.agent} under agents`
        : 'it doesn’t say whose command it is',
      suggestion(String(test.agent), known, 'write agent: with groups, or the name of one under agents'),
      'agent',
    )
  }
  const name = test.connection ?? only(Object.keys(connections))
  if (name === undefined) problem('it doesn’t say on which connection', 'write connection:', 'connection')
  if (!agent || name === undefined) return undefined
  const connection = named(connections, name) ?? ConnectionForm.parse({})
  const does = Array.isArray(test.does) ? test.does : [test.does]
  const effects: Effect[] = []
  for (const [at, one] of does.entries()) {
    const path = Array.isArray(test.does) ? ['does', at] : ['does']
    const effect = effectOf(typeof one === 'string' ? shortForm(one) : one, name, (message, mend) =>
      problem(message, mend, ...path),
    )
    if (!effect) return undefined
    effects.push(effect)
  }
  const principal = agentOf(typeof test.agent === 'string' ? test.agent : 'agent', agent)
  const { approval, expect, policies, groups, reason } = test
  return {
    ...place,
    name: test.name,
    time: new Date(test.time ?? MONDAY),
    command: {
      protocol: connection.kind,
      connection: { name, kind: connection.kind, tags: connection.tags, access: connection.access, mode: 'enforce' },
      agent: principal,
      session: {
        id: 'test',
        ...(test.purpose !== undefined && { purpose: test.purpose }),
        // Who asks for a grant needs none to ask.
        backing: {
          needed: connection.access === 'jit' && effects.every(({ action }) => action !== 'access:request'),
          grants: grantsOf(test.grant),
        },
      },
      text: '',
      parameters: [],
      kind: String(effects[0]!.command.kind ?? ''),
      effects,
      meaning: {},
    },
    expect,
    ...(approval && { approval }),
    ...(policies && { policies }),
    ...(groups && { groups }),
    ...(reason !== undefined && { reason }),
  }
}

function agentOf(name: string, { id, groups, owner, onBehalfOf }: z.infer<typeof AgentForm>): AgentPrincipal {
  const whole = id?.includes('#') ? id : `${ISSUER}#${id ?? name}`
  const at = whole.indexOf('#')
  return {
    kind: 'agent',
    id: whole,
    issuer: whole.slice(0, at),
    subject: whole.slice(at + 1),
    name,
    groups,
    ...(owner !== undefined && { owner }),
    ...(onBehalfOf !== undefined && { onBehalfOf }),
    expiresAt: new Date(8.64e15),
  }
}

/** `true` covers everything; it has no end. */
function grantsOf(grant: TestOfForm['grant']): LiveGrant[] {
  if (grant === undefined || grant === false) return []
  const { id, actions, resources } = grant === true ? GrantForm.parse({}) : grant
  return [
    {
      id,
      actions: actions ?? ['sql', 'ssh', 'sftp', 'k8s', 'http', 'mcp', 'data:reveal'],
      ...(resources && { resources }),
      endsAt: Number.POSITIVE_INFINITY,
    },
  ]
}

/** `sql:write orders/public.customers delete, every row`, `ssh:exec systemctl restart shop`, `sftp:read /etc/hosts` */
function shortForm(words: string): z.infer<typeof EffectForm> {
  const line = /^\s*ssh:exec\s+([\s\S]*?)\s*$/.exec(words)?.[1]
  if (line !== undefined) return { action: 'ssh:exec', resource: '', run: line }
  const everyRow = /,\s*every row\s*$/.exec(words)
  const rest = everyRow ? words.slice(0, everyRow.index) : words
  const [, action = '', resource = '', kind] =
    /^(\S+)(?:\s+((?:"(?:[^"]|"")*"|\S)+))?(?:\s+(\S+))?\s*$/.exec(rest.trim()) ?? []
  return { action, resource, ...(kind !== undefined && { kind }), ...(everyRow && { bounded: false }) }
}

/** Kinds where none is said. */
const kinds: Record<string, string> = {
  'sql:connect': 'connect',
  'sql:read': 'select',
  'sql:write': 'update',
  'sql:ddl': 'create',
  'sql:admin': 'set',
  'sql:call': 'call',
  'sql:unknown': 'unknown',
}

function effectOf(
  form: z.infer<typeof EffectForm>,
  connection: string,
  problem: (message: string, mend: string) => void,
): Effect | undefined {
  const { action } = form
  const declared = actionsIn.get(action)
  if (!declared) {
    const words = action === '' ? 'it doesn’t say what is done' : `there is no action ${action}`
    problem(
      words,
      suggestion(action, [...actionsIn.keys()], 'write an action and a resource: sql:read orders/public.customers'),
    )
    return undefined
  }
  const whole = form.resource === '' && declared.resourceTypes.includes('Connection')
  // A path of a host is within the connection, always.
  const path = action.startsWith('sftp:') && form.resource.startsWith('/')
  const id = whole ? connection : path ? `${connection}/${form.resource}` : form.resource
  const type = form.type ?? typeOf(declared.resourceTypes, id, connection)
  if (!type || !declared.resourceTypes.includes(type)) {
    const can = declared.resourceTypes.join(', ')
    problem(
      `${action} can’t be done to ${id || 'nothing'}`,
      `name one of: ${can}; all but data classes within ${connection}/`,
    )
    return undefined
  }
  const attrs = form.attrs ?? attributes(type, id)
  if (!attrs && type !== 'Connection' && type !== 'DataClass') {
    problem(`the attributes of ${id} can’t be told by its id`, 'quote its parts as quote_ident() does, or write attrs:')
    return undefined
  }
  return {
    action,
    resource: { type, id, ...(attrs && { attrs }) },
    command: commandOf(form),
  }
}

function commandOf({
  action,
  kind,
  bounded,
  functions,
  command,
  actions,
  seconds,
  run,
}: z.infer<typeof EffectForm>): Effect['command'] {
  if (command) return command
  if (action === 'ssh:exec' && run !== undefined) return { ...argvOf(run) }
  // What opens a connection or a shell, and what is done to a file, comes without a command line.
  if (action.startsWith('ssh:') || action.startsWith('sftp:'))
    return { argv: '', program: '', shell: action === 'ssh:shell' }
  if (action === 'access:request') return { actions: actions ?? [], seconds: String(seconds ?? 3600) }
  if (!action.startsWith('sql:')) return {}
  return { kind: kind ?? kinds[action] ?? '', bounded: bounded ?? true, functions: functions ?? [] }
}

function typeOf(types: readonly string[], id: string, connection: string): Resource['type'] | undefined {
  if (types.includes('DataClass')) return 'DataClass'
  if (id === connection) return 'Connection'
  if (!id.startsWith(`${connection}/`)) return undefined
  // Of a call the routine, not the table whose rows it may be given.
  const order = ['Routine', 'Table', 'Tool', 'Resource', 'Path'] as const
  return order.find((type) => types.includes(type))
}

function attributes(type: string, id: string): Record<string, string> | undefined {
  const rest = id.slice(id.indexOf('/') + 1)
  if (type === 'Path') return { path: rest }
  if (type === 'Resource') {
    const parts = rest.split('/')
    if (parts.length !== 4 && parts.length !== 5) return undefined
    const [group = '', resource = ''] = parts
    const [namespace = '', name = ''] = parts.slice(-2)
    return { group, resource, subresource: parts.length === 5 ? parts[2]! : '', namespace, name }
  }
  const known = attributesOf(type, id)
  return known && Object.fromEntries(known)
}

function problemsOf(file: string, document: YamlDocument, error: z.ZodError): PolicyProblem[] {
  return error.issues.slice(0, 20).flatMap((issue): PolicyProblem[] => {
    const line = document.lineOf(issue.path)
    const where = issue.path.map(String).join('.')
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        file,
        line: document.lineOf([...issue.path, key]),
        message: `${key} means nothing ${where === '' ? 'here' : `in ${where}`}`,
        mend: suggestion(key, known, `known are ${known.join(', ')}`),
      }))
    return [
      {
        file,
        line,
        message: `${where === '' ? 'the file' : where}: ${issue.message}`,
        mend: 'see docs/policy.md, "Tests"',
      },
    ]
  })
}
const known = [...Object.keys(FileForm.shape), ...Object.keys(TestForm.shape).filter((key) => !(key in FileForm.shape))]

function suggestion(word: string, among: readonly string[], otherwise: string): string {
  const near = nearest(word, among)
  return near === undefined ? otherwise : `did you mean ${near}?`
}

/** An own member: a name may be `constructor`. */
const named = <T>(all: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(all, name) ? all[name] : undefined

const only = (names: readonly string[]) => (names.length === 1 ? names[0] : undefined)
