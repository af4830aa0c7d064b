import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const project = fileURLToPath(new URL('../../..', import.meta.url))

/** Builds main, preload and renderer as they are released, into a folder of the test's own under out/. */
export function build(name: string): string {
  const out = `out/test-${name}`
  execFileSync(process.execPath, [join(project, 'node_modules/electron-vite/bin/electron-vite.js'), 'build'], {
    cwd: project,
    env: { ...process.env, COUNTERSIGN_OUT: out },
    stdio: 'pipe',
  })
  return join(project, out)
}
