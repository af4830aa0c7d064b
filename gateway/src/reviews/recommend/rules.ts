import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { ItemEvidence } from '@countersign/contract/review'
import { formatted, quoted, uid } from './cedar.ts'
import type { Subject } from './subject.ts'
import type { Tighter } from './tighter.ts'

type RuleSubject = Extract<Subject, { kind: 'rule' }>

/** A rule that can't be taken back or tightened by a policy beside it. */
export class NoPolicyForRule extends Error {
  override name = 'NoPolicyForRule'
}

/** Leaves those whom the rule gave access in the window what they were given, for as long as they were given it. */
export function tighterRule(subject: RuleSubject, evidence: ItemEvidence): Tighter {
  const used = (evidence.askers ?? []).filter(({ grants }) => grants > 0).map(({ agent }) => agent)
  const actions = [...new Set(evidence.grants.flatMap((grant) => grant.actions))].sort()
  if (used.length === 0 || used.length > 200 || actions.length === 0)
    throw new NoPolicyForRule('Nobody was given access by this rule, or too many were, to be told one by one.')
  const agents = used.map((agent) => uid('Agent', agent)).sort()
  const who = agents.length === 1 ? `principal == ${agents[0]}` : `principal in [${agents.join(', ')}]`
  const unless = `unless { ${who} && [${actions.map(quoted).join(', ')}].containsAll(context.actions) }`
  const text = forbidding(subject, evidence, unless)
  const others = (evidence.askers ?? []).length - used.length
  return {
    policy: text,
    keeps: [`${used.length} agents may ask for ${actions.join(', ')}`],
    drops: [
      ...(others > 0 ? [`${others} other agents that it lets ask`] : []),
      'any other agent that will be in its groups',
      'any other action',
    ],
  }
}

/** Takes the rule back: whom it lets ask can’t ask any more, under the conditions that it has. */
export function revokingRule(subject: RuleSubject, evidence: ItemEvidence): string {
  return forbidding(subject, evidence, '')
}

/** The rule as a forbid of access:request on the connection, with its scope and its conditions but for the approval. */
function forbidding({ policy, connection }: RuleSubject, evidence: ItemEvidence, unless: string): string {
  const rule = evidence.through.find((one) => one.policy === policy)
  const parsed = rule && cedar.policyToJson(rule.text)
  if (parsed?.type !== 'success') throw new NoPolicyForRule(`What ${policy} says is not known.`)
  const { principal, conditions } = parsed.json
  const written = cedar.policyToText({
    effect: 'forbid',
    principal,
    action: { op: '==', entity: { type: 'Action', id: 'access:request' } },
    resource: { op: '==', entity: { type: 'Connection', id: connection } },
    conditions: conditions.filter((condition) => !JSON.stringify(condition).includes('"approval"')),
  })
  if (written.type === 'failure') throw new NoPolicyForRule(`What ${policy} says can’t be taken back by a policy.`)
  const reason = `Access review: access by ${policy} on ${connection}`
  return formatted(`@reason(${quoted(reason)})\n${written.text.trim().replace(/;$/, '')} ${unless};`)
}
