import { Approval, DecisionRequest } from '@countersign/contract/approval'
import { CommandQuery, FoundCommand } from '@countersign/contract/evidence'
import { Me } from '@countersign/contract/identity'
import { Session, SessionState } from '@countersign/contract/session'
import { z } from 'zod'
import { accessCalls, accessEvents } from './access-api.ts'
import { agentCalls, agentEvents } from './agents-api.ts'
import { annotationCalls, annotationEvents, OutboxState } from './annotations-api.ts'
import { libraryCalls, libraryEvents } from './library-api.ts'
import { policyCalls, policyEvents } from './policy-api.ts'
import { retentionCalls } from './retention-api.ts'
import { reviewCalls, reviewEvents } from './reviews-api.ts'
import { terminalCalls, terminalEvents } from './terminal-api.ts'
import { VerificationProgress, WitnessState, witnessCalls } from './witness-api.ts'

/**
 * What the renderer may ask of the core, and what the core tells the renderer: the same over Electron's IPC (preload)
 * and over the browser shell's WebSocket. Every call and its answer is checked against these schemas on the core's side.
 */

/** What this shell can do; the renderer offers only that. */
export const Capabilities = z.object({
  shell: z.enum(['electron', 'browser']),
  notifications: z.enum(['native', 'native-with-actions', 'web', 'none']),
  tray: z.boolean(),
  badge: z.boolean(),
  deepLinks: z.boolean(),
  pdf: z.boolean().describe('whether it makes PDF; else a report is printed by the browser'),
  secureStorage: z.boolean().describe('whether tokens are kept in the keychain of the operating system'),
})
export type Capabilities = z.infer<typeof Capabilities>

/** How fresh what is shown is. */
export const Link = z.discriminatedUnion('state', [
  z.object({ state: z.literal('signed-out'), gateway: z.string().nullable(), problem: z.string().optional() }),
  z.object({ state: z.literal('signing-in'), gateway: z.string() }),
  z.object({ state: z.literal('connecting'), gateway: z.string(), since: z.iso.datetime() }),
  z.object({ state: z.literal('live'), gateway: z.string(), since: z.iso.datetime() }),
  z.object({ state: z.literal('reconnecting'), gateway: z.string(), since: z.iso.datetime(), problem: z.string() }),
  z.object({ state: z.literal('offline'), gateway: z.string(), since: z.iso.datetime(), problem: z.string() }),
])
export type Link = z.infer<typeof Link>

export const Settings = z.object({
  gateway: z.string().nullable(),
  theme: z.enum(['system', 'light', 'dark']),
  notifications: z.object({
    enabled: z.boolean(),
    content: z.enum(['command', 'name', 'nothing']).describe('how much of a command a notification shows'),
    quietHours: z.object({ from: z.string(), to: z.string() }).nullable(),
  }),
  library: z
    .object({ room: z.number().int().min(0).max(1_048_576).describe('MiB for recordings that are not pinned') })
    .default({ room: 2048 }),
})
export type Settings = z.infer<typeof Settings>

/** A decision on its way: what the card shows after a key press. */
export const DecisionProgress = z.object({
  approval: z.string(),
  verdict: z.enum(['approve', 'deny']),
  state: z.enum(['sending', 'sent', 'refused', 'dropped']),
  problem: z.string().optional().describe('why it was refused, or dropped because it could not be sent within 5 s'),
})
export type DecisionProgress = z.infer<typeof DecisionProgress>

/** Everything that screens show without asking. */
export const Snapshot = z.object({
  capabilities: Capabilities,
  link: Link,
  me: Me.nullable(),
  settings: Settings,
  approvals: z.array(Approval),
  sessions: z.array(Session).describe('the newest ones; others by searchSessions'),
  witness: WitnessState,
  outbox: OutboxState,
})
export type Snapshot = z.infer<typeof Snapshot>

