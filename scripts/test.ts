/**
 * `npm test`: types, lint, walls, build, unit and integration tests, end-to-end tests. Stops at the first part that
 * fails, says how long each took, and closes with what passed.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { bzip2, chromium, clients, openssh, pgbench, provide, psql } from './system.ts'

const parts: [name: string, command: string, ...args: string[]][] = [
  ['types', 'npm', 'run', '--silent', 'types'],
  ['lint', 'npm', 'run', '--silent', 'lint'],
  ['walls', 'npm', 'run', '--silent', 'walls'],
  ['build', 'npm', 'run', '--silent', 'build'],
  ['unit', 'npm', 'run', '--silent', 'unit'],
  ['e2e', 'npm', 'run', '--silent', 'e2e'],
]

try {
  provide([chromium, psql, pgbench, bzip2, ...Object.values(clients), ...Object.values(openssh)])
} catch (error) {
  console.error((error as Error).message)
  process.exit(1)
}

const begun = Date.now()
for (const [name, command, ...args] of parts) {
  console.log(`\n── ${name}`)
  const started = Date.now()
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) {
    console.error(`\n${name} failed (${seconds(started)})`)
    process.exit(1)
  }
  console.log(`${name} is fine (${seconds(started)})`)
}
console.log(`\nall ${parts.length} parts are fine (${seconds(begun)})`)

function seconds(since: number): string {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}
