import { setFlagsFromString } from 'node:v8'
import { loadConfig } from './config/config.ts'
import { formatProblem, type Problem } from './config/problem.ts'
import { type RunningGateway, startGateway } from './gateway.ts'
import { StartError } from './start-error.ts'
import { createTelemetry, type Logger } from './telemetry/telemetry.ts'

/** What may still be said and written down after something unexpected, before the process ends (milliseconds). */
const lastWordsFor = 5000

/**
 * Runs the gateway until it is told to stop; ends the process. Standard output gets the ready line and nothing else.
 * @param file path of gateway.yaml
 */
export async function serve(file: string, options: { level?: string } = {}): Promise<void> {
  // V8 would let its young generation grow to 130 MB under load, and keep it: more than everything else of a gateway.
  setFlagsFromString('--semi-space-growth-factor=1')
  const telemetry = createTelemetry(options)
  const { log } = telemetry
  let gateway: RunningGateway | undefined
  let stopping: Promise<never> | undefined

  const stop = (code: number, because: string) => {
    log[code === 0 ? 'info' : 'fatal']({}, `stopping: ${because}`)
    stopping ??= end(gateway, because, code, log)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(130) // asked twice: now, not in order
      stop(0, signal)
    })
  }
  process.on('SIGHUP', () => {
    if (gateway) void reload(gateway, file, log)
    else log.warn('not ready yet: SIGHUP does nothing')
  })
  // State that nobody foresaw can't be trusted to decide anything: what is held is cancelled, what was recorded stays.
  const unforeseen = (what: string) => (error: unknown) => {
    log.fatal({ error }, what)
    setTimeout(() => process.exit(1), lastWordsFor).unref()
    stop(1, what)
  }
  process.on('uncaughtException', unforeseen('an exception that nobody caught'))
  process.on('unhandledRejection', unforeseen('a rejection that nobody handled'))

  const loaded = await loadConfig(file)
  tell(loaded.warnings, 'warning: ')
  if (!loaded.ok) {
    tell(loaded.problems)
    process.exit(1)
  }
  try {
    gateway = await startGateway(loaded.config, { telemetry })
  } catch (error) {
    if (error instanceof StartError) tell(error.problems)
    process.stderr.write(`countersign-gateway: ${error instanceof Error ? error.message : error}\n`)
    log.debug({ error }, 'did not start')
    process.exit(1)
  }
  if (stopping) {
    // Told to stop while it started.
    await gateway.stop()
    process.exit(0)
  }
  const { api, ...others } = gateway.addresses
  const listeners = Object.entries({ api, ...others }).map(([name, address]) => `${name}=${address}`)
  process.stdout.write(`countersign-gateway ready ${listeners.join(' ')}\n`)
  log.info(gateway.addresses, 'ready')
}

async function end(gateway: RunningGateway | undefined, because: string, code: number, log: Logger): Promise<never> {
  try {
    if (gateway === undefined && code === 0) return await new Promise<never>(() => {}) // serve() ends it once it is up
    await gateway?.stop(because)
  } catch (error) {
    log.fatal({ error }, 'did not stop in order')
    process.exit(1)
  }
  process.exit(code)
}

async function reload(gateway: RunningGateway, file: string, log: Logger): Promise<void> {
  try {
    const result = await gateway.reload()
    if (result.ok) {
      tell(result.warnings, 'warning: ')
      log.info({ file }, 'reloaded')
      return
    }
    tell(result.problems)
    log.error({ problems: result.problems.map(formatProblem) }, 'nothing was reloaded: mend these first')
  } catch (error) {
    log.error({ error }, 'nothing was reloaded')
  }
}

function tell(problems: Problem[], kind = ''): void {
  for (const problem of problems)
    process.stderr.write(`${formatProblem({ ...problem, message: `${kind}${problem.message}` })}\n`)
}
