import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { LoadedPolicy } from '../load.ts'
import { actionsIn } from './actions.ts'
import { type EntityValue, entity, evaluate, type Surroundings, type Truth, UNKNOWN, type Value } from './expression.ts'
import { mentionsIn } from './mentioned.ts'
import { attributesOf, type NamedResource } from './resources.ts'

/** Who is asked about. */
export interface Subject {
  id: string
  issuer: string
  groups: readonly string[]
  owner?: string | undefined
  /** On whose behalf, empty for nobody's; absent: it may be anybody's. */
  onBehalfOf?: string | undefined
}

export interface Where {
  name: string
  kind: string
  tags: readonly string[]
}

/** `others`: every resource that the action can be for and that no policy names. */
export interface PermittedQuestion {
  subject: Subject
  connection: Where
  action: string
  resource: NamedResource | 'others'
  /** Whether it is done under a grant, and under which one. */
  grant?: string
}

export interface PermittedAnswer {
  /** `depends`: on what is asked for: the command, the time, the purpose, on whose behalf it is, which resource it is. */
  verdict: 'allow' | 'hold' | 'deny' | 'depends'
  /** Those that decide; where it depends, all that may. */
  policies: string[]
}

/** What a set of policies permits, as far as that can be told without a command. */
export interface Permitted {
  readonly version: string
  /** Resources that policies name, by their ids. */
  readonly named: readonly NamedResource[]
  /** Whether it makes a difference to any policy that there is a grant, and which. */
  readonly tellsGrants: boolean
  answer(question: PermittedQuestion): PermittedAnswer
  /** Permits that apply, or may. */
  mayPermit(question: PermittedQuestion): string[]
  /** Subjects of the same class are answered the same. */
  classOf(subject: Subject): string
}

/** A policy as it was loaded, and as Cedar parses it. */
export interface Readable {
  policy: LoadedPolicy
  json: cedar.PolicyJson
}

/** Has Cedar parse policies that were loaded. @throws Error where one can't be read */
export function readableOf(policies: readonly LoadedPolicy[]): Readable[] {
  return policies.map((policy) => {
    const parsed = cedar.policyToJson(policy.text)
    if (parsed.type === 'failure') throw new Error(`${policy.id} can’t be read: ${parsed.errors[0]?.message}`)
    return { policy, json: parsed.json }
  })
}

/**
 * Answers for every context at once: it holds what is unknown (command, time, purpose, on whose behalf) for unknown, and
 * says `allow`, `hold` or `deny` only where policy says the same whatever that is. It evaluates policies by itself, as
 * Cedar parses them: an old set is as good as the one in force, and disturbs it in nothing.
 */
export function createPermitted(version: string, readable: readonly Readable[]): Permitted {
  const compiled = readable.map(compile)
  const mentioned = mentionsIn(readable.map(({ json }) => json))
  const byAction = new Map<string, Compiled[]>()
  const ofAction = (action: string): Compiled[] => {
    let some = byAction.get(action)
    if (!some) {
      some = compiled.filter((one) => actionFits(one.action, action))
      byAction.set(action, some)
    }
    return some
  }

  return {
    version,
    named: mentioned.resources,
    tellsGrants: mentioned.attributes.has('grant'),
    classOf: ({ id, issuer, groups, owner, onBehalfOf }) =>
      JSON.stringify([
        groups.filter((group) => mentioned.groups.has(group)).sort(),
        mentioned.attributes.has('issuer') ? issuer : '',
        mentioned.attributes.has('owner') ? (owner ?? null) : '',
        mentioned.agents.has(id) ? id : '',
        mentioned.attributes.has('onBehalfOf') ? (onBehalfOf ?? null) : '',
      ]),
    answer(question) {
      const some = ofAction(question.action)
      const types = typesOf(question)
      let answer: PermittedAnswer | undefined
      for (const type of types) {
        const one = decide(some, question, type)
        answer = answer ? together(answer, one) : one
      }
      return answer ?? { verdict: 'deny', policies: [] }
    },
    mayPermit(question) {
      const permits = ofAction(question.action).filter(({ policy }) => policy.effect === 'permit')
      const found = typesOf(question).flatMap((type) => {
        const now = surroundingsOf(question, type, undefined)
        return permits.filter((one) => isPossible(applies(one, now).truth)).map(({ policy }) => policy.id)
      })
      return [...new Set(found)].sort()
    },
  }
}

