import type { ServerResponse } from 'node:http'
import { type RendererFile, rendererFile } from '../core/renderer-file.ts'

/** Serves the built renderer; a path that is no file is one of its routes. The client's script goes before its own. */
export function serveRenderer(root: string): (path: string, response: ServerResponse) => Promise<void> {
  return async (path, response) => {
    let file: RendererFile
    try {
      file = await rendererFile(root, path)
    } catch (error) {
      response.writeHead(503, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
      response.end(`${(error as Error).message}\n`)
      return
    }
    const body = file.page ? withClient(file.bytes.toString('utf8')) : file.bytes
    response.writeHead(file.found ? 200 : 404, {
      'content-type': file.type,
      'cache-control': file.immutable ? 'private, max-age=31536000, immutable' : 'no-store',
    })
    response.end(body)
  }
}

const withClient = (page: string) =>
  page.replace(/<head>/i, (head) => `${head}\n    <script src="/countersign-client.js"></script>`)
