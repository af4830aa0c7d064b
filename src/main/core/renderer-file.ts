import { readFile, realpath } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'

export interface RendererFile {
  found: boolean
  bytes: Buffer
  type: string
  /** Whether it is the page itself. */
  page: boolean
  /** Whether its name carries a hash of its content. */
  immutable: boolean
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.woff': 'font/woff',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.map': 'application/json',
}

/**
 * A file of the built renderer for a URL's path. What has no extension is a route of the renderer, so its page. Links
 * are followed before the check: nothing outside of `root` is ever read.
 * @throws Error when the renderer isn't built
 */
export async function rendererFile(root: string, path: string): Promise<RendererFile> {
  const home = await realpath(root).catch(() => undefined)
  if (!home) throw new Error('The console’s pages are not built. Run: npm run build')
  const named = decoded(path)
  if (named === undefined) return missing
  const page = extname(named) === '' || named === '/index.html'
  const file = await realpath(join(home, page ? 'index.html' : named)).catch(() => undefined)
  if (!file?.startsWith(home + sep)) {
    if (page) throw new Error('The console’s pages are not built. Run: npm run build')
    return missing
  }
  const type = types[extname(file).toLowerCase()]
  if (!type) return missing
  return { found: true, bytes: await readFile(file), type, page, immutable: named.startsWith('/assets/') }
}

const missing: RendererFile = {
  found: false,
  bytes: Buffer.from('Not found\n'),
  type: 'text/plain; charset=utf-8',
  page: false,
  immutable: false,
}

function decoded(path: string): string | undefined {
  try {
    const named = decodeURIComponent(path)
    return /[\0\\]/.test(named) || named.split('/').includes('..') ? undefined : named
  } catch {
    return undefined
  }
}
