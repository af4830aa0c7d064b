import { z } from 'zod'
import { AgentRef, PersonRef, Role } from './identity.ts'

/** Just-in-time access and who holds it: grants, plans, agents, people, freezes, tokens (docs/access.md). */

const time = z.iso.datetime()
/** A duration as people write it: 30m, 8h, 2d. */
export const GrantDuration = z.string().regex(/^[1-9]\d{0,6}(s|m|h|d)$/, 'a duration such as 30m')
/** A purpose is the requester's own words, on one line when shown. */
export const Purpose = z.string().trim().min(1, 'say what it is for').max(2000)

export const GrantState = z.enum(['requested', 'active', 'expired', 'revoked', 'denied'])
export type GrantState = z.infer<typeof GrantState>

/** Who did something: a person, an agent, or the gateway itself (an end that was due). */
export const Doer = z.object({
  kind: z.enum(['person', 'agent', 'gateway']),
  id: z.string(),
  name: z.string(),
})
export type Doer = z.infer<typeof Doer>

export const GrantDecision = z.object({
  person: z.string().describe('name of the person'),
  personId: z.string(),
  reason: z.string(),
  at: time,
})

/** Access of one agent to one connection, asked for, given and ended (`GET /v1/grants`). */
export const Grant = z.object({
  id: z.string(),
  state: GrantState,
  connection: z.string(),
  connectionTags: z.array(z.string()),
  agent: z.string().describe('agent id, ISSUER#SUBJECT'),
  identity: AgentRef.describe('as the agent was when it was asked for; it is of use on behalf of the same one only'),
  actions: z.array(z.string()).describe('names of the policy schema, for example sql:read, or a group such as sql'),
  resources: z
    .array(z.string())
    .optional()
    .describe('ids such as orders/public.customers, or orders/public.* for all that begin so; absent: all'),
  duration: z.string().describe('as it was asked for, for example 30m'),
  seconds: z.number().int().positive().describe('how long it holds once it is active; approvers may have shortened it'),
  purpose: z.string().describe('the requester’s own words'),
  plan: z.string().optional(),
  step: z.object({ number: z.number().int(), of: z.number().int(), title: z.string() }).optional(),
  extends: z.string().optional().describe('the grant that this one prolongs'),
  requestedAt: time,
  requestedBy: Doer,
  approval: z.string().optional().describe('where people were asked'),
  approvedBy: z.array(GrantDecision),
  policies: z.array(z.string()).describe('ids of the policies that decided'),
  breakGlass: z.boolean().optional().describe('true where one person gave it in an emergency'),
  activeFrom: time.optional(),
  expiresAt: time.optional().describe('when access ends; while it is requested, when the request lapses'),
  endedAt: time.optional(),
  endedBy: Doer.optional(),
  endedBecause: z.string().optional().describe('in words'),
  sessions: z.number().int().nonnegative().describe('sessions that used it'),
  lastUsedAt: time.optional(),
  usedBy: z
    .array(z.object({ session: z.string(), at: time }))
    .optional()
    .describe('sessions that used it, the newest first, at most 100; told of one grant alone (`GET /v1/grants/ID`)'),
})
export type Grant = z.infer<typeof Grant>

/** Body of `POST /v1/grants`. People say for which agent they ask. */
export const GrantRequest = z.strictObject({
  connection: z.string().max(63),
  actions: z.array(z.string().max(64)).min(1).max(50),
  resources: z.array(z.string().min(1).max(500)).min(1).max(200).optional(),
  duration: GrantDuration,
  purpose: Purpose,
  agent: z.string().max(2000).optional().describe('agent id; only people give it'),
  onBehalfOf: z
    .string()
    .max(2000)
    .optional()
    .describe(
      'where another agent is named: whom it acts for then; absent: nobody, in a plan the one its planner acts for',
    ),
})
export type GrantRequest = z.input<typeof GrantRequest>

/** Body of `POST /v1/grants/ID/extend`: a new decision about the same access; what is there goes on meanwhile. */
export const GrantExtension = z.strictObject({ duration: GrantDuration, purpose: Purpose })
export type GrantExtension = z.input<typeof GrantExtension>

/** Body of `POST /v1/grants/ID/revoke`. */
export const GrantRevocation = z.strictObject({ reason: z.string().max(2000).default('') })
export type GrantRevocation = z.input<typeof GrantRevocation>

