import { parentPort } from 'node:worker_threads'
import type { Question, Reply } from './analyst.ts'
import { type Catalog, loadCatalog } from './effects/catalog.ts'
import { analyse, loadParser } from './effects/effects.ts'

/** So many catalogs are kept: those of the databases that were asked about last. */
const KEPT = 4

const port = parentPort!
const catalogs = new Map<number, Catalog>()
const ready = loadParser()

port.on('message', async (question: Question) => {
  await ready
  port.postMessage(await answer(question))
})

async function answer({ text, circumstances, catalog: { id, rows }, names }: Question): Promise<Reply> {
  const catalog = catalogs.get(id) ?? (rows && (await loadCatalog(async () => rows)))
  if (!catalog) return { lacks: 'catalog' }
  catalogs.delete(id)
  catalogs.set(id, catalog)
  if (catalogs.size > KEPT) catalogs.delete(catalogs.keys().next().value!)

  const asked = new Set<string>()
  const behind = (name: string) => {
    asked.add(name)
    return names[name] ?? undefined
  }
  const analysis = analyse(text, {
    ...circumstances,
    catalog,
    prepared: (name) => behind(`prepared ${name}`),
    portal: (name) => behind(`portal ${name}`),
  })
  const lacking = [...asked].filter((name) => !Object.hasOwn(names, name))
  return lacking.length > 0 ? { lacks: 'names', names: lacking } : { analysis, asked: [...asked] }
}
