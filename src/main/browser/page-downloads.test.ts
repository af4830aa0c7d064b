import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { pageDownloads } from './page-downloads.ts'

async function offered(signal = new AbortController().signal) {
  const downloads = pageDownloads()
  const responses: ServerResponse[] = []
  const server = createServer((request, response) => {
    responses.push(response)
    if (!downloads.serve(request.url!, response)) response.writeHead(404).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let answer: Promise<IncomingMessage> | undefined
  const file = await downloads.save(
    { name: 'a"\r\nx: y/../b.csv', type: 'text/csv' },
    (url) => {
      answer = new Promise((resolve) => get(`${at}${url}`, resolve))
    },
    signal,
  )
  return {
    file: file!,
    /** Comes with the first bytes. */
    answer: answer!,
    response: responses[0]!,
    async [Symbol.asyncDispose]() {
      downloads[Symbol.dispose]()
      server.closeAllConnections()
      server.close()
    },
  }
}

const piece = Buffer.alloc(256 * 1024, 'x')

test('a slow browser is waited for, piece by piece, and leaves nothing behind', async () => {
  await using given = await offered()
  let bytes = 0
  const read = given.answer.then(async (answer) => {
    for await (const chunk of answer) bytes += (chunk as Buffer).length
    return answer.headers
  })
  for (let i = 0; i < 60; i++) await given.file.write(piece)
  expect(given.response.listenerCount('close')).toBeLessThan(8)
  expect(given.response.listenerCount('error')).toBeLessThan(8)
  await given.file.close()
  const headers = await read
  expect(bytes).toBe(60 * piece.length)
  expect(headers['content-disposition']).toBe('attachment; filename="a___x__y_.._b.csv"')
})

test('an export that is cancelled ends while its browser takes nothing; one whose browser goes, too', async () => {
  const stop = new AbortController()
  await using given = await offered(stop.signal)
  const writing = (async () => {
    for (;;) await given.file.write(piece)
  })()
  stop.abort()
  await expect(writing).rejects.toThrow()
  await using other = await offered()
  const alone = (async () => {
    for (;;) await other.file.write(piece)
  })()
  void other.answer.then((answer) => answer.destroy())
  await expect(alone).rejects.toThrow('stopped in the browser')
})
