import { type Logger, pino } from 'pino'
import { createMetrics, type Metrics } from './metrics.ts'

export type { Logger } from 'pino'

export interface Telemetry {
  log: Logger
  metrics: Metrics
}

export interface TelemetryOptions {
  /** pino's: trace, debug, info (default), warn, error, fatal, silent. */
  level?: string
  /** Where log lines go; standard error where absent: standard output is for the ready line. */
  destination?: { write(line: string): void }
}

/** Keys under which a secret could come into a log line by mistake. What is under them is never written. */
const secretKeys = ['password', 'token', 'authorization', 'cookie', 'secret', 'key', 'subject_token', 'actor_token']

/** Structured logs, a JSON object a line, and metrics. */
export function createTelemetry(options: TelemetryOptions = {}): Telemetry {
  const log = pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err, err: pino.stdSerializers.err },
      redact: {
        paths: secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
        censor: '[not logged]',
      },
    },
    // Written at once: a gateway that dies has said why.
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  )
  return { log, metrics: createMetrics() }
}
