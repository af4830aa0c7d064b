import type { Gate, Verdict } from './gate/command.ts'
import { type Identity, TokenError } from './identity/principal.ts'
import { RecordingError, type Sessions } from './sessions/session.ts'
import type { Metrics } from './telemetry/metrics.ts'

/** The same gate, counted. */
export function measuredGate(gate: Gate, metrics: Metrics): Gate {
  return {
    preview: (command) => gate.preview(command),
    reveals: (who, dataClass) => gate.reveals(who, dataClass),
    report: (approval, outcome) => gate.report(approval, outcome),
    submit(command, options) {
      const { protocol } = command
      const started = performance.now()
      let heldAt: number | undefined
      const failed = (error: unknown): never => {
        metrics.recorderErrors.inc()
        throw error
      }
      const count = (verdict: Verdict) => {
        metrics.commands.inc({ protocol, outcome: verdict.outcome })
        const now = performance.now()
        if (heldAt === undefined) metrics.decisionSeconds.observe({ protocol }, (now - started) / 1000)
        else metrics.holdSeconds.observe({ outcome: verdict.outcome }, (now - heldAt) / 1000)
        return verdict
      }
      const verdict = gate.submit(command, {
        hold: options.hold,
        signal: options.signal,
        onHeld: (notice) => {
          heldAt = performance.now()
          options.onHeld?.(notice)
        },
        record: (decided, how) => {
          try {
            return options.record(decided, how)?.catch(failed)
          } catch (error) {
            return failed(error)
          }
        },
      })
      return verdict instanceof Promise ? verdict.then(count) : count(verdict)
    },
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
