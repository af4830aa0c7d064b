import { hostname } from 'node:os'
import { systemClock } from './approvals/clock.ts'
import type { LoadedConfig } from './config/config.ts'
import type { Store } from './store/store.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { Logger } from './telemetry/telemetry.ts'
import { webhookSecrets } from './telemetry/webhook-secret.ts'
import { createWebhooks, type Webhooks } from './telemetry/webhooks.ts'

/**
 * What the gateway tells others of its own accord: webhooks, by the secret of its data folder.
 * @throws DataFolderError where the secret can't be had
 */
export async function webhooksOf(options: {
  config: () => LoadedConfig
  store: Store
  metrics: Pick<Metrics, 'webhooks'>
  log: Logger
}): Promise<Webhooks> {
  const { config, store, metrics, log } = options
  const { data, api } = config()
  const { secrets, made, doubt } = await webhookSecrets(data)
  if (doubt) log.warn(doubt)
  if (made) log.info('made a secret by which calls of webhooks are signed')
  const { default: about } = await import('../package.json', { with: { type: 'json' } })
  return createWebhooks({
    store,
    config: () => config().approvals,
    secrets,
    source: api.url ?? `urn:countersign:${hostname().replace(/[^A-Za-z0-9.-]/g, '-')}`,
    version: about.version,
    clock: systemClock,
    log,
    counted: metrics.webhooks,
  })
}

/** `countersign-gateway webhook-secret`: what receivers check signatures by. Sets the exit code. */
export async function showWebhookSecret(file: string): Promise<void> {
  const { loadConfig } = await import('./config/config.ts')
  const { formatProblem } = await import('./config/problem.ts')
  const { makeDataFolder } = await import('./config/data-folder.ts')
  const loaded = await loadConfig(file)
  if (!loaded.ok) {
    for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`)
    process.exitCode = 1
    return
  }
  try {
    await makeDataFolder(loaded.config.data)
    const { secrets, doubt } = await webhookSecrets(loaded.config.data)
    if (doubt) process.stderr.write(`${doubt}\n`)
    process.stdout.write(`${secrets[0]}\n`)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    process.exitCode = 1
  }
}
