/**
 * `npm run walls`: who may know whom (docs/architecture.md), read from the imports of every file, type-only ones too.
 * Prints each import that goes through a wall, and circles of imports at run time.
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, posix, sep } from 'node:path'
import { parseSync } from 'oxc-parser'

export interface Import {
  from: string
  /** A path in the repository for our own files, else the package (`node:fs`, `electron`, `zod`). */
  to: string
  typeOnly: boolean
}

interface Wall {
  name: string
  why: string
  from: RegExp
  except?: RegExp
  to: RegExp
}

const test = /\.test\.tsx?$|\/testing\//
const protocol = /^gateway\/src\/(postgres|ssh|http)\//
const belowApi =
  /^gateway\/src\/(access|gate|policy|approvals|grants|sessions|masking|identity|config|store|telemetry|postgres|ssh|http)\//
const electron = /^electron(\/|$)/

export const walls: Wall[] = [
  {
    name: 'contract-knows-nobody',
    why: 'contract is what others meet in',
    from: /^contract\//,
    to: /^(gateway|src|demo|e2e|bench|scripts)\//,
  },
  {
    name: 'contract-is-pure',
    why: 'no I/O outside contract/src/node',
    from: /^contract\/src\//,
    except: /\.test\.ts$|^contract\/src\/node\//,
    to: /^node:/,
  },
  {
    name: 'cli-knows-contract-alone',
    why: 'it verifies without a gateway, and speaks to one over HTTP',
    from: /^cli\//,
    except: test,
    to: /^(gateway|src|demo|e2e|bench|scripts)\//,
  },
  {
    name: 'nobody-knows-cli',
    why: 'what others need of it belongs into contract',
    from: /^(gateway|src|contract)\//,
    except: test,
    to: /^cli\//,
  },
  {
    name: 'gateway-knows-no-console',
    why: 'they meet only in contract and over HTTP',
    from: /^gateway\//,
    except: test,
    to: /^(src|demo|e2e|bench)\//,
  },
  {
    name: 'console-knows-no-gateway',
    why: 'they meet only in contract and over HTTP',
    from: /^src\//,
    except: test,
    to: /^(gateway|demo|e2e|bench)\//,
  },
  {
    name: 'protocols-know-little',
    why: 'protocols speak to gate, sessions and masking',
    from: protocol,
    except: test,
    to: /^gateway\/src\/(access|api|approvals|reviews|grants|policy|store)\//,
  },
  {
    name: 'protocols-apart: postgres',
    why: 'never each other',
    from: /^gateway\/src\/postgres\//,
    to: /^gateway\/src\/(ssh|http)\//,
  },
  {
    name: 'protocols-apart: ssh',
    why: 'never each other',
    from: /^gateway\/src\/ssh\//,
    to: /^gateway\/src\/(postgres|http)\//,
  },
  {
    name: 'protocols-apart: http',
    why: 'never each other',
    from: /^gateway\/src\/http\//,
    to: /^gateway\/src\/(postgres|ssh)\//,
  },
  {
    name: 'api-on-top',
    why: 'api, reviews and backtests sit on top',
    from: belowApi,
    except: test,
    to: /^gateway\/src\/(api|reviews|backtest)\//,
  },
  {
    name: 'reviews-know-no-way-in',
    why: 'who asks is the API’s to know, and what was done speaks in effects, whatever the protocol',
    from: /^gateway\/src\/reviews\//,
    except: test,
    to: /^gateway\/src\/(api|postgres|ssh|http)\//,
  },
  {
    name: 'gate-knows-no-protocol',
    why: 'a new protocol must not need a new gate',
    from: /^gateway\/src\/(access|gate|policy|approvals|grants|sessions|masking|identity|config|store|telemetry)\//,
    except: test,
    to: protocol,
  },
  {
    name: 'store-is-ground',
    why: 'the store knows no room above it',
    from: /^gateway\/src\/store\//,
    except: test,
    to: /^gateway\/src\/(?!store\/|telemetry\/)/,
  },
  {
    name: 'core-runs-anywhere',
    why: 'core takes ports; it imports no shell',
    from: /^src\/main\/core\//,
    except: test,
    to: /^(electron(\/|$)|src\/(main\/(electron|browser)|renderer|preload)\/)/,
  },
  {
    name: 'electron-in-its-shell',
    why: 'only the desktop shell and the preload import electron',
    from: /./,
    except: /^(src\/main\/electron|src\/preload|e2e)\/|\.test\.ts$/,
    to: electron,
  },
  {
    name: 'renderer-knows-no-transport',
    why: 'it asks through ConsoleApi',
    from: /^src\/renderer\//,
    except: test,
    to: /^src\/(main|preload)\//,
  },
  { name: 'renderer-has-no-node', why: 'it runs in a sandbox', from: /^src\/renderer\//, except: test, to: /^node:/ },
]

/** The walls that an import goes through. */
export function brokenWalls(one: Import): Wall[] {
  return walls.filter((wall) => wall.from.test(one.from) && !wall.except?.test(one.from) && wall.to.test(one.to))
}

/** What a file imports, type-only imports included. `file` is a path from the repository's root, with slashes. */
export function importsOf(file: string, text: string, exists: (path: string) => boolean): Import[] {
  const parsed = parseSync(file, text)
  if (parsed.errors.length > 0) throw new Error(`${file} does not parse: ${parsed.errors[0]!.message}`)
  const found = new Map<string, boolean>()
  const add = (specifier: string, typeOnly: boolean) => found.set(specifier, (found.get(specifier) ?? true) && typeOnly)
  for (const { moduleRequest, entries } of parsed.module.staticImports)
    add(moduleRequest.value, entries.length > 0 && entries.every((entry) => entry.isType))
  for (const { entries } of parsed.module.staticExports)
    for (const entry of entries) if (entry.moduleRequest) add(entry.moduleRequest.value, entry.isType)
  // import('…') as an expression or as a type; as an expression it is late, so it makes no circle.
  for (const match of text.matchAll(/\bimport\(\s*(['"])([^'"]+)\1/g)) add(match[2]!, true)
  return [...found].map(([specifier, typeOnly]) => ({ from: file, to: resolve(file, specifier, exists), typeOnly }))
}

function resolve(from: string, specifier: string, exists: (path: string) => boolean): string {
  const workspace = /^@countersign\/(contract|gateway|cli)\/(.+)$/.exec(specifier)
  if (workspace) return `${workspace[1]}/src/${workspace[2]}.ts`
  if (specifier.startsWith('.')) {
    const path = posix.join(posix.dirname(from), specifier.replace(/\?.*$/, ''))
    const found = [path, `${path}.ts`, `${path}.tsx`, `${path}/index.ts`].find(exists)
    return found ?? path
  }
  return builtinModules.includes(specifier) ? `node:${specifier}` : specifier
}

/** Circles among imports at run time, each as the files in their order. */
export function circles(imports: Import[]): string[][] {
  const to = new Map<string, string[]>()
  for (const one of imports) if (!one.typeOnly) to.set(one.from, [...(to.get(one.from) ?? []), one.to])
  const found: string[][] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string) => {
    const at = path.indexOf(file)
    if (at >= 0) return void found.push([...path.slice(at), file])
    if (done.has(file)) return
    done.add(file)
    path.push(file)
    for (const next of to.get(file) ?? []) visit(next)
    path.pop()
  }
  for (const file of to.keys()) visit(file)
  return found
}

if (import.meta.main) {
  const root = dirname(import.meta.dirname)
  const files = globSync(['{contract,gateway,cli,src,demo,e2e,bench,scripts}/**/*.{ts,tsx}'], {
    cwd: root,
    exclude: (path) => path.includes('node_modules'),
  }).map((file) => file.split(sep).join('/'))
  const imports = files.flatMap((file) =>
    importsOf(file, readFileSync(join(root, file), 'utf8'), (path) => existsSync(join(root, path))),
  )
  const problems = [
    ...imports.flatMap((one) =>
      brokenWalls(one).map((wall) => `${one.from} imports ${one.to}: ${wall.name} (${wall.why})`),
    ),
    ...circles(imports).map((circle) => `a circle has no ground to stand on: ${circle.join(' → ')}`),
  ]
  for (const problem of problems) console.error(problem)
  console.log(`${files.length} files, ${imports.length} imports, ${problems.length} through a wall`)
  if (problems.length > 0) process.exit(1)
}
