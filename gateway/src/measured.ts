import type { Gate, HoldNotice, SubmitOptions, Verdict } from './gate/command.ts'
import { type Identity, TokenError } from './identity/principal.ts'
import type { KeySignIn } from './identity/registry/key-sign-in.ts'
import { RecordingError, type Sessions } from './sessions/session.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { Duration } from './telemetry/tally.ts'

/** The same gate, counted. */
export function measuredGate(gate: Gate, metrics: Metrics): Gate {
  const allowed = new Map<string, { commands: { count: number }; took: Duration }>()
  const allowedOf = (protocol: string) => {
    let known = allowed.get(protocol)
    if (!known) {
      known = {
        commands: metrics.commands.of({ protocol, outcome: 'allow' }),
        took: metrics.decisionSeconds.of({ protocol }),
      }
      allowed.set(protocol, known)
    }
    return known
  }
  return {
    preview: (command) => gate.preview(command),
    reveals: (who, dataClass) => gate.reveals(who, dataClass),
    report: (approval, outcome) => gate.report(approval, outcome),
    submit(command, options) {
      const { protocol } = command
      const watched = new Watched(options, metrics)
      const count = (verdict: Verdict) => {
        const { outcome } = verdict
        const now = performance.now()
        const known = allowedOf(protocol)
        if (outcome === 'allow') known.commands.count++
        else metrics.commands.of({ protocol, outcome }).count++
        if (watched.heldAt === undefined) known.took.observe((now - watched.started) / 1000)
        else metrics.holdSeconds.observe({ outcome }, (now - watched.heldAt) / 1000)
        return verdict
      }
      const verdict = gate.submit(command, watched)
      return verdict instanceof Promise ? verdict.then(count) : count(verdict)
    },
  }
}

/** A submission that is told the time. */
class Watched implements SubmitOptions {
  readonly started = performance.now()
  heldAt: number | undefined
  readonly hold: SubmitOptions['hold']
  readonly signal: AbortSignal
  readonly #options: SubmitOptions
  readonly #metrics: Metrics

  constructor(options: SubmitOptions, metrics: Metrics) {
    this.hold = options.hold
    this.signal = options.signal
    this.#options = options
    this.#metrics = metrics
  }

  onHeld(notice: HoldNotice): void {
    this.heldAt = performance.now()
    this.#options.onHeld?.(notice)
  }

  record(verdict: Verdict, how: { durable: boolean }): Promise<void> | void {
    try {
      return this.#options.record(verdict, how)?.catch((error) => this.#failed(error))
    } catch (error) {
      return this.#failed(error)
    }
  }

  #failed(error: unknown): never {
    this.#metrics.recorderErrors.inc()
    throw error
  }
}

/** The same identity, counted by who came, or by what was wrong. */
export function measuredIdentity(identity: Identity, metrics: Metrics): Identity {
  return {
    async authenticate(token) {
      try {
        const principal = await identity.authenticate(token)
        metrics.authentications.inc({ result: principal.kind })
        return principal
      } catch (error) {
        metrics.authentications.inc({ result: error instanceof TokenError ? error.fault : 'error' })
        throw error
      }
    },
  }
}

/** The same keys, counted by whom they let in. */
export function measuredKeys(keys: KeySignIn, metrics: Metrics): KeySignIn {
  return {
    knows: (fingerprint) => keys.knows(fingerprint),
    agentOf(fingerprint) {
      const found = keys.agentOf(fingerprint)
      metrics.authentications.inc({ result: found && 'kind' in found ? 'agent' : 'key' })
      return found
    },
  }
}

/** The same sessions, counted. */
export function measuredSessions(sessions: Sessions, metrics: Metrics): Sessions {
  return {
    get: (id) => sessions.get(id),
    terminate: (id, by, reason) => sessions.terminate(id, by, reason),
    async open(request) {
      try {
        const session = await sessions.open(request)
        metrics.sessionsOpened.inc({ protocol: request.protocol })
        return session
      } catch (error) {
        if (error instanceof RecordingError) metrics.recorderErrors.inc()
        throw error
      }
    },
  }
}