/** What the core tells without being asked. Each replaces what the renderer had. */
export const ConsoleEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('snapshot'), snapshot: Snapshot }),
  z.object({ type: z.literal('link'), link: Link }),
  z.object({ type: z.literal('me'), me: Me.nullable() }),
  z.object({ type: z.literal('settings'), settings: Settings }),
  z.object({ type: z.literal('approvals'), approvals: z.array(Approval).describe('new or changed ones') }),
  z.object({ type: z.literal('sessions'), sessions: z.array(Session).describe('new or changed ones') }),
  z.object({ type: z.literal('decision'), decision: DecisionProgress }),
  z.object({ type: z.literal('open'), target: z.string().describe('route to show, for example /queue/ap_7h2k') }),
  z.object({
    type: z.literal('notify'),
    notification: z.object({ tag: z.string(), title: z.string(), body: z.string(), target: z.string() }),
  }),
  z.object({ type: z.literal('withdraw'), tag: z.string() }),
  z.object({ type: z.literal('witness'), witness: WitnessState }),
  z.object({ type: z.literal('verification'), verification: VerificationProgress }),
  ...libraryEvents,
  ...terminalEvents,
  ...annotationEvents,
  ...accessEvents,
  ...agentEvents,
  ...reviewEvents,
  ...policyEvents,
])
export type ConsoleEvent = z.infer<typeof ConsoleEvent>

export const SessionQuery = z.object({
  text: z.string().optional(),
  agent: z.string().optional(),
  connection: z.string().optional(),
  state: SessionState.optional(),
  from: z.iso.datetime().optional(),
  to: z.iso.datetime().optional(),
  limit: z.number().int().positive().max(1000).default(200),
  after: z.string().optional(),
})
export type SessionQuery = z.input<typeof SessionQuery>

export const CommandSearch = CommandQuery.extend({
  limit: z.number().int().positive().max(1000).default(100),
  after: z.string().optional(),
})
export type CommandSearch = z.input<typeof CommandSearch>

/** Commands that were found, newest first. */
export const CommandsPage = z.object({
  items: z.array(FoundCommand),
  next: z.string().nullable(),
  source: z.enum(['gateway', 'local']),
  more: z.boolean().optional().describe('true where more were found on this computer than are told'),
  behind: z.number().int().optional().describe('recordings that the gateway has yet to read into its index'),
})
export type CommandsPage = z.infer<typeof CommandsPage>

/** The calls: name → what goes in and what comes out. */
export const calls = {
  snapshot: { input: z.object({}), output: Snapshot },
  signIn: { input: z.object({ gateway: z.string() }), output: z.object({}) },
  signOut: { input: z.object({}), output: z.object({}) },
  decide: {
    input: DecisionRequest.extend({ approval: z.string() }),
    output: DecisionProgress,
  },
  approval: { input: z.object({ id: z.string() }), output: Approval.nullable() },
  searchSessions: {
    input: SessionQuery,
    output: z.object({ items: z.array(Session), next: z.string().nullable(), source: z.enum(['gateway', 'local']) }),
  },
  searchCommands: { input: CommandSearch, output: CommandsPage },
  terminate: { input: z.object({ session: z.string(), reason: z.string() }), output: z.object({}) },
  saveSettings: { input: Settings, output: Settings },
  notificationClicked: { input: z.object({ tag: z.string() }), output: z.object({}) },
  windowFocus: { input: z.object({ focused: z.boolean() }), output: z.object({}) },
  ...witnessCalls,
  ...libraryCalls,
  ...terminalCalls,
  ...annotationCalls,
  ...retentionCalls,
  ...accessCalls,
  ...agentCalls,
  ...reviewCalls,
  ...policyCalls,
} as const

export type CallName = keyof typeof calls

/** An error of a call, in words for a person. */
export class ConsoleError extends Error {
  override name = 'ConsoleError'
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** What the preload (or the browser shell's client) hands the renderer, as `window.countersign`. */
export interface ConsoleApi {
  /** @throws ConsoleError with a sentence for a person */
  call<N extends CallName>(
    name: N,
    input: z.input<(typeof calls)[N]['input']>,
  ): Promise<z.output<(typeof calls)[N]['output']>>
  /** Subscribes; answers the function that ends it. */
  on(listener: (event: ConsoleEvent) => void): () => void
}
