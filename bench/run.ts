/**
 * `npm run bench [NAME …]`: every measurement of this folder (or those named), as tables. Each compares us with
 * something else in one run, interleaved, because a machine's speed drifts: read the ratios.
 */
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const wanted = process.argv.slice(2)
const files = globSync('*.bench.ts', { cwd: import.meta.dirname }).sort()
const chosen = files.filter((f) => wanted.length === 0 || wanted.some((name) => f.startsWith(name)))
if (chosen.length === 0) {
  console.error(`nothing to measure: there are ${files.join(', ')}`)
  process.exit(1)
}
for (const file of chosen) {
  const { title, run } = (await import(pathToFileURL(join(import.meta.dirname, file)).href)) as {
    title: string
    run: () => Promise<void>
  }
  console.log(`\n${title}\n${'─'.repeat(title.length)}`)
  await run()
}
