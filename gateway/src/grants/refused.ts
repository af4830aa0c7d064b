/** Why a call about grants did nothing, or ended in a denial. */
export type GrantFault =
  /** Something in what is asked for is not as it should be. */
  | 'invalid'
  /** Policy, or a rule, says no and is named. */
  | 'denied'
  /** Nothing permits it, or there is no such connection or agent: one and the same. */
  | 'not-permitted'
  /** Whoever calls may not do this. */
  | 'forbidden'
  | 'not-found'
  /** Its state no longer allows it. */
  | 'conflict'
  /** As many as may be. */
  | 'full'

/** A call about grants that was refused; `message` tells whoever called what to do. */
export class GrantRefused extends Error {
  override name = 'GrantRefused'
  readonly fault: GrantFault
  /** The grant, or plan, that was denied. */
  readonly grant?: string
  readonly plan?: string
  constructor(fault: GrantFault, message: string, { grant, plan }: { grant?: string; plan?: string } = {}) {
    super(message)
    this.fault = fault
    if (grant !== undefined) this.grant = grant
    if (plan !== undefined) this.plan = plan
  }
}

/** What is said where nothing permits it, whatever the cause: it must not tell which connections there are. */
export const NOTHING_PERMITS =
  'Nothing permits you to ask for this, or there is no such connection: ask whoever wrote the policies'