/** Of a resource whose type is not known it may be any that the action can be for. */
function typesOf({ action, resource, connection }: PermittedQuestion): string[] {
  const resourceTypes = actionsIn.get(action)?.resourceTypes ?? []
  if (resource === 'others') return resourceTypes
  if (resource.type !== undefined) return resourceTypes.includes(resource.type) ? [resource.type] : []
  return resourceTypes.filter((type) => (type === 'Connection') === (resource.id === connection.name))
}

function together(a: PermittedAnswer, b: PermittedAnswer): PermittedAnswer {
  const policies = [...new Set([...a.policies, ...b.policies])].sort()
  return { verdict: a.verdict === b.verdict ? a.verdict : 'depends', policies }
}

/** Whether a policy applies; where it could not be evaluated in some case, that is an error, and a deny. */
interface Applies {
  truth: Truth
  mayFail: boolean
}

interface Said extends Compiled {
  now: Applies
}

/** Who has approved, for the trial; the groups are unknown where it is not known who would be asked. */
type Approved = { groups: readonly string[] | undefined }

/**
 * The best that can come of it and the worst (contract.md section 4, Deciding): the more permits apply and the fewer
 * forbids, the better; where both are the same, it is that whatever else is unknown.
 */
function decide(policies: readonly Compiled[], question: PermittedQuestion, type: string): PermittedAnswer {
  const now = surroundingsOf(question, type, undefined)
  const all = policies.map((one): Said => ({ ...one, now: applies(one, now) }))
  const of = (effect: 'permit' | 'forbid', fits: (truth: Truth) => boolean) =>
    all.filter(({ policy, now }) => policy.effect === effect && fits(now.truth))
  const permits = { must: of('permit', isTrue), may: of('permit', isPossible) }
  const forbids = { must: of('forbid', isTrue), may: of('forbid', isPossible) }
  const varies = forbids.may.length > forbids.must.length
  /** What still applies once all who are asked have approved. */
  const trial = (asked: readonly Said[]) => {
    const groups = varies ? undefined : [...new Set(asked.flatMap(({ policy }) => groupsOf(policy)))]
    const approved = surroundingsOf(question, type, { groups })
    return policies.map((one) => ({ policy: one.policy, approved: applies(one, approved) }))
  }
  const outcome = (forbidding: readonly Said[], isPermitted: boolean, hopeful: boolean): Outcome => {
    if (forbidding.length === 0) return isPermitted ? 'allow' : 'deny'
    if (forbidding.some(({ policy }) => !policy.hold)) return 'deny'
    const tried = trial(forbidding)
    const some = (effect: 'permit' | 'forbid', fits: (truth: Truth) => boolean) =>
      tried.some(({ policy, approved }) => policy.effect === effect && fits(approved.truth))
    if (!hopeful && tried.some(({ approved }) => approved.mayFail)) return 'deny'
    const forbidden = some('forbid', hopeful ? isTrue : isPossible)
    return !forbidden && some('permit', hopeful ? isPossible : isTrue) ? 'hold' : 'deny'
  }
  const best = outcome(forbids.must, permits.may.length > 0, true)
  const worst = all.some(({ now }) => now.mayFail) ? 'deny' : outcome(forbids.may, permits.must.length > 0, false)
  // A permit that asks for an approval makes a hold of what would be a deny: then more forbids aren't worse.
  const crooked = varies && policies.some(({ policy, asks }) => policy.effect === 'permit' && asks)
  if (best !== worst || crooked) return { verdict: 'depends', policies: idsOf([...permits.may, ...forbids.may]) }
  if (best === 'allow') return { verdict: 'allow', policies: idsOf(permits.must) }
  if (best === 'hold') return { verdict: 'hold', policies: idsOf(forbids.must) }
  return { verdict: 'deny', policies: idsOf(forbids.must.filter(({ policy }) => !policy.hold)) }
}

type Outcome = 'allow' | 'hold' | 'deny'
const isTrue = (truth: Truth) => truth === true
const isPossible = (truth: Truth) => truth !== false
const idsOf = (some: readonly Said[]) => some.map(({ policy }) => policy.id).sort()

/** All who may come to be asked. */
function groupsOf({ hold }: LoadedPolicy): string[] {
  return hold ? [...hold.groups, ...(hold.escalation ?? []).flatMap((stage) => stage.groups)] : []
}

/** A policy as it is evaluated: scopes are conditions in Cedar's eyes, too, and come first. */
interface Compiled {
  policy: LoadedPolicy
  action: cedar.ActionConstraint
  conditions: readonly { expression: cedar.Expr; negated: boolean }[]
  /** Whether it speaks of an approval. */
  asks: boolean
}

