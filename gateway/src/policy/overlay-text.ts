import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { blankComments, splitPolicies, tooDeep } from './cedar-text.ts'

/**
 * The text of an overlay: forbids beside the policy folder, each of them about one agent (or about those whom a rule gives
 * access) on one connection (docs/policy.md, "Overlays"). What it says of itself (`@id`) is not its name: it is known as
 * `overlay/ID#N`, in a file `overlay:ID.cedar` that is in no folder.
 */

/** What no file of the folder may be called, so that none is taken for an overlay. */
export const OVERLAY_FILES = 'overlay:'
/** What no policy of the folder may be called. */
export const OVERLAY_POLICIES = 'overlay/'
/** So long an overlay may be, also as JSON in bytes (an entry of the ledger has it whole), and of so many policies. */
export const OVERLAY_MOST = { characters: 64_000, bytes: 60_000, policies: 100 }

export function overlayFile(id: string): string {
  return `${OVERLAY_FILES}${id}.cedar`
}

/** The overlay whose file that is; undefined for one of the folder. */
export function overlayOf(file: string): string | undefined {
  return file.startsWith(OVERLAY_FILES) ? file.slice(OVERLAY_FILES.length).replace(/\.cedar$/, '') : undefined
}

export function overlayPolicy(id: string, number: number): string {
  return `${OVERLAY_POLICIES}${id}#${number}`
}

/** Whom and what an overlay may be about. */
export interface OverlayBounds {
  /** Absent of one about a rule. */
  agent?: string | undefined
  connection: string
  /** Of a rule: whom its policies are about, each one's scope. */
  principals?: readonly cedar.PrincipalConstraint[]
}

/** A policy of an overlay, as it stands in the text and as Cedar parses it. */
export interface OverlayPolicy {
  text: string
  json: cedar.PolicyJson
}

/** Why a text is no overlay of these bounds, in sentences; its policies where it is. The schema isn't asked here. */
export function readOverlay(
  text: string,
  bounds: OverlayBounds,
): { ok: true; policies: OverlayPolicy[] } | { ok: false; problems: string[] } {
  if (text.length > OVERLAY_MOST.characters)
    return { ok: false, problems: [`it is longer than ${OVERLAY_MOST.characters} characters`] }
  if (Buffer.byteLength(JSON.stringify(text)) > OVERLAY_MOST.bytes)
    return { ok: false, problems: [`it is longer than ${OVERLAY_MOST.bytes} bytes`] }
  // What turns text around, or isn't seen, would show another policy than the one that is applied.
  if (/[^\P{C}\n\r\t]|[\p{Zl}\p{Zp}]|\r(?!\n)/u.test(text))
    return { ok: false, problems: ['it has characters that can’t be seen'] }
  const blanked = blankComments(text)
  // Before Cedar is asked: whoever overflows its stack takes policy from everybody.
  if (tooDeep(blanked) !== undefined) return { ok: false, problems: ['it is nested too deep'] }
  const whole = cedar.policySetTextToParts(blanked)
  if (whole.type === 'failure') return { ok: false, problems: whole.errors.map(({ message }) => message) }
  const parts = splitPolicies(blanked)
  if (whole.policy_templates.length > 0) return { ok: false, problems: ['a template (?principal, ?resource) is none'] }
  if (parts.length === 0) return { ok: false, problems: ['there is no policy in it'] }
  if (parts.length !== whole.policies.length || parts.length > OVERLAY_MOST.policies)
    return {
      ok: false,
      problems: [`it has ${whole.policies.length} policies, ${OVERLAY_MOST.policies} at most may be`],
    }
  const policies: OverlayPolicy[] = []
  const problems: string[] = []
  for (const [at, part] of parts.entries()) {
    const parsed = cedar.policyToJson(part.text)
    if (parsed.type === 'failure') problems.push(...parsed.errors.map(({ message }) => message))
    else {
      policies.push({ text: part.text, json: parsed.json })
      problems.push(...beyond(parsed.json, bounds).map((words) => `its policy ${at + 1} ${words}`))
    }
  }
  return problems.length === 0 ? { ok: true, policies } : { ok: false, problems }
}

