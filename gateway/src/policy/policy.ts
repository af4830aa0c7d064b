import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { ConnectionRef, Effect } from '../gate/command.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import type { Stage } from './escalation.ts'
import {
  type LoadedPolicy,
  type PolicyFiles,
  type PolicyProblem,
  type Read,
  readPolicies,
  readPolicyTexts,
} from './load.ts'
import { cedarRequest, type PolicyRequest } from './request.ts'
import { schemaName } from './schema.ts'

export type { PolicyProblem } from './load.ts'

/** Who asks for what, and when. `approval`: who has approved, for the decision at release. */
export interface DecideRequest {
  principal: AgentPrincipal
  connection: ConnectionRef
  effect: Effect
  context: { purpose?: string; grant?: string; time: Date }
  approval?: { groups: string[]; people: string[] }
}

/** One holding policy: `quorum` distinct people out of `groups` must approve. */
export interface Requirement {
  policy: string
  reason?: string
  groups: string[]
  quorum: number
  /** Groups that may decide, too, once nobody has answered for so long; absent where the policy doesn't say. */
  escalation?: Stage[]
  /** It may disturb people in quiet hours. */
  critical?: true
}

export interface PolicyDecision {
  outcome: 'allow' | 'deny' | 'hold'
  /** Ids of the policies that decided, and of those that could not be evaluated; empty where nothing permits. */
  policies: string[]
  /** Where it is a hold, one for each holding policy. */
  requirements: Requirement[]
  /** What went wrong while evaluating: then the outcome is deny. */
  errors: string[]
}

/** A set of policies that was loaded, and never changes. */
export interface Policies {
  /** `sha256:HEX` over all files: another set has another version. */
  readonly version: string
  readonly texts: readonly { file: string; text: string }[]
  readonly list: readonly Omit<LoadedPolicy, 'text'>[]
  /** Text of a policy's `@reason`, where it has one. */
  reasonOf(policy: string): string | undefined
  /** Decides one effect (contract.md section 4, Deciding). Never throws: what can't be decided is denied. */
  decide(request: DecideRequest): PolicyDecision
}

export type LoadResult =
  | { ok: true; policies: Policies; warnings: PolicyProblem[] }
  | { ok: false; problems: PolicyProblem[] }

/**
 * Loads a folder of `*.cedar` files.
 * @param options remembered: how many decisions are kept for asking again (10,000); overlays: of reviews, behind the
 * folder's files
 */
export async function loadPolicies(
  folder: string,
  options: { remembered?: number; overlays?: readonly { file: string; text: string }[] } = {},
): Promise<LoadResult> {
  return loaded(await readPolicies(folder, options.overlays), options.remembered)
}

/**
 * As loadPolicies, of texts that were read before; overlays may be among them.
 * @param options strict: of a set that is to come in force
 */
export function loadPolicyTexts(
  texts: readonly { file: string; text: string }[],
  options: { remembered?: number; strict?: boolean } = {},
): LoadResult {
  return loaded(readPolicyTexts([...texts], options), options.remembered)
}

function loaded(read: Read, remembered = 10_000): LoadResult {
  if (!read.ok) return read
  return { ok: true, policies: createPolicies(read.files, remembered), warnings: read.files.warnings }
}

interface Answer {
  /** Never where something could not be evaluated. */
  allow: boolean
  /** Whom a verdict names: of a denial what forbids or errs, of an allow what permits. */
  deciding: LoadedPolicy[]
  errors: string[]
}