function compile({ policy, json }: Readable): Compiled {
  const scope = [inScope('principal', json.principal), inScope('resource', json.resource)]
  return {
    policy,
    action: json.action,
    conditions: [
      ...scope.flatMap((expression) => (expression ? [{ expression, negated: false }] : [])),
      ...json.conditions.map(({ kind, body }) => ({ expression: body, negated: kind === 'unless' })),
    ],
    asks: JSON.stringify(json.conditions).includes('"approval"'),
  }
}

function applies({ conditions }: Compiled, surroundings: Surroundings): Applies {
  let mayFail = false
  let truth: Truth = true
  for (const { expression, negated } of conditions) {
    const evaluated = evaluate(expression, surroundings)
    const one: Truth = typeof evaluated.value === 'boolean' ? evaluated.value !== negated : UNKNOWN
    if (one === false) return { truth: false, mayFail: mayFail || evaluated.mayFail }
    mayFail ||= evaluated.mayFail
    if (one === UNKNOWN) truth = UNKNOWN
  }
  return { truth, mayFail }
}

function inScope(
  variable: 'principal' | 'resource',
  constraint: cedar.PrincipalConstraint | cedar.ResourceConstraint,
): cedar.Expr | undefined {
  const left = { Var: variable }
  const literal = (named: unknown): cedar.Expr => {
    const { __entity, ...plain } = named as { __entity?: { type: string; id: string }; type: string; id: string }
    return { Value: { __entity: __entity ?? plain } }
  }
  switch (constraint.op) {
    case 'All':
      return undefined
    case '==':
      return { '==': { left, right: literal((constraint as { entity?: unknown }).entity) } }
    case 'in':
      return { in: { left, right: literal((constraint as { entity?: unknown }).entity) } }
    case 'is': {
      const within = constraint.in && literal((constraint.in as { entity?: unknown }).entity)
      return { is: { left, entity_type: constraint.entity_type, ...(within && { in: within }) } }
    }
  }
}

function actionFits(constraint: cedar.ActionConstraint, action: string): boolean {
  if (constraint.op === 'All') return true
  const { entity: one, entities } = constraint as { entity?: { id: string }; entities?: { id: string }[] }
  const names = [action, ...(constraint.op === 'in' ? (actionsIn.get(action)?.groups ?? []) : [])]
  return [one, ...(entities ?? [])].some((named) => {
    const { __entity, id } = (named ?? {}) as { __entity?: { id: string }; id?: string }
    return names.includes(String(__entity?.id ?? id))
  })
}

/** What is known of a question; the rest of the context is unknown. */
function surroundingsOf(
  { subject, connection, action, resource, grant }: PermittedQuestion,
  type: string,
  approved: Approved | undefined,
): Surroundings {
  const principal = entity('Agent', subject.id)
  const gateway = entity('Connection', connection.name)
  const id = resource === 'others' ? `${connection.name}/${NOBODY_NAMES}` : resource.id
  const target = type === 'Connection' ? gateway : entity(type, id)
  const attributes = resource === 'others' ? undefined : attributesOf(type, id)
  const groups = subject.groups.map((group) => entity('Group', group))
  const is = (a: EntityValue, b: EntityValue) => a.entity.type === b.entity.type && a.entity.id === b.entity.id
  return {
    principal,
    action: entity('Action', action),
    resource: target,
    ancestors(one) {
      if (is(one, principal)) return groups
      if (one.entity.type === 'Action')
        return (actionsIn.get(one.entity.id)?.groups ?? []).map((group) => entity('Action', group))
      return is(one, target) && type !== 'Connection' && type !== 'DataClass' ? [gateway] : []
    },
    attribute(one, name): Value | undefined {
      if (is(one, principal)) {
        if (name === 'issuer') return subject.issuer
        if (name === 'owner') return subject.owner
        if (name !== 'onBehalfOf') return undefined
        // An agent may come for one and for another.
        return subject.onBehalfOf === undefined ? UNKNOWN : subject.onBehalfOf || undefined
      }
      if (is(one, gateway)) return name === 'kind' ? connection.kind : name === 'tags' ? connection.tags : undefined
      return is(one, target) ? (attributes ? attributes.get(name) : UNKNOWN) : undefined
    },
    context(name): Value | undefined {
      if (name === 'approval' && action !== 'data:reveal')
        return (
          approved &&
          new Map<string, Value>([
            ['groups', approved.groups ?? UNKNOWN],
            ['people', []],
          ])
        )
      if (name === 'approval') return undefined
      if (name === 'grant') return grant
      if (name === 'connection' && action === 'data:reveal') return gateway
      return UNKNOWN
    },
  }
}

/** In no id: names have no such character. */
const NOBODY_NAMES = '\u0000'
