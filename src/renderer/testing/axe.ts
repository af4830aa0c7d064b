import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'

type Options = Parameters<AxeBuilder['options']>[0]
type Violation = Awaited<ReturnType<AxeBuilder['analyze']>>['violations'][number]

/** What WCAG 2.2 asks for at AA, and what is good practice besides. */
export const wcagAndMore = { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] }
/** What another theme or another width can change. */
export const coloursAndRoom = {
  type: 'rule',
  values: ['color-contrast', 'target-size', 'scrollable-region-focusable', 'link-in-text-block'],
}

/** axe-core is what @axe-core/playwright drives: it lies beside it. */
const source = readFileSync(
  createRequire(import.meta.resolve('@axe-core/playwright')).resolve('axe-core/axe.min.js'),
  'utf8',
)

/**
 * What axe finds wrong with the document that is open; nothing where all is well. Frames aren't looked into: the console
 * has none. AxeBuilder would read axe, half a megabyte, into the page twice for each look; here it is read once a page.
 * @param runOnly tags or rules; all that axe has by default where absent
 * @throws Error where axe could not look
 */
export async function barriers(page: Page, runOnly?: { type: string; values: string[] }): Promise<Violation[]> {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(source)
  const options = { resultTypes: ['violations'], ...(runOnly && { runOnly }) } as Options
  return page.evaluate(async (asked) => {
    const { axe } = window as unknown as {
      axe: { run(on: Document, options: Options): Promise<{ violations: Violation[] }> }
    }
    return (await axe.run(document, asked)).violations
  }, options)
}
