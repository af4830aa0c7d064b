import type { FastifyInstance } from 'fastify'
import { HttpProblem } from './problem.ts'

/**
 * Refuses what is sent as JSON with halves of characters (lone surrogates, `"\ud800"`) or NUL in it. Neither has a form
 * that the store, the ledger and whoever reads them later agree on: the row and its entry would differ, and `verify`
 * would say that somebody changed one of them.
 */
export function refuseBrokenTexts(app: Pick<FastifyInstance, 'addHook'>): void {
  app.addHook('preValidation', async ({ body }) => {
    // A form is a text, of bytes that were UTF-8.
    if (typeof body === 'object' && hasBrokenText(body))
      throw new HttpProblem(400, 'There are characters in it that no text has: halves of surrogate pairs, or NUL.')
  })
}

/** Whether a value out of JSON has such a text anywhere, names of members too. */
export function hasBrokenText(value: unknown): boolean {
  const left = [value]
  for (let one = left.pop(); left.length > 0 || one !== undefined; one = left.pop()) {
    if (typeof one === 'string') {
      if (!one.isWellFormed() || one.includes('\0')) return true
    } else if (typeof one === 'object' && one !== null) {
      for (const [name, member] of Object.entries(one)) left.push(name, member)
    }
  }
  return false
}