function createPolicies(files: PolicyFiles, remembered: number): Policies {
  const { policies, version } = files
  const sets = preparsed(policies)
  const byId = new Map(policies.map((policy) => [policy.id, policy]))
  const memory = new Map<string, PolicyDecision>()

  const authorize = (request: PolicyRequest): Answer => {
    try {
      const permits: LoadedPolicy[] = []
      const forbids: LoadedPolicy[] = []
      const errors: string[] = []
      const erring: LoadedPolicy[] = []
      for (const held of sets(request.principal.id)) {
        const answer = cedar.statefulIsAuthorized({
          ...request,
          preparsedSchemaName: schemaName,
          preparsedPolicySetId: held.id,
          validateRequest: true,
        })
        if (answer.type === 'failure')
          return { allow: false, deciding: [], errors: answer.errors.map((e) => e.message) }
        const { decision, diagnostics } = answer.response
        const named = (id: string) => policies[Number(id.slice(1))]!
        for (const id of diagnostics.reason) (decision === 'allow' ? permits : forbids).push(named(id))
        // An erring forbid is skipped by Cedar, so that the answer can be allow (field-notes): any error is a deny.
        errors.push(...diagnostics.errors.map((e) => `${named(e.policyId).id}: ${e.error.message}`))
        erring.push(...diagnostics.errors.map((e) => named(e.policyId)))
      }
      // As Cedar combines them: a forbid that applies decides, else the permits that do; without any it is no.
      const allow = forbids.length === 0 && permits.length > 0
      // What errs denies, whatever the permits say: it's not they who do.
      const deciding =
        erring.length > 0 ? [...new Set([...forbids, ...erring])] : forbids.length > 0 ? forbids : permits
      return { allow: allow && errors.length === 0, deciding, errors }
    } catch (error) {
      return { allow: false, deciding: [], errors: [error instanceof Error ? error.message : String(error)] }
    }
  }

  const decideNow = (request: DecideRequest): PolicyDecision => {
    const asked = cedarRequest(request)
    if (typeof asked === 'string') return { outcome: 'deny', policies: [], requirements: [], errors: [asked] }
    const { allow, deciding, errors } = authorize(asked)
    const ids = deciding.map((policy) => policy.id).sort()
    if (errors.length > 0) return { outcome: 'deny', policies: ids, requirements: [], errors }
    if (allow) return { outcome: 'allow', policies: ids, requirements: [], errors }
    const unheld = deciding.filter((policy) => !policy.hold).map((policy) => policy.id)
    // A default deny names no policy: nothing could be approved.
    if (ids.length === 0 || unheld.length > 0)
      return { outcome: 'deny', policies: unheld.sort(), requirements: [], errors }
    const requirements = deciding.map(requirementOf).sort((a, b) => (a.policy < b.policy ? -1 : 1))
    // Those of the escalation too: they are named at release where it was they who approved.
    const groups = new Set([...(request.approval?.groups ?? []), ...requirements.flatMap(everybodyOf)])
    const trialRequest = cedarRequest({
      ...request,
      approval: { groups: [...groups], people: request.approval?.people ?? [] },
    })
    if (typeof trialRequest === 'string')
      return { outcome: 'deny', policies: ids, requirements: [], errors: [trialRequest] }
    const trial = authorize(trialRequest)
    if (!trial.allow)
      // What still says no with an approval is what really decided; none where no policy permits.
      return {
        outcome: 'deny',
        policies: trial.deciding.map((p) => p.id).sort(),
        requirements: [],
        errors: trial.errors,
      }
    return { outcome: 'hold', policies: ids, requirements, errors }
  }

  return {
    version,
    texts: files.texts,
    list: policies.map(({ text: _, ...policy }) => policy),
    reasonOf: (id) => byId.get(id)?.reason,
    decide(request) {
      const key = rememberKey(request)
      if (key === undefined) return decideNow(request)
      let decision = memory.get(key)
      // Moved to the end, so that the first is the one asked for longest ago.
      if (decision) memory.delete(key)
      else decision = decideNow(request)
      memory.set(key, decision)
      if (memory.size > remembered) memory.delete(memory.keys().next().value!)
      return decision
    },
  }
}

/**
 * A set as Cedar is asked about it: the policies whose scope names another agent (`principal == Agent::"…"`) can neither
 * apply nor err, so an agent's questions go to those that name none, and to its own. Reviews leave hundreds that name one
 * agent each, of which every question would pay for all.
 */
function preparsed(policies: readonly LoadedPolicy[]): (agent: string) => readonly ParsedSet[] {
  const of = new Map<string | undefined, [key: string, policy: LoadedPolicy][]>([[undefined, []]])
  // The keys are those of the whole set.
  for (const [index, policy] of policies.entries()) {
    const own = of.get(policy.agent)
    if (own) own.push([`p${index}`, policy])
    else of.set(policy.agent, [[`p${index}`, policy]])
  }
  const everybodys = parsedSet(of.get(undefined)!)
  const known = new Map<string, readonly ParsedSet[]>()
  const alone = [everybodys]
  return (agent) => {
    const own = of.get(agent)
    if (!own) return alone
    // Parsed when it is asked for first: most sets never hear of most agents.
    let both = known.get(agent)
    if (!both) {
      both = [everybodys, parsedSet(own)]
      known.set(agent, both)
    }
    return both
  }
}

interface ParsedSet {
  readonly id: string
}

/**
 * Cedar keeps what it has parsed under an id for good, some 2 kB a policy. The id of a set that nobody can ask any more is
 * given to another one: whatever decides by a set holds on to the object that is answered here, not to the id.
 */
function parsedSet(policies: readonly [key: string, policy: LoadedPolicy][]): ParsedSet {
  const held = { id: unused.pop() ?? `policies ${++parsedSets}` }
  forgotten.register(held, held.id)
  const staticPolicies = Object.fromEntries(policies.map(([key, { text }]) => [key, text]))
  const parsed = cedar.preparsePolicySet(held.id, { staticPolicies })
  if (parsed.type === 'failure') throw new Error(`checked policies don't parse: ${parsed.errors[0]?.message}`)
  return held
}

let parsedSets = 0
const unused: string[] = []
const forgotten = new FinalizationRegistry<string>((id) => {
  cedar.preparsePolicySet(id, { staticPolicies: {} })
  unused.push(id)
})

function requirementOf(policy: LoadedPolicy): Requirement {
  return { policy: policy.id, ...(policy.reason === undefined ? {} : { reason: policy.reason }), ...policy.hold! }
}

/** All groups that may come to be asked. */
function everybodyOf({ groups, escalation = [] }: Requirement): string[] {
  return [...groups, ...escalation.flatMap((stage) => stage.groups)]
}

/** Everything that enters a decision, or undefined where that is too long to be worth keeping. */
function rememberKey({ principal, connection, effect, context, approval }: DecideRequest): string | undefined {
  const key = JSON.stringify([
    principal.id,
    principal.issuer,
    principal.owner ?? null,
    principal.onBehalfOf ?? null,
    principal.groups,
    connection.name,
    connection.kind,
    connection.tags,
    effect.action,
    effect.resource.type,
    effect.resource.id,
    effect.resource.attrs ?? null,
    effect.command,
    context.purpose ?? null,
    context.grant ?? null,
    Math.floor(context.time.getTime() / 3_600_000),
    approval ?? null,
  ])
  return key.length > 4096 ? undefined : key
}
