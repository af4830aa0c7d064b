import { z } from 'zod'
import { AccessAsked } from './access.ts'
import { AgentRef } from './identity.ts'

export const ApprovalState = z.enum(['pending', 'approved', 'used', 'denied', 'expired', 'cancelled'])
export type ApprovalState = z.infer<typeof ApprovalState>

/** One thing a command does: an action on a resource, both in the names of the policy schema. */
export const Effect = z.object({
  action: z.string().describe('for example sql:write'),
  resource: z.object({
    type: z.string().describe('Cedar entity type, for example Table'),
    id: z.string(),
    attrs: z.record(z.string(), z.string()).optional().describe('its attributes, where its id does not tell them'),
  }),
  kind: z.string().describe('the part of the statement that has this effect, for example delete'),
  bounded: z.boolean().describe('false where the effect reaches every row'),
  functions: z
    .array(z.string())
    .optional()
    .describe('SQL functions of the statement, as policy is told of them; absent in records of earlier versions'),
  command: z
    .record(z.string(), z.union([z.string(), z.boolean(), z.array(z.string())]))
    .optional()
    .describe('what policy is told of the command (context.command), where that is not kind, bounded and functions'),
})
export type Effect = z.infer<typeof Effect>

/** A wire parameter as text where it can be shown, `null` for SQL NULL, or bytes that have no text form. */
export const Parameter = z.union([z.string(), z.null(), z.object({ base64: z.string() })])
export type Parameter = z.infer<typeof Parameter>

/** Whether people were shown what a command of SSH reads from its standard input: `whole`, or `not-shown`. */
export const InputShown = z.enum(['whole', 'not-shown'])
export type InputShown = z.infer<typeof InputShown>

/** Kinds of commands that are sent something; `put` and `update` are sftp's, whose files nobody has seen. */
const withInput: ReadonlySet<string> = new Set(['exec', 'shell', 'put', 'update'])

/**
 * Parameters of a command of SSH: first all of its standard input, where people are shown it, else null; then the
 * variables that it runs with, each as `NAME=value`. What is absent at the end is left out.
 */
export function sshParameters(
  input: Parameter | undefined,
  environment: Readonly<Record<string, string>>,
): Parameter[] {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return input === undefined && variables.length === 0 ? [] : [input ?? null, ...variables]
}

/**
 * Parameters with the names that people know them by: `$1`, `$2`, …; of a command of SSH `input`, where it is known, and
 * its variables.
 */
export function namedParameters(command: { kind: string; parameters: readonly Parameter[] }): [string, Parameter][] {
  const { kind, parameters } = command
  if (kind !== 'exec' && kind !== 'shell') return parameters.map((value, i) => [`$${i + 1}`, value])
  return parameters.flatMap((value, i): [string, Parameter][] => {
    if (i === 0) return value === null ? [] : [['input', value]]
    const [, name = '', rest = ''] = (typeof value === 'string' && /^([^=]*)=(.*)$/s.exec(value)) || []
    return [[name, rest]]
  })
}

/**
 * What is known beforehand of a command's standard input: of SSH's `exec`, all of it stands in its first parameter where
 * it was there in time, and nothing of it otherwise; what will be typed into a `shell` nobody knows. Undefined where there
 * is no such thing.
 */
export function inputShown(command: { protocol: string; kind: string; parameters: unknown[] }): InputShown | undefined {
  if (command.protocol !== 'ssh' || !withInput.has(command.kind)) return undefined
  return command.kind === 'exec' && (command.parameters[0] ?? null) !== null ? 'whole' : 'not-shown'
}

export const Requirement = z.object({
  policy: z.string(),
  reason: z.string().optional(),
  groups: z.array(z.string()),
  quorum: z.number().int().positive(),
  approvedBy: z.array(z.string()).describe('names of the people who count towards this requirement'),
  escalation: z
    .array(z.object({ after: z.string().describe('a duration since it was asked for'), groups: z.array(z.string()) }))
    .optional()
    .describe('groups that may decide, too, once nobody has answered for so long'),
  critical: z.boolean().optional().describe('true where the policy says that it may disturb people in quiet hours'),
  escalatedTo: z.array(z.string()).optional().describe('groups of the escalation that are asked by now'),
})
export type Requirement = z.infer<typeof Requirement>

export const Decision = z.object({
  person: z.string().describe('name of the person'),
  personId: z.string(),
  verdict: z.enum(['approve', 'deny']),
  reason: z.string(),
  window: z.string(),
  at: z.iso.datetime(),
  inPlaceOf: z.array(z.string()).optional().describe('names of people who are away, and whose duty it was'),
  breakGlass: z.boolean().optional().describe('true where one person decided alone in an emergency'),
})
export type Decision = z.infer<typeof Decision>

/** What became of a command after an approval released it. */
export const Outcome = z.object({
  status: z.enum(['completed', 'failed']),
  sqlstate: z.string().optional(),
  message: z.string().optional(),
  tag: z.string().optional(),
  rows: z.number().int().nonnegative().optional(),
  ms: z.number().nonnegative().optional(),
})
export type Outcome = z.infer<typeof Outcome>

/** A held command (`GET /v1/approvals`). */
export const Approval = z.object({
  id: z.string(),
  state: ApprovalState,
  connection: z.string(),
  connectionTags: z.array(z.string()),
  protocol: z.string(),
  agent: z.string().describe('agent id, ISSUER#SUBJECT'),
  identity: AgentRef,
  session: z.string().describe('empty where it belongs to none, as a request for access does'),
  access: AccessAsked.optional().describe('where access is asked for, and no command held'),
  purpose: z.string().optional().describe("the requester's own words"),
  command: z.object({
    text: z.string(),
    parameters: z.array(Parameter),
    kind: z.string(),
    effects: z.array(Effect),
    digest: z.string().describe('sha256:HEX, what a decision binds to'),
    input: InputShown.optional().describe(
      'SSH: `whole`, its one parameter is all that it will read from standard input; `not-shown`: it may be sent anything, so it can be approved for once only',
    ),
  }),
  requirements: z.array(Requirement),
  decisions: z.array(Decision),
  requestedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  closedAt: z.iso.datetime().optional(),
  closedBecause: z.string().optional().describe('in words: why it expired, was cancelled or denied'),
  hold: z.enum(['wait', 'fail']),
  mayDecide: z.boolean().optional().describe('whether the caller may decide it now'),
  mayNotDecideBecause: z.string().optional(),
  outcome: Outcome.optional(),
  mayBreakGlass: z.boolean().optional().describe('whether the caller may approve it alone in an emergency'),
})
export type Approval = z.infer<typeof Approval>

/** Body of `POST /v1/approvals/ID/decisions`. */
export const DecisionRequest = z.strictObject({
  verdict: z.enum(['approve', 'deny']),
  reason: z.string().max(2000).default(''),
  digest: z.string(),
  window: z
    .union([z.enum(['once', 'session']), z.string().regex(/^[1-9]\d*(s|m|h|d)$/, 'a duration such as 30m')])
    .default('once'),
  breakGlass: z.boolean().default(false).describe('approves alone, whatever the quorum; needs a reason, is reviewed'),
})
export type DecisionRequest = z.input<typeof DecisionRequest>