export const PlanState = z.enum(['requested', 'active', 'denied', 'ended'])

/** What a planner wants its executors to do, step by step, each with a grant of its own; decided as one. */
export const Plan = z.object({
  id: z.string(),
  state: PlanState,
  title: z.string(),
  purpose: z.string(),
  requestedAt: time,
  requestedBy: Doer,
  approval: z.string().optional(),
  grants: z.array(Grant).describe('one a step, in their order'),
})
export type Plan = z.infer<typeof Plan>

/** Body of `POST /v1/plans`. A step is for the agent that asks, unless it names another one. */
export const PlanRequest = z.strictObject({
  title: z.string().trim().min(1).max(200),
  purpose: Purpose,
  steps: z
    .array(
      GrantRequest.omit({ purpose: true }).extend({
        title: z.string().trim().min(1).max(200),
      }),
    )
    .min(1)
    .max(50),
})
export type PlanRequest = z.input<typeof PlanRequest>

/** What of a grant request an approval shows beside its text. */
export const AccessAsked = z.object({
  grants: z.array(z.string()),
  plan: z.string().optional(),
  title: z.string().optional(),
  requestedBy: Doer,
  seconds: z.number().int().positive().describe('the longest of the grants'),
  agents: z.array(AgentRef).optional().describe('whose access it is, where that are others than the approval’s agent'),
})
export type AccessAsked = z.infer<typeof AccessAsked>

/** A public key by which an agent may sign in (SSH). */
export const AgentKey = z.object({
  fingerprint: z.string().describe('SHA256:BASE64, as OpenSSH writes it'),
  type: z.string(),
  comment: z.string(),
  addedAt: time,
  addedBy: z.string(),
})
export type AgentKey = z.infer<typeof AgentKey>

export const AgentState = z.enum(['active', 'disabled'])
/** Why nobody answers for an agent. */
export const OrphanReason = z.enum(['no-sponsor', 'sponsor-left', 'sponsor-unknown'])

/** An agent's entry in the registry (`GET /v1/agents`): seen with a token, or declared before. */
export const AgentRecord = z.object({
  id: z.string().describe('ISSUER#SUBJECT'),
  issuer: z.string(),
  subject: z.string(),
  name: z.string(),
  groups: z.array(z.string()).describe('as its newest token had them'),
  owner: z.string().optional().describe('as its token says, or as the registry was told'),
  sponsor: z.string().optional().describe('the person who answers for it: id, e-mail or subject'),
  sponsorName: z.string().optional(),
  purpose: z.string().optional(),
  environment: z.string().optional(),
  declared: z.boolean().describe('true where it was declared, not only seen'),
  state: AgentState,
  disabled: z.object({ by: z.string(), reason: z.string(), at: time }).optional(),
  orphan: OrphanReason.optional(),
  actsFor: z.array(z.string()).describe('on whose behalf it came lately'),
  chain: z.array(z.string()).describe('the delegation chain of its newest token, the agent itself first'),
  keys: z.array(AgentKey),
  firstSeenAt: time.optional(),
  lastSeenAt: time.optional(),
  connections: z.array(
    z.object({ connection: z.string(), lastUsedAt: time, sessions: z.number().int().nonnegative() }),
  ),
  openSessions: z.number().int().nonnegative(),
  liveGrants: z.number().int().nonnegative(),
})
export type AgentRecord = z.infer<typeof AgentRecord>

/** Body of `PATCH /v1/agents/ID`. `null` takes a value away. */
export const AgentPatch = z.strictObject({
  name: z.string().trim().min(1).max(200).optional(),
  owner: z.string().trim().min(1).max(500).nullable().optional(),
  sponsor: z.string().trim().min(1).max(500).nullable().optional(),
  purpose: z.string().trim().min(1).max(2000).nullable().optional(),
  environment: z.string().trim().min(1).max(100).nullable().optional(),
  keys: z.array(z.string().max(20_000)).max(20).optional().describe('public keys as in authorized_keys; replaces all'),
  disabled: z.boolean().optional(),
  reason: z.string().max(2000).optional().describe('why it is disabled or enabled'),
})
export type AgentPatch = z.input<typeof AgentPatch>

