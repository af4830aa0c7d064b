#!/usr/bin/env node
// Plain JavaScript that old Nodes can read: better-sqlite3 doesn't refuse Node 20, it crashes it.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const least = 24
const self = fileURLToPath(import.meta.url)

if (process.env.npm_lifecycle_event === 'npx' && !process.env.COUNTERSIGN_STARTED_BY_OLD_NODE) endWithNpx()

if (Number(process.versions.node.split('.')[0]) >= least) {
  // Under an old Node that started this one: when that is killed, this must not go on alone.
  if (process.env.COUNTERSIGN_STARTED_BY_OLD_NODE && process.channel) {
    process.channel.unref()
    process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  }
  const { main } = await import('../src/cli.ts')
  await main(process.argv.slice(2))
} else {
  const node = pinnedNode()
  if (node === undefined) {
    console.error(
      `countersign-gateway needs Node ${least} or newer, this is ${process.versions.node}: install it from https://nodejs.org, or run \`npm ci\` in the project, which brings one along`,
    )
    process.exit(1)
  }
  startWith(node)
}

/** npx starts this by a shell, which a signal ends and which passes none on: whoever ended npx meant the gateway. */
function endWithNpx() {
  const shell = process.ppid
  const watching = setInterval(() => {
    if (process.ppid === shell) return
    clearInterval(watching)
    process.kill(process.pid, 'SIGTERM')
  }, 500)
  watching.unref()
}

/** The Node that the project's own `npm ci` installed. */
function pinnedNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  for (let folder = dirname(self); ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', 'node', 'bin', name)
    if (existsSync(candidate)) return candidate
    if (folder === dirname(folder)) return undefined
  }
}

function startWith(node) {
  const child = spawn(node, [self, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    // A group of its own: Ctrl-C in a terminal would otherwise reach it twice, by itself and through us.
    detached: true,
    env: { ...process.env, COUNTERSIGN_STARTED_BY_OLD_NODE: '1' },
  })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    console.error(`countersign-gateway could not start ${node}: ${error.message}`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    process.removeAllListeners(signal ?? 'SIGTERM')
    if (signal) process.kill(process.pid, signal)
    else process.exit(code ?? 1)
  })
}
