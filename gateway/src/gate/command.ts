import type { Effect as EffectView, Parameter } from '@countersign/contract/approval'
import type { AgentPrincipal } from '../identity/principal.ts'
import type { Backing } from './entrance.ts'

/** The connection as policy sees it. */
export interface ConnectionRef {
  name: string
  kind: string
  tags: string[]
  mode: 'enforce' | 'observe'
  /** Whether a live grant is needed; absent: no. */
  access?: 'standing' | 'jit'
}

/** A resource in the names of policy.cedarschema. `attrs` are the entity's attributes. */
export interface Resource {
  type: 'Connection' | 'Table' | 'Routine' | 'Resource' | 'Path' | 'Tool' | 'DataClass'
  /** Cedar entity id, for example `orders/public.customers`. */
  id: string
  attrs?: Record<string, string>
}

/** One thing a command does: contract.md section 4. */
export interface Effect {
  action: string
  resource: Resource
  /** Cedar context's `command`, by protocol, for example { kind: 'delete', bounded: true, functions: [] }. */
  command: Record<string, string | boolean | string[]>
  /** Identity of the object now (for example a relation's OID), so that a renamed or recreated one is another. */
  object?: string
}

/** A command at the gate. Everything in it but `signal` enters the digest that an approval binds to. */
export interface Command {
  protocol: 'postgres' | 'ssh' | 'kubernetes' | 'http' | 'mcp'
  connection: ConnectionRef
  agent: AgentPrincipal
  /** `backing` as it is whenever it is asked for, at release too: absent where nothing but policy decides. */
  session: { readonly id: string; readonly purpose?: string; readonly backing?: Backing | undefined }
  text: string
  parameters: Parameter[]
  /** Kind of the whole, for the card: select, delete, … or `several`. */
  kind: string
  /** At least one. */
  effects: Effect[]
  /** What text and parameters mean at this moment beyond the effects: search_path, role, the statement behind EXECUTE … */
  meaning: Record<string, unknown>
}

export type Verdict =
  | {
      outcome: 'allow'
      policies: string[]
      digest: string
      approval?: { id: string; by: string[]; reason?: string }
      observed?: string
    }
  /**
   * `limit`: no policy says no, but a bound of the gateway's, by its name in the configuration. `uncovered`: no live grant
   * covers it, so that access is to be asked for.
   */
  | { outcome: 'denied'; policies: string[]; digest: string; reason: string; limit?: string; uncovered?: true }
  | { outcome: 'denied-by-person'; approval: string; digest: string; person: string; reason: string }
  | { outcome: 'expired'; approval: string; digest: string }
  | { outcome: 'cancelled'; approval: string; digest: string; reason: string }
  /** Only with hold 'fail': a person has yet to decide; the same command may be sent again. */
  | { outcome: 'held'; approval: string; digest: string; groups: string[]; expiresAt: Date }

/** What a decision without side effects says: used where a command is announced but not yet run (PostgreSQL's Parse). */
export interface Preview {
  outcome: 'allow' | 'deny' | 'hold'
  policies: string[]
  reason: string
}

export interface HoldNotice {
  approval: string
  groups: string[]
  expiresAt: Date
}

export interface SubmitOptions {
  hold: 'wait' | 'fail'
  /** Aborted when the client goes or cancels: a pending approval is then cancelled, and never released. The abort reason's message is shown. */
  signal: AbortSignal
  /** Told once, when the command is held and somebody will be asked. */
  onHeld?: (notice: HoldNotice) => void
  /**
   * Called after the verdict is known and before submit answers, while a released approval is not yet used: writes the
   * command's record. Where it throws, the command is refused and nothing was used. `durable` asks for fsync. Without a
   * promise everything goes on at once.
   */
  record: (verdict: Verdict, options: { durable: boolean }) => Promise<void> | void
}

export interface Gate {
  /**
   * The one way through: decides, holds where policy says so, waits for people, decides afresh at release.
   * Never throws for a refusal; whatever goes wrong inside is a `denied` that says what to do. Answers without a promise
   * where nobody has to be asked and `record` had nothing to wait for. What a command is made of (its effects, meaning,
   * agent, connection) must not be changed any more once it was submitted: answers are remembered by it.
   */
  submit(command: Command, options: SubmitOptions): Verdict | Promise<Verdict>
  /** Decides without holding. An error is a deny. */
  preview(command: Command): Preview
  /**
   * Whether policy permits data:reveal of a class: true only where it is allowed. A hold is not an allow, an error isn't,
   * and mode observe makes it none.
   */
  reveals(who: Pick<Command, 'agent' | 'connection' | 'session'>, dataClass: string): boolean
  /** Tells what became of a command that an approval released; shown on its card. */
  report(approval: string, outcome: import('@countersign/contract/approval').Outcome): void
}

export type { EffectView }