/** Body of `POST /v1/agents`: an agent is declared before it is seen. */
export const AgentDeclaration = AgentPatch.omit({ disabled: true, reason: true }).extend({
  issuer: z.string().max(1000),
  subject: z.string().min(1).max(1000),
})
export type AgentDeclaration = z.input<typeof AgentDeclaration>

/** What an agent did with an action on a resource, counted by day. */
export const AgentUse = z.object({
  connection: z.string(),
  action: z.string(),
  resource: z.string(),
  allowed: z.number().int().nonnegative(),
  held: z.number().int().nonnegative(),
  denied: z.number().int().nonnegative(),
  firstAt: time,
  lastAt: time,
})
export type AgentUse = z.infer<typeof AgentUse>

/** What policy in force answers an agent: `depends` where it needs to know more than agent, action and resource. */
export const Permission = z.object({
  connection: z.string(),
  action: z.string(),
  resource: z.string().describe('a resource it used or that a policy names, or the connection for all others'),
  verdict: z.enum(['allow', 'hold', 'deny', 'depends']),
  policies: z.array(z.string()),
  grant: z.string().optional().describe('the live grant that it takes, where the connection needs one'),
  observed: z.boolean().optional().describe('true where mode: observe refuses nothing, whatever policy says'),
})
export type Permission = z.infer<typeof Permission>

/** What an agent did on one day. */
export const AgentDay = z.object({
  day: z.iso.date().describe('UTC'),
  allowed: z.number().int().nonnegative(),
  held: z.number().int().nonnegative(),
  denied: z.number().int().nonnegative(),
})
export type AgentDay = z.infer<typeof AgentDay>

/** Answer of `GET /v1/agents/ID/access`: permitted against used. */
export const AgentAccess = z.object({
  agent: z.string(),
  since: time.describe('use is counted from this day on'),
  permitted: z.array(Permission),
  used: z.array(AgentUse),
  days: z.array(AgentDay).optional().describe('what it did by day, the first one first; a day without any is left out'),
  notes: z.array(z.string()).optional().describe('what the answer leaves out, in sentences'),
})
export type AgentAccess = z.infer<typeof AgentAccess>

/** One line of the answer to “who could do what at that time” (`GET /v1/access?at=`). */
export const AccessThen = z.object({
  agent: z.string(),
  name: z.string(),
  connection: z.string(),
  action: z.string(),
  resource: z.string(),
  verdict: z.enum(['allow', 'hold', 'depends']),
  observed: z.boolean().optional().describe('true where mode: observe refused nothing, whatever policy said'),
  through: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('policy'), policies: z.array(z.string()) }),
    z.object({
      kind: z.literal('grant'),
      policies: z.array(z.string()),
      grant: z.string(),
      from: time,
      until: time,
      approvedBy: z.array(z.string()),
    }),
  ]),
})
export type AccessThen = z.infer<typeof AccessThen>

export const AccessAnswer = z.object({
  at: time,
  policy: z.string().describe('version of the policy set that was in force'),
  items: z.array(AccessThen),
  notes: z.array(z.string()).optional().describe('what the answer can’t tell, in sentences'),
  next: z.string().nullable(),
})
export type AccessAnswer = z.infer<typeof AccessAnswer>

/** A connection, or everything (`*`), that takes no sessions until it is unfrozen. */
export const Freeze = z.object({
  id: z.string(),
  connection: z.string().describe('its name, or * for all'),
  by: PersonRef,
  reason: z.string(),
  at: time,
  ended: z.object({ by: PersonRef, reason: z.string(), at: time }).optional(),
})
export type Freeze = z.infer<typeof Freeze>

/** Body of `POST /v1/connections/NAME/freeze`, `…/unfreeze`, `POST /v1/freeze`, `/v1/unfreeze`. */
export const FreezeRequest = z.strictObject({ reason: z.string().trim().min(1, 'give a reason').max(2000) })

/** A connection as people see it (`GET /v1/connections`). */
export const ConnectionRecord = z.object({
  name: z.string(),
  kind: z.string(),
  tags: z.array(z.string()),
  access: z.enum(['standing', 'jit']),
  mode: z.enum(['enforce', 'observe']),
  openSessions: z.number().int().nonnegative(),
  liveGrants: z.number().int().nonnegative(),
  freeze: Freeze.optional().describe('the freeze in force, its own or that of everything'),
})
export type ConnectionRecord = z.infer<typeof ConnectionRecord>

