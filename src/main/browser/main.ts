/**
 * The console in a browser: `node src/main/browser/main.ts [--gateway URL] [--ca FILE] [--folder F] [--port N]
 * [--no-open] [--sign-in]`. Prints `console ready URL` once it can be opened. With --sign-in it signs in at the start
 * by $BROWSER or the system's browser, instead of waiting for a click.
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readCertificate } from '../core/certificate-file.ts'
import { stderrLog } from '../core/ports/log.ts'
import { startBrowserShell } from './shell.ts'
import { systemBrowser } from './system-browser.ts'

const given = readOptions()
const gateway = given.gateway ?? process.env.COUNTERSIGN_GATEWAY
const ca = given.ca ?? process.env.COUNTERSIGN_CA

const shell = await start().catch((error: NodeJS.ErrnoException) =>
  giveUp(error.code === 'EADDRINUSE' ? `another program listens on port ${given.port}: choose another` : error.message),
)

async function start() {
  return startBrowserShell({
    folder: given.folder ?? folderOfThisAccount(),
    ...(gateway ? { gateway } : {}),
    ...(ca ? { ca: readCertificate(ca) } : {}),
    ...(given.port ? { port: Number(given.port) } : {}),
    core: { log: stderrLog },
  })
}

let stopping = false
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    if (stopping) process.exit(1)
    stopping = true
    void shell.stop().then(() => process.exit(0))
  })

if (given['sign-in'] && gateway) {
  const { link } = await shell.core.call('snapshot', {})
  if (link.state === 'signed-out')
    await shell.core.call('signIn', { gateway }).catch((error: Error) => console.error(error.message))
}
console.log(`console ready ${shell.url}`)
if (given.open)
  await systemBrowser()
    .open(shell.url)
    .catch((error: Error) => console.error(error.message))

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        gateway: { type: 'string' },
        ca: { type: 'string' },
        folder: { type: 'string' },
        port: { type: 'string' },
        open: { type: 'boolean', default: true },
        'sign-in': { type: 'boolean', default: false },
      },
      allowNegative: true,
    })
    if (values.port && !(/^\d+$/.test(values.port) && Number(values.port) < 65_536))
      return giveUp(`--port ${values.port} is no port: 0 to 65535, 0 for any free one`)
    return values
  } catch (error) {
    return giveUp((error as Error).message)
  }
}

function giveUp(problem: string): never {
  console.error(`The console can’t start: ${problem}`)
  process.exit(1)
}

function folderOfThisAccount(): string {
  const { platform, env } = process
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'countersign-browser')
  if (platform === 'win32') return join(env.APPDATA ?? join(homedir(), 'AppData', 'Roaming'), 'countersign-browser')
  return join(env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'countersign-browser')
}
