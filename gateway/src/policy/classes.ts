import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { type Mentioned, mentionsIn } from './permitted/mentioned.ts'
import type { DecideRequest, Policies, PolicyDecision } from './policy.ts'

/** A set that answers the same to all requests that its policies can't tell apart, and is asked of each such class once. */
export interface ClassifiedPolicies extends Policies {
  /** Whether any policy asks for an attribute of this name, of whatever. */
  mentions(attribute: string): boolean
}

/** Classes are kept until their keys have so many characters together; of longer ones each is asked. */
const ROOM = 16 * 1024 * 1024
const LONGEST = 8192

/**
 * For deciding very many requests: what no policy of the set names or asks for (an agent's id, a table's name, the hour)
 * can't change what they say, so that requests which differ in nothing else are one. Answers are those of `policies`.
 * @throws Error where a policy can't be read back
 */
export function classified(policies: Policies): ClassifiedPolicies {
  const mentioned = mentionsIn(jsonOf(policies))
  const resources = new Set(mentioned.resources.map(({ type, id }) => `${type} ${id}`))
  const memory = new Map<string, PolicyDecision>()
  let size = 0
  const { version, texts, list } = policies
  return {
    version,
    texts,
    list,
    reasonOf: (id) => policies.reasonOf(id),
    mentions: (attribute) => mentioned.attributes.has(attribute),
    decide(request) {
      const key = classOf(request, mentioned, resources)
      if (key === undefined || key.length > LONGEST) return policies.decide(request)
      let decision = memory.get(key)
      if (!decision) {
        decision = policies.decide(request)
        // What the decision takes counts, too.
        size += key.length + 300
        if (size > ROOM) {
          memory.clear()
          size = key.length + 300
        }
        memory.set(key, decision)
      }
      return decision
    },
  }
}

/** Everything of a request that the policies can tell; undefined of requests that are no commands. */
function classOf(
  { principal, connection, effect, context, approval }: DecideRequest,
  { groups, agents, attributes }: Mentioned,
  resources: ReadonlySet<string>,
): string | undefined {
  const { action, resource, command } = effect
  if (action === 'access:request' || action === 'data:reveal') return undefined
  const told = <T>(attribute: string, value: T): T | 0 => (attributes.has(attribute) ? value : 0)
  const { purpose = null, grant = null, time } = context
  return JSON.stringify([
    agents.has(principal.id) ? principal.id : 0,
    told('issuer', principal.issuer),
    told('owner', principal.owner ?? null),
    told('onBehalfOf', principal.onBehalfOf ?? null),
    principal.groups.filter((group) => groups.has(group)).sort(),
    connection.name,
    told('kind', connection.kind),
    told('tags', connection.tags),
    action,
    resource.type,
    resources.has(`${resource.type} ${resource.id}`) ? resource.id : 0,
    // In another connection than the command's nothing is permitted (request.ts).
    resource.id === connection.name,
    resource.id.startsWith(`${connection.name}/`),
    // What a context or an entity lacks, or has of another kind than the schema says, is an error whoever asks for it.
    members(resource.attrs ?? {}, attributes),
    members(command, attributes),
    told('purpose', purpose),
    told('grant', grant),
    told('time', [time.getUTCHours(), time.getUTCDay()]),
    approval ?? 0,
  ])
}

function members(of: Record<string, unknown>, attributes: ReadonlySet<string>): unknown[] {
  return Object.keys(of)
    .sort()
    .map((name) => {
      const value = of[name]
      return [name, attributes.has(name) ? value : Array.isArray(value) ? 'list' : typeof value]
    })
}

/** The policies as Cedar parses them: names with escapes are read as what they are. */
function jsonOf({ texts }: Pick<Policies, 'texts'>): cedar.PolicyJson[] {
  return texts.flatMap(({ file, text }) => {
    const parts = cedar.policySetTextToParts(text)
    if (parts.type === 'failure') throw new Error(`${file} can’t be read: ${parts.errors[0]?.message}`)
    return parts.policies.map((policy) => {
      const parsed = cedar.policyToJson(policy)
      if (parsed.type === 'failure') throw new Error(`${file} can’t be read: ${parsed.errors[0]?.message}`)
      return parsed.json
    })
  })
}