/** A person who has signed in (`GET /v1/people`). */
export const PersonRecord = PersonRef.extend({
  email: z.string().optional(),
  groups: z.array(z.string()),
  roles: z.array(Role),
  firstSeenAt: time,
  lastSeenAt: time,
  left: z.object({ by: z.string(), reason: z.string(), at: time }).optional(),
})
export type PersonRecord = z.infer<typeof PersonRecord>

/** Body of `POST /v1/people/ID/left`: their agents are orphans, their delegations end. */
export const PersonLeft = z.strictObject({ left: z.boolean(), reason: z.string().max(2000).default('') })

/** While somebody is away another person decides in their place (`GET, POST /v1/delegations`). */
export const Delegation = z.object({
  id: z.string(),
  from: PersonRef,
  to: PersonRef,
  groups: z.array(z.string()).describe('whose duty is handed over: groups of the one who is away'),
  since: time,
  until: time,
  reason: z.string(),
  state: z.enum(['planned', 'active', 'ended']),
  ended: z.object({ by: z.string(), reason: z.string(), at: time }).optional(),
})
export type Delegation = z.infer<typeof Delegation>

/** Body of `POST /v1/delegations`. */
export const DelegationRequest = z.strictObject({
  to: z.string().max(2000).describe('id of a person who has signed in before'),
  groups: z.array(z.string()).min(1).max(50).optional().describe('absent: all of one’s own that decide anything'),
  since: time.optional(),
  until: time,
  reason: z.string().trim().min(1).max(2000),
})
export type DelegationRequest = z.input<typeof DelegationRequest>

/** Body of `POST /v1/delegations/ID/end`. */
export const DelegationEnd = z.strictObject({ reason: z.string().trim().max(2000).default('') })
export type DelegationEnd = z.input<typeof DelegationEnd>

/** One person decided alone in an emergency (`GET /v1/break-glass`): reviewed by another one afterwards. */
export const BreakGlass = z.object({
  id: z.string(),
  approval: z.string(),
  agent: z.string(),
  connection: z.string(),
  person: PersonRef,
  reason: z.string(),
  at: time,
  review: z
    .object({ by: PersonRef, verdict: z.enum(['justified', 'not-justified']), reason: z.string(), at: time })
    .optional(),
})
export type BreakGlass = z.infer<typeof BreakGlass>

/** Body of `POST /v1/break-glass/ID/review`. */
export const BreakGlassReview = z.strictObject({
  verdict: z.enum(['justified', 'not-justified']),
  reason: z.string().trim().min(1).max(2000),
})
export type BreakGlassReview = z.input<typeof BreakGlassReview>

/** A gateway token, never its text (`GET /v1/tokens`). */
export const TokenRecord = z.object({
  id: z.string(),
  agent: z.string(),
  identity: AgentRef,
  connection: z.string(),
  grant: z.string().optional(),
  purpose: z.string().optional(),
  issuedAt: time,
  expiresAt: time,
  lastUsedAt: time.optional(),
  revoked: z.object({ by: z.string(), reason: z.string(), at: time }).optional(),
})
export type TokenRecord = z.infer<typeof TokenRecord>

/** Answer of `POST /v1/token` (RFC 8693, section 2.2.1) with what else a client wants to know. */
export const TokenAnswer = z.object({
  access_token: z.string(),
  issued_token_type: z.literal('urn:ietf:params:oauth:token-type:access_token'),
  token_type: z.literal('Bearer'),
  expires_in: z.number().int().positive(),
  token_id: z.string(),
  connection: z.string(),
})
export type TokenAnswer = z.infer<typeof TokenAnswer>

/** Answer of `GET /.well-known/countersign` (no token): where clients connect. */
export const Endpoints = z.object({
  api: z.string().describe('URL'),
  token_endpoint: z.string(),
  postgres: z.string().optional().describe('HOST:PORT'),
  ssh: z.string().optional(),
  ssh_host_key: z
    .string()
    .optional()
    .describe('the gateway’s, as known_hosts has it behind a host: `ssh-ed25519 AAAA…`'),
  http: z.string().optional(),
  tls: z.boolean().describe('whether the listeners of protocols need TLS'),
})
export type Endpoints = z.infer<typeof Endpoints>