/** What in a policy of an overlay reaches beyond what it may be about, in words that go on after "it". */
function beyond(json: cedar.PolicyJson, bounds: OverlayBounds): string[] {
  const found: string[] = []
  if (json.effect !== 'forbid') found.push('is a permit: an overlay only forbids')
  for (const name of Object.keys(json.annotations ?? {}))
    if (name !== 'id' && name !== 'reason') found.push(`has @${name}: an overlay has @id and @reason alone`)
  if (asksForApproval(json.conditions)) found.push('speaks of an approval: nobody is asked about an overlay')
  if (bounds.agent !== undefined) {
    if (!isAgent(json.principal, bounds.agent)) found.push(`is not about principal == Agent::"${bounds.agent}"`)
    if (!onConnection(json, bounds.connection)) found.push(`is not about resources of ${bounds.connection} alone`)
    return found
  }
  if (!isRequest(json.action)) found.push('is not about action == Action::"access:request" alone')
  if (!isEntity(json.resource, 'Connection', bounds.connection))
    found.push(`is not about resource == Connection::"${bounds.connection}"`)
  if (!within(json.principal, bounds.principals ?? [])) found.push('is about others than the rule is')
  return found
}

/** Whether an attribute of that name is asked for, of whatever; a schema or a program may be called so, too. */
function asksForApproval(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return false
  if ('attr' in node && [node.attr].flat().includes('approval')) return true
  return Object.values(node).some(asksForApproval)
}

type Uid = { type: string; id: string }
const plain = (uid: unknown): Uid => {
  const { __entity, type, id } = uid as { __entity?: Uid; type: string; id: string }
  return __entity ?? { type, id }
}
const is = (uid: unknown, type: string, id: string) => plain(uid).type === type && plain(uid).id === id

function isEntity(scope: cedar.PrincipalConstraint | cedar.ResourceConstraint, type: string, id: string): boolean {
  return scope.op === '==' && 'entity' in scope && is(scope.entity, type, id)
}

function isAgent(scope: cedar.PrincipalConstraint, agent: string): boolean {
  return isEntity(scope, 'Agent', agent)
}

function isRequest(scope: cedar.ActionConstraint): boolean {
  const named = 'entities' in scope ? scope.entities : 'entity' in scope ? [scope.entity] : []
  return scope.op !== 'All' && named.length === 1 && is(named[0], 'Action', 'access:request')
}

/**
 * Resources are in the one connection that their ids begin with (request.ts sees to that). Classes of data are in none:
 * a policy about them asks for the connection, before all else: what errs is a deny, and must not err anywhere else.
 */
function onConnection({ resource, action, conditions }: cedar.PolicyJson, connection: string): boolean {
  if (resource.op === '==' || resource.op === 'in') {
    const { type, id } = 'entity' in resource ? plain(resource.entity) : { type: '', id: '' }
    if (type === 'Connection') return id === connection
    if (type !== 'DataClass') return resource.op === '==' && id.startsWith(`${connection}/`)
  }
  if (
    resource.op === 'is' &&
    resource.in &&
    'entity' in resource.in &&
    is(resource.in.entity, 'Connection', connection)
  )
    return true
  const actions = 'entities' in action ? action.entities : 'entity' in action ? [action.entity] : []
  const reveals = action.op !== 'All' && actions.length === 1 && is(actions[0], 'Action', 'data:reveal')
  const [first] = conditions
  return reveals && first?.kind === 'when' && asksForConnection(firstOf(first.body), connection)
}

/** What is evaluated first of all that are to be true. */
function firstOf(expression: cedar.Expr): cedar.Expr {
  const and = (expression as { '&&'?: { left: cedar.Expr } })['&&']
  return and ? firstOf(and.left) : expression
}

function asksForConnection(expression: cedar.Expr, connection: string): boolean {
  const equals = (expression as { '=='?: { left: unknown; right: unknown } })['==']
  if (!equals) return false
  const asked = (one: unknown) => {
    const get = (one as { '.'?: { left?: { Var?: string }; attr?: string } })['.']
    return get?.left?.Var === 'context' && get.attr === 'connection'
  }
  const named = (one: unknown) => {
    const value = (one as { Value?: unknown }).Value
    return typeof value === 'object' && value !== null && '__entity' in value && is(value, 'Connection', connection)
  }
  return (asked(equals.left) && named(equals.right)) || (named(equals.left) && asked(equals.right))
}

/** Whether a scope is about nobody but those whom one of the others is about. */
function within(scope: cedar.PrincipalConstraint, rule: readonly cedar.PrincipalConstraint[]): boolean {
  return rule.some((one) => {
    if (one.op === 'All') return true
    if (one.op === 'is') return one.in === undefined || sameScope(scope, one)
    // Of who is in a group only the group itself is known.
    return sameScope(scope, one)
  })
}

function sameScope(a: cedar.PrincipalConstraint, b: cedar.PrincipalConstraint): boolean {
  const key = (scope: cedar.PrincipalConstraint) => {
    const uid = 'entity' in scope ? plain(scope.entity) : undefined
    const inside = scope.op === 'is' && scope.in && 'entity' in scope.in ? plain(scope.in.entity) : undefined
    return JSON.stringify([scope.op, uid?.type, uid?.id, inside?.type, inside?.id])
  }
  return key(a) === key(b)
}
