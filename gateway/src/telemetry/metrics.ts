import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { Counts, Durations } from './tally.ts'

export type CommandOutcome = 'allow' | 'denied' | 'denied-by-person' | 'expired' | 'cancelled' | 'held'

/** What the gateway counts, in Prometheus' names. Labels never hold what an agent can make up. */
export interface Metrics {
  registry: Registry
  /** Where the gauges of sessions, holds and the ledger are read when somebody asks. */
  watch(sources: {
    sessionsOpen: () => number
    holdsPending: () => Promise<number>
    ledger: () => { stopped: Error | undefined; size: number; behind: { rows: number; sessions: number } }
  }): void
  sessionsOpened: Counter<'protocol'>
  /** By protocol and outcome (CommandOutcome). */
  commands: Counts
  /** Seconds from a command's arrival at the gate to a verdict, without waiting for people; by protocol. */
  decisionSeconds: Durations
  /** Seconds that a command waited for people. */
  holdSeconds: Histogram<'outcome'>
  recorderErrors: Counter
  authentications: Counter<'result'>
  reloads: Counter<'result'>
  ready: Gauge
  /** By result: delivered, failed (and tried again), given-up, dropped. */
  webhooks: Counter<'result'>
  retention: {
    /** By result: done, failed. */
    runs: Counter<'result'>
    erasedRecordings: Counter
    erasedBytes: Counter
  }
  /** Keys of `data_classes` that don't fit the database, as of the last look at its catalog. */
  classProblems: Gauge<'connection' | 'kind'>
}

/** A registry of its own for each gateway, so that two in one process (tests) don't count together. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  return {
    registry,
    watch({ sessionsOpen, holdsPending, ledger }) {
      watchLedger(registers, ledger)
      new Gauge({
        name: 'countersign_sessions_open',
        help: 'Sessions that are open',
        registers,
        collect() {
          this.set(sessionsOpen())
        },
      })
      new Gauge({
        name: 'countersign_holds_pending',
        help: 'Commands that wait for people',
        registers,
        async collect() {
          this.set(await holdsPending())
        },
      })
    },
    sessionsOpened: new Counter({
      name: 'countersign_sessions_opened_total',
      help: 'Sessions that were opened',
      labelNames: ['protocol'],
      registers,
    }),
    commands: new Counts(registry, 'countersign_commands_total', 'Commands at the gate, by what became of them'),
    decisionSeconds: new Durations(
      registry,
      'countersign_decision_seconds',
      'Time from a command to its verdict where nobody was asked',
      [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1],
    ),
    holdSeconds: new Histogram({
      name: 'countersign_hold_seconds',
      help: 'Time that held commands waited for people',
      labelNames: ['outcome'],
      buckets: [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600],
      registers,
    }),
    recorderErrors: new Counter({
      name: 'countersign_recorder_errors_total',
      help: 'Commands and sessions refused because they could not be recorded',
      registers,
    }),
    authentications: new Counter({
      name: 'countersign_authentications_total',
      help: 'Tokens presented, by result: agent, person, or the fault',
      labelNames: ['result'],
      registers,
    }),
    reloads: new Counter({
      name: 'countersign_reloads_total',
      help: 'Reloads of the configuration',
      labelNames: ['result'],
      registers,
    }),
    webhooks: new Counter({
      name: 'countersign_webhook_deliveries_total',
      help: 'Calls of webhooks, by result: delivered, failed (tried again), given-up, dropped',
      labelNames: ['result'],
      registers,
    }),
    classProblems: new Gauge({
      name: 'countersign_data_class_problems',
      help: 'Keys of data_classes that do not fit the database, as of the last look at its catalog',
      labelNames: ['connection', 'kind'],
      registers,
    }),
    retention: {
      runs: new Counter({
        name: 'countersign_retention_runs_total',
        help: 'Runs of retention, by result',
        labelNames: ['result'],
        registers,
      }),
      erasedRecordings: new Counter({
        name: 'countersign_retention_erased_recordings_total',
        help: 'Recordings that retention has erased',
        registers,
      }),
      erasedBytes: new Counter({
        name: 'countersign_retention_erased_bytes_total',
        help: 'Bytes on disk of the recordings that retention has erased',
        registers,
      }),
    },
    ready: new Gauge({ name: 'countersign_ready', help: '1 while new sessions are taken', registers }),
  }
}

function watchLedger(
  registers: Registry[],
  ledger: () => { stopped: Error | undefined; size: number; behind: { rows: number; sessions: number } },
): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge('countersign_ledger_stopped', '1 while the ledger can’t be written: no command is forwarded', () =>
    ledger().stopped ? 1 : 0,
  )
  gauge('countersign_ledger_entries', 'Entries of the ledger', () => ledger().size)
  gauge('countersign_ledger_outbox_rows', 'What was said, but is not in the ledger yet', () => ledger().behind.rows)
  gauge(
    'countersign_ledger_recordings_behind',
    'Recordings of ended sessions that are not in the ledger yet',
    () => ledger().behind.sessions,
  )
}
