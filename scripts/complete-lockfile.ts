/**
 * `npm run lock`: after a change of dependencies. npm leaves packages of other platforms out of package-lock.json where
 * the registry that it asked doesn't have them (a mirror may keep those of one platform only), and `npm ci` then refuses
 * the lock as out of step with its own `optionalDependencies`. This writes the entries that are missing, as the packages'
 * names tell platform, processor and libc; no other entry is touched.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Entry {
  version?: string
  dev?: boolean
  optional?: boolean
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optionalDependencies?: Record<string, string>
}

const systems = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'win32']
const processors = ['arm64', 'x64', 'ia32', 'riscv64', 'ppc64', 's390x', 'wasm32', 'arm']

/** The entries that are missing, by their place in the lock file. */
export function missingEntries(packages: Record<string, Entry>): Record<string, Entry> {
  const missing: Record<string, Entry> = {}
  for (const [place, entry] of Object.entries(packages)) {
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      if (!isFound(packages, place, name)) missing[`node_modules/${name}`] = entryOf(name, range, entry.dev === true)
    }
  }
  return missing
}

/** Whether a package is where Node would look for it: beside the one that asks, or further up. */
function isFound(packages: Record<string, Entry>, from: string, name: string): boolean {
  for (let place = from; ; place = place.slice(0, Math.max(0, place.lastIndexOf('/node_modules/')))) {
    if (packages[`${place === '' ? '' : `${place}/`}node_modules/${name}`]) return true
    if (place === '') return false
  }
}

function entryOf(name: string, range: string, dev: boolean): Entry {
  const os = systems.filter((system) => new RegExp(`[-/]${system}(-|$)`).test(name))
  const cpu = processors.find((processor) => new RegExp(`[-/]${processor}(-|$)`).test(name))
  const libc =
    os[0] !== 'linux' ? undefined : name.includes('musl') ? 'musl' : name.includes('gnu') ? 'glibc' : undefined
  return {
    version: range.replace(/^[\^~]/, ''),
    ...(cpu ? { cpu: [cpu] } : {}),
    ...(dev ? { dev } : {}),
    ...(libc ? { libc: [libc] } : {}),
    optional: true,
    ...(os.length > 0 ? { os } : {}),
  }
}

if (import.meta.main) {
  const file = join(import.meta.dirname, '..', 'package-lock.json')
  const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> }
  const missing = missingEntries(lock.packages)
  lock.packages = Object.fromEntries(
    Object.entries({ ...lock.packages, ...missing }).sort(([a], [b]) => a.localeCompare(b, 'en')),
  )
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`${Object.keys(missing).length} entries of other platforms added`)
}
